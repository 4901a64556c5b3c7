"""Pools: one number for every window. `<pool>(x, ...)` is the value, `<pool>_gradient(g, x, ...)` the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conv import Array
from .window import Ints, Pairs, inside, meetings, output_sizes, pairs_of, per_dimension


def _windows(
    x: Array, window: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Ints, dict[Ints, list[Ints]], Pairs]:
    """Output sizes, and for every output place the input places of its window, outside ones too."""
    sizes = x.shape[1:-1]
    window = per_dimension(window, len(sizes))
    stride = window if stride is None else per_dimension(stride, len(sizes))
    dilation = per_dimension(dilation, len(sizes))
    pairs = pairs_of(padding, sizes, window, stride, dilation)
    output = output_sizes(sizes, window, stride, pairs, dilation, ceil_mode)
    places: dict[Ints, list[Ints]] = {p: [] for p in np.ndindex(*output)}
    for p, _, a in meetings(output, window, stride, pairs, dilation):
        places[p].append(a)
    return output, places, pairs


def _greater(value: Array, best: Array) -> Array:
    """NaN is the greatest; an equal does not displace what came before it."""
    return (value > best) | (np.isnan(value) & ~np.isnan(best))


def max_pool_with_indices(
    x: Array, window: Any, stride: Any = None, *, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Array, Any]:
    """The first greatest value of every window, and its place: its number among all places, row by row."""
    output, places, _ = _windows(x, window, stride, padding, dilation, ceil_mode)
    y = np.full((len(x), *output, x.shape[-1]), -np.inf)
    index = np.full(y.shape, -1)
    for p, window_places in places.items():
        for a in window_places:
            if not inside(a, x.shape[1:-1]):
                continue
            number = 0
            for place, n in zip(a, x.shape[1:-1], strict=True):
                number = number * n + place
            wins = _greater(x[:, *a], y[:, *p]) | (index[:, *p] < 0)
            y[:, *p] = np.where(wins, x[:, *a], y[:, *p])
            index[:, *p] = np.where(wins, number, index[:, *p])
    return y, index


def max_pool(x: Array, window: Any, stride: Any = None, **options: Any) -> Array:
    return max_pool_with_indices(x, window, stride, **options)[0]


def max_pool_gradient(g: Array, x: Array, window: Any, stride: Any = None, **options: Any) -> tuple[Array]:
    """The whole gradient to the first maximum."""
    _, index = max_pool_with_indices(x, window, stride, **options)
    return (max_unpool(g, index, x.shape[1:-1]),)


def max_pool_magnitude(x: Array, window: Any, stride: Any = None, **options: Any) -> Array:
    """The values themselves: nothing is computed."""
    return np.abs(max_pool(x, window, stride, **options))


def max_pool_gradient_magnitude(g: Array, x: Array, window: Any, stride: Any = None, **options: Any) -> tuple[Array]:
    return max_pool_gradient(np.abs(g), x, window, stride, **options)


def max_pool_with_indices_magnitude(x: Array, window: Any, stride: Any = None, **options: Any) -> tuple[Array, Any]:
    y, index = max_pool_with_indices(x, window, stride, **options)
    return np.abs(y), index


def max_pool_with_indices_gradient(*arrays: Any, **options: Any) -> tuple[Array]:
    return max_pool_gradient(*arrays, **options)


def max_pool_with_indices_gradient_magnitude(*arrays: Any, **options: Any) -> tuple[Array]:
    return max_pool_gradient_magnitude(*arrays, **options)


def max_unpool(x: Array, indices: Any, sizes: Any) -> Array:
    """Every value at its place; values that share a place add up."""
    flat = np.zeros((len(x), int(np.prod(sizes)), x.shape[-1]))
    for n, *p, c in np.ndindex(*x.shape):
        flat[n, indices[n, *p, c], c] += x[n, *p, c]
    return flat.reshape(len(x), *sizes, x.shape[-1])


def max_unpool_gradient(g: Array, x: Array, indices: Any, sizes: Any) -> tuple[Array]:
    """Every value gets what came to its place."""
    flat, dx = g.reshape(len(x), -1, x.shape[-1]), np.zeros(x.shape)
    for n, *p, c in np.ndindex(*x.shape):
        dx[n, *p, c] = flat[n, indices[n, *p, c], c]
    return (dx,)


def _shares(x: Array, window, stride, padding, dilation, ceil_mode, count_include_pad) -> tuple[Ints, dict]:
    """For every output place: its divisor and the input places that are on the image."""
    output, places, pairs = _windows(x, window, stride, padding, dilation, ceil_mode)
    sizes = x.shape[1:-1]
    shares = {}
    for p, window_places in places.items():
        on_image = [a for a in window_places if inside(a, sizes)]
        padded = [
            a for a in window_places
            if all(-b <= place < n + e for place, n, (b, e) in zip(a, sizes, pairs, strict=True))
        ]  # fmt: skip
        shares[p] = max(len(padded if count_include_pad else on_image), 1), on_image
    return output, shares


def avg_pool(
    x: Array, window: Any, stride: Any = None, *, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:  # fmt: skip
    """The sum of a window over the number of its places: of image and padding, or of the image alone."""
    output, shares = _shares(x, window, stride, padding, dilation, ceil_mode, count_include_pad)
    y = np.zeros((len(x), *output, x.shape[-1]))
    for p, (divisor, on_image) in shares.items():
        for a in on_image:
            y[:, *p] += x[:, *a] / divisor
    return y


def avg_pool_gradient(
    g: Array, x: Array, window: Any, stride: Any = None, *, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> tuple[Array]:  # fmt: skip
    """An equal part to every place of the window."""
    _, shares = _shares(x, window, stride, padding, dilation, ceil_mode, count_include_pad)
    dx = np.zeros(x.shape)
    for p, (divisor, on_image) in shares.items():
        for a in on_image:
            dx[:, *a] += g[:, *p] / divisor
    return (dx,)


def lp_pool(
    x: Array, window: Any, stride: Any = None, *, p: float = 2.0, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """(sum |x|^p)^(1/p) over every window; the greatest |x| where p is infinite."""
    options: dict[str, Any] = {"padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    if p == np.inf:
        return max_pool(np.abs(x), window, stride, **options)
    output, places, _ = _windows(x, window, stride, **options)
    total = np.zeros((len(x), *output, x.shape[-1]))
    for q, window_places in places.items():
        for a in window_places:
            if inside(a, x.shape[1:-1]):
                total[:, *q] += np.abs(x[:, *a]) ** p
    return total ** (1 / p)


def lp_pool_gradient(
    g: Array, x: Array, window: Any, stride: Any = None, *, p: float = 2.0, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[Array]:  # fmt: skip
    """g sign(x) (|x| / y)^(p-1), and 0 where the window holds nothing but zeros."""
    options: dict[str, Any] = {"padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    if p == np.inf:
        return (np.sign(x) * max_pool_gradient(g, np.abs(x), window, stride, **options)[0],)
    y = lp_pool(x, window, stride, p=p, **options)
    _, places, _ = _windows(x, window, stride, **options)
    dx = np.zeros(x.shape)
    for q, window_places in places.items():
        norm = np.where(y[:, *q] == 0, 1.0, y[:, *q])
        for a in window_places:
            if inside(a, x.shape[1:-1]):
                share = np.sign(x[:, *a]) * (np.abs(x[:, *a]) / norm) ** (p - 1)
                dx[:, *a] += np.where(y[:, *q] == 0, 0.0, g[:, *q] * share)
    return (dx,)
