"""The forward pass: a small interpreter over the leaves of a spec."""

from __future__ import annotations

import fnmatch
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn import ops
from jaxcnn.layout import Params, key_at, layer_named, pad_pairs
from jaxcnn.spec import (
    Act,
    AdaptivePool,
    BatchNorm,
    Bias,
    Channels,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    LayerNorm,
    Leaf,
    LocalResponseNorm,
    Pad,
    Pool,
    RadialBasis,
    Scale,
    Shuffle,
    Spec,
    StochasticDepth,
    Upsample,
    join_path,
)

_MERGE: dict[str, Callable[[list[Array]], Array]] = {
    "sum": lambda values: reduce(operator.add, values),
    "mul": lambda values: reduce(operator.mul, values),
    "concat": lambda values: jnp.concatenate(values, axis=-1),
}


class Mode(NamedTuple):
    """How a network is run: in training or not, with which key, which examples count, which activations are edited."""

    train: bool = False
    rng: Array | None = None
    mask: Array | None = None
    edits: Mapping[str, Callable[[Array], Array]] = {}


class Forward(NamedTuple):
    """The result of a forward pass: the output, the new statistics, and every named activation in order."""

    output: Array
    batch_stats: Params
    activations: dict[str, Array]


def _leaf(leaf: Leaf, params: dict, stats: dict, x: Array, mode: Mode, path: str) -> tuple[Array, dict]:
    match leaf:
        case Conv():
            groups = x.shape[-1] if leaf.groups is None else leaf.groups
            y = ops.conv(
                x, params["kernel"], params.get("bias"), stride=leaf.stride, padding=leaf.padding,
                dilation=leaf.dilation, groups=groups, padding_mode=leaf.padding_mode,
            )  # fmt: skip
            return y, stats
        case ConvTranspose():
            y = ops.conv_transpose(
                x, params["kernel"], params.get("bias"), stride=leaf.stride, padding=leaf.padding,
                output_padding=leaf.output_padding, dilation=leaf.dilation, groups=leaf.groups,
            )  # fmt: skip
            return y, stats
        case Dense():
            return ops.dense(x, params["kernel"], params.get("bias")), stats
        case BatchNorm(frozen=False) if mode.train:
            y, mean, variance = ops.batch_norm(
                x, params.get("scale"), params["bias"], leaf.eps, mode.mask, leaf.unbiased
            )
            new = {"mean": mean, "var": variance}
            return y, {name: ops.running_average(stats[name], new[name], leaf.momentum) for name in new}
        case BatchNorm():
            return ops.normalize(x, stats["mean"], stats["var"], params.get("scale"), params["bias"], leaf.eps), stats
        case LayerNorm(eps):
            return ops.layer_norm(x, params["scale"], params["bias"], eps=eps), stats
        case LocalResponseNorm(size, alpha, beta, k):
            return ops.local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k), stats
        case Act(name):
            return ops.activation(name)(x), stats
        case Pool(kind, window, stride):
            options = {"padding": leaf.padding, "dilation": leaf.dilation, "ceil_mode": leaf.ceil_mode}
            if kind == "max":
                return ops.max_pool(x, window, stride, **options), stats
            if kind == "lp":
                return ops.lp_pool(x, window, stride, p=leaf.p, **options), stats
            return ops.avg_pool(x, window, stride, count_include_pad=leaf.count_include_pad, **options), stats
        case AdaptivePool(sizes, kind):
            return (ops.adaptive_max_pool if kind == "max" else ops.adaptive_avg_pool)(x, sizes), stats
        case GlobalPool(kind, keepdims):
            pool = ops.global_max_pool if kind == "max" else ops.global_avg_pool
            return pool(x, keepdims=keepdims), stats
        case Dropout(rate) | StochasticDepth(rate) if mode.train and rate > 0:
            if mode.rng is None:
                raise ValueError("dropout in training needs a key: apply(..., train=True, rng=key)")
            key = key_at(mode.rng, path)
            if isinstance(leaf, StochasticDepth):
                return ops.stochastic_depth(x, rate, key), stats
            return ops.dropout(x, rate, key, spatial=leaf.spatial), stats
        case Shuffle(groups):
            return ops.channel_shuffle(x, groups), stats
        case Upsample(scale, method, align_corners):
            return ops.upsample(x, scale, method=method, align_corners=align_corners), stats
        case Pad(value=value):
            pairs = (0, 0), *pad_pairs(leaf, x.ndim - 2), (0, 0)
            return lax.pad(x, jnp.asarray(value, x.dtype), [(*pair, 0) for pair in pairs]), stats
        case Channels(start, stop):
            return x[..., start:stop], stats
        case Scale(value):
            return x * params.get("scale", value), stats
        case Bias():
            return x + params["bias"], stats
        case RadialBasis():
            return ops.radial_basis(x, stats["centers"]), stats
        case Flatten():
            return x.reshape(x.shape[0], -1), stats
        case Dropout() | StochasticDepth() | Identity():
            return x, stats
    raise TypeError(f"{leaf!r} is not a layer of jaxcnn.spec")


def _run(spec: Spec, params: Params, stats: Params, x: Array, mode: Mode, path: str) -> Forward:
    if not isinstance(spec, Graph):
        with layer_named(path, spec), jax.named_scope(path or "network"):
            y, new = _leaf(spec, params.get(path, {}), stats.get(path, {}), x, mode, path)
        return Forward(y, {path: new} if new else {}, {})
    values, batch_stats, activations = {"in": x}, {}, {}
    for node in spec.nodes:
        here = join_path(path, node.name)
        with layer_named(here, node.spec):
            merged = _MERGE[node.merge]([values[name] for name in node.inputs])
        result = _run(node.spec, params, stats, merged, mode, here)
        y = result.output
        if here != path:
            y = mode.edits[here](y) if here in mode.edits else y
            activations |= result.activations | {here: y}
        else:
            activations |= result.activations
        values[node.name] = y
        batch_stats |= result.batch_stats
    return Forward(values[spec.nodes[-1].name], batch_stats, activations)


def forward(
    net: Spec, params: Params, batch_stats: Params, x: Array, *, train: bool = False, rng: Array | None = None,
    mask: Array | None = None, edits: Mapping[str, Callable[[Array], Array]] | None = None,
) -> Forward:  # fmt: skip
    """Run a network over a batch and keep every named activation; under `jit`, those that nobody reads cost nothing.

    Args:
      net: the spec.
      params, batch_stats: as `init` returns them.
      x: (N, H, W, C), floating point.
      train: use the batch's own statistics, and dropout.
      rng: the key of this step's dropout; folded with each layer's path.
      mask: (N,) ones and zeros; examples with zero do not count in the batch statistics.
      edits: functions applied to the activations at the given paths, as the network runs.

    Returns:
      `Forward(output, batch_stats, activations)`.

    Raises:
      ValueError: shapes that do not fit, naming the layer.
      KeyError: an edit at a path that the network does not have.
    """
    result = _run(net, params, batch_stats, x, Mode(train, rng, mask, edits or {}), "")
    if unknown := sorted(set(edits or {}) - set(result.activations)):
        raise KeyError(f"no layer is called {', '.join(unknown)}; there are: {', '.join(result.activations)}")
    return result


def apply(
    net: Spec, params: Params, batch_stats: Params, x: Array, *, train: bool = False, rng: Array | None = None,
    mask: Array | None = None,
) -> tuple[Array, Params]:  # fmt: skip
    """The network's output (logits for a classifier) and the new statistics; the arguments are those of `forward`."""
    output, stats, _ = forward(net, params, batch_stats, x, train=train, rng=rng, mask=mask)
    return output, stats


def features(
    net: Spec, params: Params, batch_stats: Params, x: Array, paths: str | Sequence[str], **options
) -> dict[str, Array]:
    """The activations at `paths` (names, or patterns as `layer4.*.conv2`) in evaluation, from one pass.

    Raises KeyError, with the known paths, for a name or pattern that nothing matches.
    """
    activations = forward(net, params, batch_stats, x, **options).activations
    chosen = {}
    for wanted in [paths] if isinstance(paths, str) else paths:
        found = [wanted] if wanted in activations else fnmatch.filter(activations, wanted)
        if not found:
            raise KeyError(f"no layer is called {wanted!r}; there are: {', '.join(activations)}")
        chosen |= {path: activations[path] for path in found}
    return chosen
