"""Pooling, as comparisons and sums of strided slices.

XLA's `reduce_window` has a gradient (`select_and_scatter`) that is slow to run and slow to compile on CPU; slices
have neither fault. Max pooling sends the whole gradient to the first maximum of a window, in row-major order, as
`lax` and PyTorch do; average pooling gives every one of the Q places of a window 1/Q of it.
"""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops.window import Padding, Size, output_sizes, padding_pairs, per_dimension


def max_pool(x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0) -> Array:
    """The maximum over windows of (N, *spatial, C); padding counts as minus infinity.

    `stride` defaults to the window; `padding` is that of `conv`. Returns (N, *output, C) with
    output = floor((W - K + 2P)/S) + 1. Raises ValueError where the window does not fit or holds nothing but padding.
    """
    window, stride, pairs, sizes = _geometry(x, window, stride, padding)
    if any(k <= max(pair) for k, pair in zip(window, pairs, strict=True)):
        raise ValueError(f"max_pool with padding {pairs} has windows of {window} that hold nothing but padding")
    return _max_pool(x, window, stride, pairs, sizes)


def avg_pool(
    x: Array,
    window: Size,
    stride: Size | None = None,
    *,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """The mean over windows of (N, *spatial, C).

    `stride` defaults to the window. With `count_include_pad` (PyTorch's default) the divisor is the window's size;
    without it (TensorFlow's rule) it is the number of places that are not padding. Raises ValueError where the
    window does not fit.
    """
    window, stride, pairs, sizes = _geometry(x, window, stride, padding)
    padded = _pad(x, pairs, 0)
    total: Array = sum(_slice(padded, place, stride, sizes) for place in _places(window))  # type: ignore[assignment]
    if count_include_pad:
        return total / np.prod(window).astype(x.dtype)
    inside = np.pad(np.ones(x.shape[1:-1]), pairs)
    count = sum(_slice(inside[None, ..., None], place, stride, sizes) for place in _places(window))
    return total / np.maximum(count, 1).astype(x.dtype)


def global_avg_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The mean over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C) with `keepdims`."""
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_max_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The maximum over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C); ties go to the first place."""
    places = x.reshape(x.shape[0], -1, x.shape[-1])
    # `max_pool` would unroll every place of the image into a slice of its own: 18 s of compilation at 28x28.
    first = jnp.argmax(places, axis=1, keepdims=True)
    y = jnp.take_along_axis(places, first, axis=1)
    return y.reshape(x.shape[0], *[1] * (x.ndim - 2 if keepdims else 0), x.shape[-1])


def _geometry(x, window, stride, padding):
    dimensions = x.ndim - 2
    if dimensions < 1:
        raise ValueError(f"pooling takes (N, at least one spatial dimension, C), not {x.shape}")
    window = per_dimension(window, dimensions, "window")
    stride = window if stride is None else per_dimension(stride, dimensions, "stride")
    once = (1,) * dimensions
    pairs = padding_pairs(padding, x.shape[1:-1], window, stride, once)
    return window, stride, pairs, output_sizes(x.shape[1:-1], window, stride, pairs, once)


def _places(window):
    return itertools.product(*map(range, window))


def _pad(x, pairs, value):
    return jnp.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value) if any(map(any, pairs)) else x


def _slice(x, place, stride, sizes):
    """What one place of the window meets: (N, *output, C)."""
    spans = (slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(place, sizes, stride, strict=True))
    return x[(slice(None), *spans, slice(None))]


def _first_maximum(x, window, stride, pairs, sizes):
    """The maximum of every window and the number of the place where it stands first. NaN counts as the greatest."""
    padded = _pad(x, pairs, -jnp.inf)
    best, where = None, None
    for number, place in enumerate(_places(window)):
        value = _slice(padded, place, stride, sizes)
        if best is None or where is None:
            best, where = value, jnp.zeros(value.shape, jnp.uint8 if np.prod(window) <= 256 else jnp.int32)
            continue
        greater = (value > best) | (jnp.isnan(value) & ~jnp.isnan(best))
        best, where = jnp.where(greater, value, best), jnp.where(greater, where.dtype.type(number), where)
    return best, where


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _max_pool(x, window, stride, pairs, sizes):
    return _first_maximum(x, window, stride, pairs, sizes)[0]


def _max_pool_forward(x, window, stride, pairs, sizes):
    best, where = _first_maximum(x, window, stride, pairs, sizes)
    return best, (where, x.shape[1:-1])


def _max_pool_backward(window, stride, pairs, sizes, residuals, gradient):
    where, spatial = residuals
    total = None
    for number, place in enumerate(_places(window)):
        share = jnp.where(where == number, gradient, 0)
        around = [
            (b - before, n + before - b - (out - 1) * s - 1, s - 1)
            for b, n, out, s, (before, _) in zip(place, spatial, sizes, stride, pairs, strict=True)
        ]
        spread = lax.pad(share, jnp.zeros((), share.dtype), ((0, 0, 0), *around, (0, 0, 0)))
        total = spread if total is None else total + spread
    return (total,)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
