"""Pooling, as comparisons and sums of strided slices.

XLA's `reduce_window` has a gradient (`select_and_scatter`) that is slow to run and slow to compile on CPU, and is
itself slower than slices but for a large padded image; slices have neither fault. On a CPU a C++ program walks over
the windows instead (`native/pool.cc`): a 3x3 maximum of 64 channels at 28x28, batch 128, with its gradient, takes 7 ms
there, not 22.

Max pooling sends the whole gradient to the first maximum of a window, in row-major order, as `lax` and PyTorch do;
average pooling gives every one of the Q places of a window 1/Q of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops import native
from jaxcnn.ops.checks import image, wide
from jaxcnn.ops.overlap import over_phases, overlaps, places, shifted, widen
from jaxcnn.ops.window import Padding, Size, Window, pad_constant, per_dimension, seen_by, slide


def max_pool(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """The maximum over windows of (N, *spatial, C); padding counts as minus infinity, NaN as the greatest.

    `stride` defaults to the window; `padding` and `dilation` are those of `conv`. Returns (N, *output, C) with
    output = floor((W - D(K-1) - 1 + 2P)/S) + 1; `ceil_mode` rounds up instead, for windows that start inside. Raises
    ValueError where the window does not fit or holds nothing but padding.
    """
    return _max_pool(x, _placed("max_pool", x, window, stride, padding, dilation, ceil_mode))


def max_pool_with_indices(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """`max_pool` and where each maximum stood first: int32, row by row over the spatial dimensions of x.

    These are the switches of a deconvnet (Zeiler and Fergus 2014), and the indices that PyTorch returns.
    """
    placed = _placed("max_pool_with_indices", x, window, stride, padding, dilation, ceil_mode)
    y, number = _first_maximum(x, placed)  # type: ignore[misc]
    number = number.astype(jnp.int32)
    index = jnp.zeros((), jnp.int32)
    for axis, size in enumerate(placed.sizes):
        inside = math.prod(placed.window[axis + 1 :])
        step = number // inside % placed.window[axis]
        shape = [-1 if dimension == axis else 1 for dimension in range(len(placed.sizes))]
        starts = np.arange(placed.output[axis]) * placed.stride[axis] - placed.pairs[axis][0]
        at = jnp.asarray(starts.reshape(1, *shape, 1), jnp.int32) + step * placed.dilation[axis]
        index = index * size + at
    return y, index


def max_unpool(x: Array, indices: Array, sizes: Sequence[int]) -> Array:
    """Put (N, *output, C) where `max_pool_with_indices` found it: (N, *sizes, C), zero elsewhere.

    Where windows overlap and share a place, their values add up: this is the transpose of reading at the indices.
    Raises ValueError unless x and the indices have one shape and `sizes` one size per spatial dimension.
    """
    image("max_unpool", x)
    sizes = tuple(sizes)
    if indices.shape != x.shape or not jnp.issubdtype(indices.dtype, jnp.integer) or len(sizes) != x.ndim - 2:
        raise ValueError(
            f"max_unpool takes integer indices of x's shape {x.shape} and {x.ndim - 2} sizes, "
            f"not {indices.dtype} {indices.shape} and {sizes}"
        )
    examples, channels = x.shape[0], x.shape[-1]
    flat, places = x.reshape(examples, -1, channels), indices.reshape(examples, -1, channels)
    empty = jnp.zeros((examples, math.prod(sizes), channels), x.dtype)
    n, c = jnp.arange(examples)[:, None, None], jnp.arange(channels)
    return empty.at[n, places, c].add(flat).reshape(examples, *sizes, channels)


def avg_pool(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Array:  # fmt: skip
    """The mean over windows of (N, *spatial, C).

    The arguments are those of `max_pool`. With `count_include_pad` (PyTorch's default) padding counts in the divisor;
    without it (TensorFlow's rule) the divisor is the number of places inside x. What `ceil_mode` adds never counts.
    """
    placed = _placed("avg_pool", x, window, stride, padding, dilation, ceil_mode)
    counted = _placed("avg_pool", x, window, stride, padding, dilation, False).pairs
    counts = []
    for n, k, s, (before, _), d, out, (_, after) in zip(*placed, placed.output, counted, strict=True):
        at = np.arange(out)[:, None] * s - before + np.arange(k) * d
        inside = (at < n + after) if count_include_pad else (at >= 0) & (at < n)
        counts.append(tuple(inside.sum(1).tolist()))
    return _mean_pool(x.astype(wide(x.dtype)), placed, tuple(counts)).astype(x.dtype)


def lp_pool(
    x: Array, window: Size, stride: Size | None = None, *, p: float = 2.0, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """The p-norm (sum of |x|^p)^(1/p) over windows of (N, *spatial, C); its gradient is 0 where the norm is.

    The other arguments are those of `max_pool`. Raises ValueError unless p >= 1.
    """
    if not p >= 1:
        raise ValueError(f"lp_pool needs p of at least 1, not {p}")
    placed = _placed("lp_pool", x, window, stride, padding, dilation, ceil_mode)
    size = jnp.abs(x.astype(wide(x.dtype)))
    total = _mean_pool(size**p, placed, tuple((1,) * out for out in placed.output))
    empty = total == 0
    return jnp.where(empty, 0, jnp.where(empty, 1, total) ** (1 / p)).astype(x.dtype)


def global_avg_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The mean over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C) with `keepdims`."""
    image("global_avg_pool", x)
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_max_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The maximum over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C); ties go to the first place."""
    image("global_max_pool", x)
    y = _first_along(x.reshape(x.shape[0], -1, x.shape[-1]), 1)
    return y.reshape(x.shape[0], *[1] * (x.ndim - 2 if keepdims else 0), x.shape[-1])


def adaptive_avg_pool(x: Array, sizes: int | Sequence[int | None]) -> Array:
    """The mean over the bins of a grid of `sizes`: (N, *spatial, C) -> (N, *sizes, C).

    Bin i of o over W places reaches from floor(i W / o) to ceil((i+1) W / o), as in PyTorch; None keeps a dimension.
    """
    for axis, bins in _bins("adaptive_avg_pool", x, sizes):
        parts = [jnp.mean(x[(slice(None),) * axis + (slice(*bin),)], axis, keepdims=True) for bin in bins]
        x = jnp.concatenate(parts, axis)
    return x


def adaptive_max_pool(x: Array, sizes: int | Sequence[int | None]) -> Array:
    """The maximum over the bins of `adaptive_avg_pool`; ties go to the first place of a bin, row by row."""
    for axis, bins in reversed(_bins("adaptive_max_pool", x, sizes)):  # columns first: then the first row wins
        parts = [_first_along(x[(slice(None),) * axis + (slice(*bin),)], axis) for bin in bins]
        x = jnp.concatenate(parts, axis)
    return x


def _bins(operation, x, sizes):
    image(operation, x)
    wanted = tuple(sizes) if isinstance(sizes, Sequence) else (sizes,) * (x.ndim - 2)
    if len(wanted) == x.ndim - 2:
        wanted = tuple(n if size is None else size for n, size in zip(x.shape[1:-1], wanted, strict=True))
    wanted = per_dimension(wanted, x.ndim - 2, f"{operation}'s size")
    edges = lambda n, o: [(i * n // o, -(-(i + 1) * n // o)) for i in range(o)]  # noqa: E731
    return [(axis, edges(x.shape[axis], o)) for axis, o in enumerate(wanted, 1) if o != x.shape[axis]]


def _placed(operation, x, window, stride, padding, dilation, ceil_mode) -> Window:
    image(operation, x)
    placed = slide(operation, x.shape[1:-1], window, window if stride is None else stride, padding, dilation, ceil_mode)
    for n, k, s, (before, _), d, out in zip(*placed, placed.output, strict=True):
        at = np.arange(out)[:, None] * s - before + np.arange(k) * d
        if not ((at >= 0) & (at < n)).any(1).all():
            raise ValueError(
                f"{operation} with padding {placed.pairs} has windows of {placed.window} that hold nothing but padding"
            )
    return placed


def _places(window):
    return itertools.product(*map(range, window))


def _mean_pool(x: Array, placed: Window, counts: tuple[tuple[int, ...], ...]) -> Array:
    """The sum of every window over the product of its `counts` in each dimension."""
    return _mean_by_program(x, placed, counts) if native.takes(x) else _plain_mean(x, placed, counts)  # type: ignore


def _plain_mean(x, placed, counts):
    padded = pad_constant(x, placed.pairs, 0)
    parts = (seen_by(padded, placed, place) for place in _places(placed.window))
    total = sum(parts, start=next(parts))
    divisor = reduce(np.multiply.outer, counts, np.ones((), int))
    divisor = divisor.flat[0] if (divisor == divisor.flat[0]).all() else divisor[..., None]
    return total / jnp.asarray(divisor, total.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _mean_by_program(x, placed, counts):
    return native.mean(x, placed, counts)


def _mean_backward(placed, counts, _, gradient):
    images = jax.ShapeDtypeStruct((gradient.shape[0], *placed.sizes, gradient.shape[-1]), gradient.dtype)

    def plain(gradient):
        return jax.linear_transpose(partial(_plain_mean, placed=placed, counts=counts), images)(gradient)[0]

    return (native.computed(partial(native.spread, placed=placed, counts=counts), plain, gradient),)


_mean_by_program.defvjp(lambda x, placed, counts: (_mean_by_program(x, placed, counts), None), _mean_backward)


def _first_along(x, axis):
    """The maximum along one axis, kept as one place; the gradient goes to the first."""
    return jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _first_maximum(x: Array, placed: Window) -> tuple[Array, Array]:
    """The maximum of every window and the number of the place where it stands first. NaN counts as the greatest."""
    if native.takes(x) and _few(placed):
        return native.first_maximum(x, placed)
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    numbers = jnp.uint8 if _few(placed) else jnp.int32
    places = _places(placed.window)
    best = seen_by(padded, placed, next(places))
    where = jnp.broadcast_to(jnp.asarray(_first_inside(placed), numbers), best.shape)
    for number, place in enumerate(places, 1):
        value = seen_by(padded, placed, place)
        greater = ~(value <= best) & (best == best)  # or NaN, unless NaN came before
        best, where = jnp.where(greater, value, best), jnp.where(greater, numbers(number), where)
    return best, where


def _few(placed):
    """Whether the numbers of a window's places fit into uint8, beside two that stand for none."""
    return math.prod(placed.window) < 255


def _first_inside(placed):
    """The number of every window's first place that is not padding: (*output, 1). It counts where all are -inf."""
    number = np.zeros((), int)
    for k, s, (before, _), d, out in zip(*placed[1:], placed.output, strict=True):
        number = number[..., None] * k + np.maximum(0, -((np.arange(out) * s - before) // d))
    return number[..., None]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x, placed):
    if native.takes(x):
        return native.maximum(x, placed)
    if any(map(any, placed.pairs)) and math.prod(placed.stride) > 1:
        # slices of a padded image compile six times as slowly (0.15 s for 112x112x64), and run twice as slowly there
        one, pairs = (1,), ((0, 0), *placed.pairs, (0, 0))
        window, stride, dilation = (one + sizes + one for sizes in (placed.window, placed.stride, placed.dilation))
        return lax.reduce_window(
            x, np.array(-np.inf, x.dtype), lax.max, window, stride, pairs, window_dilation=dilation
        )
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    return reduce(lax.max, (seen_by(padded, placed, place) for place in _places(placed.window)))


def _from_maxima(placed, where, gradient):
    if native.takes(gradient) and _few(placed):
        fast, plain = partial(native.to_maximum, placed=placed), partial(_to_maximum, placed=placed)
        return (native.computed(fast, plain, gradient, where),)
    return (_to_maximum(gradient, where, placed),)


def _to_maximum(gradient, where, placed):
    """Every place collects the gradient of the windows whose maximum it is: no scatter, one fused comparison."""
    nowhere = np.iinfo(where.dtype).max
    gradient, where = widen(gradient, placed, 0), widen(where, placed, nowhere)
    total = None
    for shift, numbers in overlaps(placed):
        mine = over_phases(np.where(numbers < 0, nowhere - 1, numbers)[..., None].astype(where.dtype), placed)
        share = jnp.where(shifted(where, placed, shift) == mine, shifted(gradient, placed, shift), 0)
        total = share if total is None else total + share
    assert total is not None
    return places(total, placed)


def _first_maximum_forward(x, placed):
    found = _first_maximum(x, placed)
    return found, found[1]  # type: ignore[index]


_first_maximum.defvjp(_first_maximum_forward, lambda placed, where, both: _from_maxima(placed, where, both[0]))
_max_pool.defvjp(lambda x, placed: _first_maximum(x, placed), _from_maxima)  # type: ignore[return-value]
