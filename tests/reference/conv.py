"""Convolutions: y[n, p, o] = sum over u, i of x[n, pS + uD - P, i] h[u, i, o], and what each product hands back.

`<operation>(*arrays, **options)` is the value, `<operation>_gradient(g, *arrays, **options)` the gradients of
sum(g * y), one for each array.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .window import Ints, inside, meetings, output_sizes, pairs_of, per_dimension

Array = NDArray[np.float64]


class _Plan(NamedTuple):
    """The meetings of one convolution, each with the place that is read, None outside the image."""

    output: Ints
    reads: list[tuple[Ints, Ints, Ints | None]]


def _read(a: Ints, sizes: Ints, mode: Any) -> Ints | None:
    """The place whose value stands at `a`, which may be in the padding."""
    if inside(a, sizes):
        return a
    if mode == "replicate":
        return tuple(min(max(place, 0), n - 1) for place, n in zip(a, sizes, strict=True))
    if mode == "circular":
        return tuple(place % n for place, n in zip(a, sizes, strict=True))
    if mode == "reflect":  # the border itself is not repeated
        mirrored = (-place if place < 0 else place for place in a)
        return tuple(2 * (n - 1) - place if place >= n else place for place, n in zip(mirrored, sizes, strict=True))
    return None


def _plan(sizes: Ints, window: Ints, stride: Any, padding: Any, dilation: Any, mode: Any) -> _Plan:
    stride, dilation = per_dimension(stride, len(sizes)), per_dimension(dilation, len(sizes))
    pairs = pairs_of(padding, sizes, window, stride, dilation)
    output = output_sizes(sizes, window, stride, pairs, dilation)
    reads = [(p, u, _read(a, sizes, mode)) for p, u, a in meetings(output, window, stride, pairs, dilation)]
    return _Plan(output, reads)


def _around(mode: Any) -> float:
    return 0.0 if isinstance(mode, str) else float(mode)


def conv(
    x: Array, kernel: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, padding_mode: Any = "zeros",
) -> Array:  # fmt: skip
    """The sum of the definition, group by group."""
    *window, fan_in, width = kernel.shape
    plan = _plan(x.shape[1:-1], tuple(window), stride, padding, dilation, padding_mode)
    y = np.zeros((len(x), *plan.output, width))
    outside = np.full((len(x), x.shape[-1]), _around(padding_mode))
    for group in range(groups):
        i = slice(group * fan_in, (group + 1) * fan_in)
        o = slice(group * width // groups, (group + 1) * width // groups)
        for p, u, a in plan.reads:
            seen = outside[:, i] if a is None else x[:, *a, i]
            y[:, *p, o] += seen @ kernel[*u, :, o]
    return y if bias is None else y + bias


def conv_gradient(
    g: Array, x: Array, kernel: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1, padding_mode: Any = "zeros",
) -> tuple[Array, ...]:  # fmt: skip
    """Each product x[a] h[u] of y[p] hands h[u] g[p] to x[a] and x[a] g[p] to h[u]."""
    *window, fan_in, width = kernel.shape
    plan = _plan(x.shape[1:-1], tuple(window), stride, padding, dilation, padding_mode)
    dx, dh = np.zeros(x.shape), np.zeros(kernel.shape)
    outside = np.full((len(x), x.shape[-1]), _around(padding_mode))
    for group in range(groups):
        i = slice(group * fan_in, (group + 1) * fan_in)
        o = slice(group * width // groups, (group + 1) * width // groups)
        for p, u, a in plan.reads:
            if a is None:
                dh[*u, :, o] += outside[:, i].T @ g[:, *p, o]
                continue
            dh[*u, :, o] += x[:, *a, i].T @ g[:, *p, o]
            dx[:, *a, i] += g[:, *p, o] @ kernel[*u, :, o].T
    return (dx, dh) if bias is None else (dx, dh, g.reshape(-1, width).sum(0))


def _reversed(kernel: Array) -> Array:
    turned = np.zeros(kernel.shape)
    window = kernel.shape[:-2]
    for u in np.ndindex(*window):
        turned[*(k - 1 - v for k, v in zip(window, u, strict=True)),] = kernel[u]
    return turned


def convolve(x: Array, kernel: Array, bias: Array | None = None, **options: Any) -> Array:
    """The image meets the kernel backwards."""
    return conv(x, _reversed(kernel), bias, **options)


def convolve_gradient(g: Array, x: Array, kernel: Array, bias: Array | None = None, **options: Any):
    dx, dh, *rest = conv_gradient(g, x, _reversed(kernel), bias, **options)
    return (dx, _reversed(dh), *rest)


def depthwise_conv(x: Array, kernel: Array, bias: Array | None = None, **options: Any) -> Array:
    """Every channel has kernels of its own: channel c makes the outputs c*m to (c+1)*m."""
    multiplier = kernel.shape[-1] // x.shape[-1]
    parts = []
    for c in range(x.shape[-1]):
        own = slice(c * multiplier, (c + 1) * multiplier)
        parts.append(conv(x[..., c : c + 1], kernel[..., own], None, **options))
    y = np.concatenate(parts, -1)
    return y if bias is None else y + bias


def depthwise_conv_gradient(g: Array, x: Array, kernel: Array, bias: Array | None = None, **options: Any):
    multiplier = kernel.shape[-1] // x.shape[-1]
    parts = []
    for c in range(x.shape[-1]):
        own = slice(c * multiplier, (c + 1) * multiplier)
        parts.append(conv_gradient(g[..., own], x[..., c : c + 1], kernel[..., own], None, **options))
    dx, dh = (np.concatenate(pieces, -1) for pieces in zip(*parts, strict=True))
    return (dx, dh) if bias is None else (dx, dh, g.reshape(-1, g.shape[-1]).sum(0))


def separable_conv(x: Array, depthwise: Array, pointwise: Array, bias: Array | None = None, **options: Any) -> Array:
    """Each channel alone, then all channels of one place."""
    y = depthwise_conv(x, depthwise, **options) @ pointwise.reshape(pointwise.shape[-2:])
    return y if bias is None else y + bias


def separable_conv_gradient(
    g: Array, x: Array, depthwise: Array, pointwise: Array, bias: Array | None = None, **options: Any
):
    between, mixing = depthwise_conv(x, depthwise, **options), pointwise.reshape(pointwise.shape[-2:])
    width = g.shape[-1]
    dx, dh = depthwise_conv_gradient(g @ mixing.T, x, depthwise, **options)
    dp = (between.reshape(-1, len(mixing)).T @ g.reshape(-1, width)).reshape(pointwise.shape)
    return (dx, dh, dp) if bias is None else (dx, dh, dp, g.reshape(-1, width).sum(0))
