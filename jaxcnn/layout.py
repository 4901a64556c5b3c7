"""The first reading of a spec: shapes, parameters and their initial values.

Shapes here are those of one example, without the batch: (H, W, C).
"""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import jax
from jax import Array

from jaxcnn import ops, spec
from jaxcnn.ops import initializers
from jaxcnn.spec import Leaf, Spec, Step, interpret

Shape = tuple[int, ...]
Initializer = Callable[..., Array]
Params = dict[str, dict[str, Array]]


class Parameter(NamedTuple):
    """An array before it exists."""

    shape: Shape
    initializer: Initializer


class Layout(NamedTuple):
    """What a leaf makes of an input shape: its output's shape, its parameters, its running statistics."""

    output: Shape
    params: dict[str, Parameter] = {}  # noqa: RUF012  (never mutated)
    stats: dict[str, Parameter] = {}  # noqa: RUF012


class Row(NamedTuple):
    """One leaf of a network, in order of execution."""

    path: str
    leaf: Leaf
    input: Shape
    layout: Layout


def leaf_layout(leaf: Leaf, shape: Shape) -> Layout:
    """The layout of one leaf over an input of `shape`. Raises ValueError where the leaf cannot take it."""
    *sizes, channels = shape
    spatial = len(sizes)
    if isinstance(leaf, spec.Conv | spec.ConvTranspose | spec.Pool | spec.AdaptivePool | spec.Upsample) and not spatial:
        raise ValueError(f"a {type(leaf).__name__} takes an image, not a vector of {channels}: put it before Flatten")
    match leaf:
        case spec.Conv():
            width = channels if leaf.width is None else _positive(leaf.width, "width")
            groups = channels if leaf.groups is None else _positive(leaf.groups, "groups")
            window = ops.per_dimension(leaf.kernel, spatial, "kernel")
            if channels % groups or width % groups:
                raise ValueError(f"{groups} groups divide neither {channels} channels nor {width} evenly")
            params = {"kernel": Parameter((*window, channels // groups, width), initializers.he)}
            if leaf.bias:
                params["bias"] = Parameter((width,), initializers.zeros)
            placed = ops.slide("Conv", sizes, window, leaf.stride, leaf.padding, leaf.dilation)
            return Layout((*placed.output, width), params)
        case spec.ConvTranspose():
            width, groups = _positive(leaf.width, "width"), _positive(leaf.groups, "groups")
            window = ops.per_dimension(leaf.kernel, spatial, "kernel")
            if channels % groups or width % groups:
                raise ValueError(f"{groups} groups divide neither {channels} channels nor {width} evenly")
            placed = ops.transposed_window(sizes, window, leaf.stride, leaf.padding, leaf.output_padding, leaf.dilation)
            params = {"kernel": Parameter((*window, width // groups, channels), initializers.he_transposed)}
            if leaf.bias:
                params["bias"] = Parameter((width,), initializers.zeros)
            return Layout((*placed.sizes, width), params)
        case spec.Dense():
            if spatial:
                raise ValueError(
                    f"a dense layer takes a vector, not {times(shape)}: put Flatten or GlobalPool before it"
                )
            width = _positive(leaf.width, "width")
            params = {"kernel": Parameter((channels, width), initializers.he)}
            if leaf.bias:
                params["bias"] = Parameter((width,), initializers.zeros)
            return Layout((width,), params)
        case spec.BatchNorm():
            _positive(leaf.parts, "parts")
            params = {"scale": Parameter((channels,), initializers.ones)} if leaf.scale else {}
            params["bias"] = Parameter((channels,), initializers.zeros)
            return Layout(
                shape,
                params,
                {"mean": Parameter((channels,), initializers.zeros), "var": Parameter((channels,), initializers.ones)},
            )
        case spec.LayerNorm():
            return Layout(
                shape,
                {
                    "scale": Parameter((channels,), initializers.ones),
                    "bias": Parameter((channels,), initializers.zeros),
                },
            )
        case spec.LocalResponseNorm():
            _positive(leaf.size, "size")
            return Layout(shape)
        case spec.Pool():
            _one_of(leaf.kind, ("max", "avg", "lp"))
            return Layout((*pool_window(leaf, shape).output, channels))
        case spec.AdaptivePool():
            _one_of(leaf.kind, ("max", "avg"))
            wanted = leaf.sizes if isinstance(leaf.sizes, tuple) else (leaf.sizes,) * spatial
            if len(wanted) != spatial:
                raise ValueError(
                    f"an AdaptivePool of {leaf.sizes} takes images of {len(wanted)} dimensions, not {spatial}"
                )
            kept = (n if size is None else _positive(size, "size") for n, size in zip(sizes, wanted, strict=True))
            return Layout((*kept, channels))
        case spec.Upsample():
            _one_of(leaf.method, ("nearest", "bilinear"))
            factors = ops.per_dimension(leaf.scale, spatial, "scale")
            return Layout((*(n * factor for n, factor in zip(sizes, factors, strict=True)), channels))
        case spec.Shuffle(groups):
            if channels % _positive(groups, "groups"):
                raise ValueError(f"{groups} groups do not divide {channels} channels")
            return Layout(shape)
        case spec.GlobalPool():
            _one_of(leaf.kind, ("max", "avg"))
            return Layout((*([1] * spatial if leaf.keepdims else []), channels))
        case spec.Pad():
            padded = tuple(
                n + before + after for n, (before, after) in zip(sizes, pad_pairs(leaf, spatial), strict=True)
            )
            if min(padded, default=1) < 1:
                raise ValueError(f"a Pad of {leaf.padding} leaves nothing of {times(shape)}")
            return Layout((*padded, channels))
        case spec.Channels(start, stop):
            end = channels if stop is None else stop
            if not 0 <= start < end <= channels:
                raise ValueError(f"there are no channels {start} to {end} in {channels}")
            return Layout((*sizes, end - start))
        case spec.Scale(value, trainable):
            return Layout(shape, {"scale": Parameter((channels,), initializers.constant(value))} if trainable else {})
        case spec.Bias(per_place):
            return Layout(shape, {"bias": Parameter(shape if per_place else (channels,), initializers.zeros)})
        case spec.RadialBasis():
            if spatial:
                raise ValueError(f"a RadialBasis takes a vector, not {times(shape)}: put Flatten before it")
            width = _positive(leaf.width, "width")
            return Layout((width,), {}, {"centers": Parameter((channels, width), initializers.signs)})
        case spec.Flatten():
            return Layout((math.prod(shape),))
        case spec.Act(name, backward):
            ops.activation(name, backward)
            return Layout(shape)
        case spec.Dropout(rate) | spec.StochasticDepth(rate):
            if not 0 <= rate < 1:
                kind = "dropout" if isinstance(leaf, spec.Dropout) else "stochastic depth"
                raise ValueError(f"{kind}'s rate must be in [0, 1), not {rate}")
            return Layout(shape)
        case spec.Identity():
            return Layout(shape)
        case _:
            spec.unknown(leaf)


def pool_window(leaf: spec.Pool, shape: Shape) -> ops.Window:
    """Where the windows of a pooling layer stand over an input of `shape`, (H, W, C)."""
    stride = leaf.window if leaf.stride is None else leaf.stride
    return ops.slide("Pool", shape[:-1], leaf.window, stride, leaf.padding, leaf.dilation, leaf.ceil_mode)


def pad_pairs(leaf: spec.Pad, spatial: int) -> tuple[tuple[int, int], ...]:
    """The places that a Pad adds before and after each of `spatial` dimensions."""
    given = leaf.padding if isinstance(leaf.padding, tuple) else (leaf.padding,) * spatial
    if len(given) != spatial:
        raise ValueError(f"a Pad of {leaf.padding} takes images of {len(given)} dimensions, not {spatial}")
    return tuple(pair if isinstance(pair, tuple) else (pair, pair) for pair in given)


def _positive(value: int, name: str) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, not {value!r}")
    return value


def _one_of(kind: str, known: tuple[str, ...]) -> None:
    if kind not in known:
        raise ValueError(f"{kind!r} is not one of {', '.join(known)}")


def times(shape: Sequence[int]) -> str:
    """A shape in words: (64, 3, 7, 7) as 64x3x7x7, (64,) as 64, () as "scalar"."""
    return "x".join(map(str, shape)) or "scalar"


def merge_shapes(merge: str, shapes: list[Shape]) -> Shape:
    """The shape of several values merged. Raises ValueError where they do not fit together."""
    first = shapes[0]
    match merge:
        case "sum":
            fits, result = all(shape == first for shape in shapes), first
        case "mul":
            result = tuple(map(max, zip(*shapes, strict=False)))
            fits = all(
                len(shape) == len(first) and all(n in (1, m) for n, m in zip(shape, result, strict=False))
                for shape in shapes
            )
        case "concat":
            fits = all(shape[:-1] == first[:-1] for shape in shapes)
            result = (*first[:-1], sum(shape[-1] for shape in shapes))
        case _:
            raise ValueError(f"merge {merge!r} is not one of sum, mul, concat")
    if not fits:
        raise ValueError(f"cannot {merge} values of shapes {', '.join(map(times, shapes))}")
    return result


def example_shape(shape: Sequence[int]) -> Shape:
    """The shape of one example as whole numbers. Raises ValueError, saying so, where it is none."""
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError:
        sizes = ()
    if min(sizes, default=0) < 1:
        raise ValueError(f"the shape of one example is (H, W, C), whole numbers from 1, not {shape!r}")
    return sizes


def walk(net: Spec, shape: Shape) -> list[Row]:
    """Every leaf with its path, input shape and layout, in order of execution, for one example of `shape`."""
    rows: list[Row] = []

    def leaf(step: Step, shape: Shape) -> Shape:
        layout = leaf_layout(step.leaf, shape)
        rows.append(Row(step.path, step.leaf, shape, layout))
        return layout.output

    interpret(net, example_shape(shape), leaf, merge_shapes)
    return rows


def output_shape(net: Spec, shape: Shape) -> Shape:
    """The shape of one example's output."""
    return interpret(net, example_shape(shape), lambda step, shape: leaf_layout(step.leaf, shape).output, merge_shapes)


def key_at(rng: Array, path: str) -> Array:
    """A key of the path's own: editing one part of a network leaves the randomness of the others alone."""
    return jax.random.fold_in(rng, zlib.crc32(path.encode()))


def init(net: Spec, rng: Array, shape: Shape) -> tuple[Params, Params]:
    """Draw the parameters and the statistics of a network for examples of `shape`, (H, W, C).

    Kernels are He normal (He et al. 2015), biases zero, scales one: beside PyTorch's and TensorFlow's rules this one
    learned best where nothing is normalized (results/initialization). Returns `(params, batch_stats)`, both
    `{path: {name: array}}`. Raises ValueError, with the layer's name, where the input is too small for the network,
    and TypeError where `rng` is no key.
    """
    if not (hasattr(rng, "dtype") and (jax.numpy.issubdtype(rng.dtype, jax.dtypes.prng_key) or rng.shape == (2,))):
        raise TypeError(f"rng must be a key, such as jax.random.key(0), not {rng!r}")
    params: Params = {}
    stats: Params = {}
    for row in walk(net, shape):
        for tree, described in (params, row.layout.params), (stats, row.layout.stats):
            if described:
                tree[row.path] = {
                    name: parameter.initializer(key_at(rng, f"{row.path}.{name}"), parameter.shape)
                    for name, parameter in described.items()
                }
    return params, stats


def abstract(net: Spec, shape: Shape) -> tuple[Params, Params]:
    """What `init` would return, as `jax.ShapeDtypeStruct`s and without computing anything."""
    return jax.eval_shape(lambda rng: init(net, rng, shape), jax.random.key(0))


def check_same_parameters(net: Spec, shape: Shape, other: Shape) -> None:
    """Raise ValueError, naming the layer, where a network has other parameters for examples of another shape."""
    for one, two in zip(walk(net, shape), walk(net, other), strict=True):
        for name, parameter in (one.layout.params | one.layout.stats).items():
            again = (two.layout.params | two.layout.stats)[name]
            if parameter.shape != again.shape:
                raise ValueError(
                    f"layer {one.path!r} has a {name} of {times(parameter.shape)} for {times(shape)}, and of "
                    f"{times(again.shape)} for {times(other)}; after a GlobalPool it would be the same for all sizes"
                )


def parameter_count(tree: Params) -> int:
    """The number of scalars in `params` or `batch_stats`, arrays or abstract."""
    return sum(reduce(operator.mul, leaf.shape, 1) for leaf in jax.tree.leaves(tree))
