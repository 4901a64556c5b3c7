"""Pooling, as comparisons and sums of strided slices.

XLA's `reduce_window` has a gradient (`select_and_scatter`) that is slow to run and slow to compile on CPU, and is
itself slower than slices but for a large padded image; slices have neither fault. Max pooling sends the whole gradient
to the first maximum of a window, in row-major order, as `lax` and PyTorch do; average pooling gives every one of the Q
places of a window 1/Q of it.
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
    _, number = _first_maximum(x, placed)
    number = number.astype(jnp.int32)
    index = jnp.zeros((), jnp.int32)
    for axis, size in enumerate(placed.sizes):
        inside = math.prod(placed.window[axis + 1 :])
        step = number // inside % placed.window[axis]
        shape = [-1 if dimension == axis else 1 for dimension in range(len(placed.sizes))]
        starts = np.arange(placed.output[axis]) * placed.stride[axis] - placed.pairs[axis][0]
        at = jnp.asarray(starts.reshape(1, *shape, 1), jnp.int32) + step * placed.dilation[axis]
        index = index * size + at
    return _max_pool(x, placed), index


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
    divisor = np.ones(())
    for n, k, s, (before, _), d, out, (_, after) in zip(*placed, placed.output, counted, strict=True):
        at = np.arange(out)[:, None] * s - before + np.arange(k) * d
        counts = (at < n + after) if count_include_pad else (at >= 0) & (at < n)
        divisor = divisor[..., None] * counts.sum(1)
    if (divisor == divisor.flat[0]).all():
        divisor = divisor.flat[0]
    total = _sum_pool(x.astype(wide(x.dtype)), placed)
    return (total / jnp.asarray(np.expand_dims(divisor, -1), total.dtype)).astype(x.dtype)


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
    total = _sum_pool(size**p, placed)
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


def _sum_pool(x: Array, placed: Window) -> Array:
    overlapping = any(k > s for k, s in zip(placed.window, placed.stride, strict=True))
    if overlapping and x.ndim < 5 and str(x.dtype) in native.DTYPES and native.available():
        return _sum_pool_by_convolution(x, placed)  # type: ignore[return-value]
    return _plain_sum_pool(x, placed)


def _plain_sum_pool(x, placed):
    padded = pad_constant(x, placed.pairs, 0)
    parts = (seen_by(padded, placed, place) for place in _places(placed.window))
    return sum(parts, start=next(parts))


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _sum_pool_by_convolution(x, placed):
    """A depthwise convolution with ones: 3x3, stride 2, of 64 channels at 32x32 in half the time; not so backward."""
    ones = jnp.ones((*placed.window, 1, x.shape[-1]), x.dtype)
    return native.forward(x, ones, placed, x.shape[-1])


def _sum_pool_backward(placed, _, gradient):
    images = jax.ShapeDtypeStruct((gradient.shape[0], *placed.sizes, gradient.shape[-1]), gradient.dtype)
    return jax.linear_transpose(partial(_plain_sum_pool, placed=placed), images)(gradient)


_sum_pool_by_convolution.defvjp(lambda x, placed: (_sum_pool_by_convolution(x, placed), None), _sum_pool_backward)


def _first_along(x, axis):
    """The maximum along one axis, kept as one place; the gradient goes to the first."""
    return jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis)


def _first_maximum(x, placed):
    """The maximum of every window and the number of the place where it stands first. NaN counts as the greatest."""
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    numbers = jnp.uint8 if math.prod(placed.window) < 255 else jnp.int32
    places = _places(placed.window)
    best = seen_by(padded, placed, next(places))
    where = jnp.zeros(best.shape, numbers)
    for number, place in enumerate(places, 1):
        value = seen_by(padded, placed, place)
        greater = ~(value <= best) & (best == best)  # or NaN, unless NaN came before
        best, where = jnp.where(greater, value, best), jnp.where(greater, numbers(number), where)
    return best, where


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x, placed):
    if any(map(any, placed.pairs)) and math.prod(placed.stride) > 1:
        # slices of a padded image compile six times as slowly (0.15 s for 112x112x64), and run twice as slowly there
        one, pairs = (1,), ((0, 0), *placed.pairs, (0, 0))
        window, stride, dilation = (one + sizes + one for sizes in (placed.window, placed.stride, placed.dilation))
        return lax.reduce_window(
            x, np.array(-np.inf, x.dtype), lax.max, window, stride, pairs, window_dilation=dilation
        )
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    return reduce(lax.max, (seen_by(padded, placed, place) for place in _places(placed.window)))


def _max_pool_forward(x, placed):
    return _first_maximum(x, placed)


def _max_pool_backward(placed, where, gradient):
    """Every place collects the gradient of the windows whose maximum it is: no scatter, one fused comparison."""
    nowhere = np.iinfo(where.dtype).max
    gradient, where = widen(gradient, placed, 0), widen(where, placed, nowhere)
    total = None
    for shift, numbers in overlaps(placed):
        mine = over_phases(np.where(numbers < 0, nowhere - 1, numbers)[..., None].astype(where.dtype), placed)
        share = jnp.where(shifted(where, placed, shift) == mine, shifted(gradient, placed, shift), 0)
        total = share if total is None else total + share
    assert total is not None
    return (places(total, placed),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
