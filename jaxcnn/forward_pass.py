"""The forward pass: what each layer computes."""

from __future__ import annotations

import fnmatch
import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn import ops, spec
from jaxcnn.layout import Params, Shape, key_at, leaf_layout, pad_pairs, times
from jaxcnn.ops.checks import spread
from jaxcnn.ops.recompute import recomputed
from jaxcnn.spec import Graph, Leaf, Position, Spec, Step, interpret, steps


def _alike(values: list[Array]) -> list[Array]:
    """Values in one shape: a gate's, for example, in that of what it gates."""
    shape = jnp.broadcast_shapes(*(value.shape for value in values))
    return [spread(value, shape) for value in values]


_MERGE: dict[str, Callable[[list[Array]], Array]] = {
    "sum": lambda values: reduce(operator.add, _alike(values)),
    "mul": lambda values: reduce(operator.mul, _alike(values)),
    "concat": lambda values: jnp.concatenate(values, axis=-1),
}


class Mode(NamedTuple):
    """How a network is run: in training or not, with which key, which examples count."""

    train: bool = False
    rng: Array | None = None
    mask: Array | None = None


class Forward(NamedTuple):
    """The result of a forward pass: the output, the new statistics, and every named activation in order."""

    output: Array
    batch_stats: Params
    activations: dict[str, Array]


def _leaf(leaf: Leaf, params: dict, stats: dict, x: Array, mode: Mode, path: str) -> tuple[Array, dict]:
    match leaf:
        case spec.Conv():
            groups = x.shape[-1] if leaf.groups is None else leaf.groups
            y = ops.conv(
                x, params["kernel"], params.get("bias"), stride=leaf.stride, padding=leaf.padding,
                dilation=leaf.dilation, groups=groups, padding_mode=leaf.padding_mode,
            )  # fmt: skip
            return y, stats
        case spec.ConvTranspose():
            y = ops.conv_transpose(
                x, params["kernel"], params.get("bias"), stride=leaf.stride, padding=leaf.padding,
                output_padding=leaf.output_padding, dilation=leaf.dilation, groups=leaf.groups,
            )  # fmt: skip
            return y, stats
        case spec.Dense():
            return ops.dense(x, params["kernel"], params.get("bias")), stats
        case spec.BatchNorm(frozen=False) if mode.train:
            y, mean, variance = ops.batch_norm(
                x, params.get("scale"), params["bias"], leaf.eps, mode.mask, leaf.unbiased, leaf.parts
            )
            counted = x.shape[0] > 0 if mode.mask is None else mode.mask.any()  # of nothing there is no mean
            new = {"mean": mean, "var": variance}
            moved = {name: ops.running_average(stats[name], new[name], leaf.momentum) for name in new}
            return y, {name: jnp.where(counted, moved[name], stats[name]) for name in new}
        case spec.BatchNorm():
            return ops.normalize(x, stats["mean"], stats["var"], params.get("scale"), params["bias"], leaf.eps), stats
        case spec.LayerNorm(eps):
            return ops.layer_norm(x, params["scale"], params["bias"], eps=eps), stats
        case spec.LocalResponseNorm(size, alpha, beta, k):
            return ops.local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k), stats
        case spec.Act(name, backward):
            if mode.train and backward != "gradient":
                raise ValueError(f"this activation sends back no gradient but what is {backward}: it cannot be trained")
            return ops.activation(name, backward)(x), stats
        case spec.Pool(kind, window, stride):
            options = {"padding": leaf.padding, "dilation": leaf.dilation, "ceil_mode": leaf.ceil_mode}
            if kind == "max":
                return ops.max_pool(x, window, stride, **options), stats
            if kind == "lp":
                return ops.lp_pool(x, window, stride, p=leaf.p, **options), stats
            return ops.avg_pool(x, window, stride, count_include_pad=leaf.count_include_pad, **options), stats
        case spec.AdaptivePool(sizes, kind):
            return (ops.adaptive_max_pool if kind == "max" else ops.adaptive_avg_pool)(x, sizes), stats
        case spec.GlobalPool(kind, keepdims):
            pool = ops.global_max_pool if kind == "max" else ops.global_avg_pool
            return pool(x, keepdims=keepdims), stats
        case spec.Dropout(rate) | spec.StochasticDepth(rate) if mode.train and rate > 0:
            if mode.rng is None:
                raise ValueError("dropout in training needs a key: apply(..., train=True, rng=key)")
            key = key_at(mode.rng, path)
            if isinstance(leaf, spec.StochasticDepth):
                return ops.stochastic_depth(x, rate, key), stats
            return ops.dropout(x, rate, key, spatial=leaf.spatial), stats
        case spec.Shuffle(groups):
            return ops.channel_shuffle(x, groups), stats
        case spec.Upsample(scale, method, align_corners):
            return ops.upsample(x, scale, method=method, align_corners=align_corners), stats
        case spec.Pad(value=value):
            pairs = (0, 0), *pad_pairs(leaf, x.ndim - 2), (0, 0)
            return lax.pad(x, jnp.asarray(value, x.dtype), [(*pair, 0) for pair in pairs]), stats
        case spec.Channels(start, stop):
            return x[..., start:stop], stats
        case spec.Scale(value):
            return x * (spread(params["scale"], x.shape) if "scale" in params else value), stats
        case spec.Bias():
            return x + spread(params["bias"], x.shape), stats
        case spec.RadialBasis():
            return ops.radial_basis(x, stats["centers"]), stats
        case spec.Flatten():
            return x.reshape(x.shape[0], math.prod(x.shape[1:])), stats
        case spec.Dropout() | spec.StochasticDepth() | spec.Identity():
            return x, stats
        case _:
            spec.unknown(leaf)


def _check_arrays(leaf: Leaf, shape: Shape, params: dict, stats: dict) -> None:
    """Raise ValueError where a layer's arrays are not those that it has over an input of `shape`."""
    layout = leaf_layout(leaf, shape)
    for name, given, wanted in ("params", params, layout.params), ("batch_stats", stats, layout.stats):
        for key, parameter in wanted.items():
            if key not in given:
                raise ValueError(f"{name} has no {key!r} for this layer: give what init returns for the network")
            if jnp.shape(given[key]) != parameter.shape:
                raise ValueError(
                    f"its {key!r} in {name} is {times(jnp.shape(given[key]))}, not {times(parameter.shape)}"
                )


def _walk(
    net: Spec, params: Mapping, batch_stats: Mapping, x: Array, mode: Mode, *, blocks: Collection[Position] = (),
    **place: Any,
) -> tuple[Array, Params]:  # fmt: skip
    """The output and the new statistics; `place` are further arguments of `interpret`."""
    new_stats: Params = {}

    def leaf(step: Step, x: Array) -> Array:
        with jax.named_scope(step.path or "network"):
            arrays = params.get(step.path, {}), batch_stats.get(step.path, {})
            _check_arrays(step.leaf, x.shape[1:], *arrays)
            y, new = _leaf(step.leaf, *arrays, x, mode, step.path)
        if new:
            new_stats[step.path] = new
        return y

    def whole(graph: Graph, path: str, position: Position) -> Callable[[Array], Array] | None:
        if position not in blocks:
            return None
        place = {"path": path, "position": position}
        paths = {step.path for step in steps(graph, **place)}
        own, known = ({path: tree[path] for path in tree if path in paths} for tree in (params, batch_stats))

        def inside(moved: Any, fixed: Any) -> tuple[Array, Params]:
            (params, x), (stats, rng, mask) = moved, fixed
            return _walk(graph, params, stats, x, Mode(mode.train, rng, mask), **place)

        def block(x: Array) -> Array:
            y, new = recomputed(inside)((own, x), (known, mode.rng, mode.mask))
            new_stats.update(new)
            return y

        return block

    output = interpret(net, x, leaf, lambda how, values: _MERGE[how](values), whole=whole if blocks else None, **place)
    return output, new_stats


def forward(
    net: Spec, params: Params, batch_stats: Params, x: Array, *, train: bool = False, rng: Array | None = None,
    mask: Array | None = None, edits: Mapping[str, Callable[[Array], Array]] | None = None,
    blocks: Collection[Position] = (),
) -> Forward:  # fmt: skip
    """Run a network over a batch and keep every named activation; under `jit`, those that nobody reads cost nothing.

    Args:
      net: the spec.
      params, batch_stats: as `init` returns them.
      x: (N, H, W, C), floating point.
      train: use the batch's own statistics, and dropout.
      rng: the key of this step's dropout; folded with each layer's path.
      mask: (N,) ones and zeros; examples with zero do not count in the batch statistics, which stay where none counts.
      edits: functions applied to the activations at the given paths, as the network runs.
      blocks: positions of inner graphs, as `rewrite.in_blocks` finds them, whose inside is not kept for the gradient
        but computed again: less memory, more time. Their inner activations are not among the result's.

    Returns:
      `Forward(output, batch_stats, activations)`.

    Raises:
      ValueError: shapes or arrays that do not fit, naming the layer.
      TypeError: what is no network, no tree of arrays or no batch.
      KeyError: an edit at a path that the network does not have.
    """
    if not isinstance(net, Spec):
        raise TypeError(f"net must be a layer or a graph of jaxcnn.spec, not {net!r}")
    for name, tree in ("params", params), ("batch_stats", batch_stats):
        if not isinstance(tree, Mapping):
            raise TypeError(f"{name} must be {{path: {{name: array}}}}, as init returns it, not {type(tree).__name__}")
    if not hasattr(x, "shape") or len(x.shape) < 2:
        raise TypeError(f"x must be a batch, (N, H, W, C) or (N, C), not {x.shape if hasattr(x, 'shape') else repr(x)}")
    mode, edits = Mode(train, rng, mask), edits or {}
    activations: dict[str, Array] = {}

    def named(path: str, y: Array) -> Array:
        activations[path] = edits[path](y) if path in edits else y
        return activations[path]

    output, new_stats = _walk(net, params, batch_stats, x, mode, named=named, blocks=blocks)
    if unknown := sorted(set(edits) - set(activations)):
        raise KeyError(f"no layer is called {', '.join(unknown)}; there are: {', '.join(activations)}")
    return Forward(output, new_stats, activations)


def apply(
    net: Spec, params: Params, batch_stats: Params, x: Array, *, train: bool = False, rng: Array | None = None,
    mask: Array | None = None,
) -> tuple[Array, Params]:  # fmt: skip
    """Run a network over a batch.

    Args:
      net: the spec.
      params, batch_stats: as `init` returns them.
      x: (N, H, W, C), floating point.
      train: use the batch's own statistics, and dropout.
      rng: the key of this step's dropout, needed in training by a network that has it.
      mask: (N,) ones and zeros; examples with zero do not count in the batch statistics, which stay where none counts.

    Returns:
      `(output, batch_stats)`: logits (N, classes) for a classifier, and the new statistics, in evaluation the old ones.

    Raises:
      ValueError, TypeError: what does not fit together, naming the layer.
    """
    output, stats, _ = forward(net, params, batch_stats, x, train=train, rng=rng, mask=mask)
    return output, stats


def features(
    net: Spec, params: Params, batch_stats: Params, x: Array, paths: str | Sequence[str], **options
) -> dict[str, Array]:
    """The activations of a network over a batch, from one pass.

    Args:
      net, params, batch_stats, x: as for `apply`.
      paths: names, or patterns as `layer4.*.conv2`.
      options: those of `forward`, such as `train` and `edits`.

    Returns:
      `{path: activation}`, (N, H, W, C) each.

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
