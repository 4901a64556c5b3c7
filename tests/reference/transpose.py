"""The transpose of a convolution: every input place stamps the kernel, times its value, onto the output.

y[n, pS + uD - P, o] += x[n, p, c] h[u, o, c]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .conv import Array
from .window import Ints, Pairs, inside, meetings, pairs_of, per_dimension


def _geometry(
    sizes: Ints, window: Ints, stride: Ints, padding: Any, output_padding: Any, dilation: Ints
) -> tuple[Ints, Pairs]:
    """Output sizes, and the places that are cut off before and after."""
    extents = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if padding == "valid":  # TensorFlow's
        longer = zip(sizes, stride, extents, strict=True)
        return tuple(n * s + max(e - s, 0) for n, s, e in longer), ((0, 0),) * len(sizes)
    if padding == "same":  # TensorFlow's: that of the convolution over n*S places
        output = tuple(n * s for n, s in zip(sizes, stride, strict=True))
        return output, pairs_of("same", output, window, stride, dilation)
    pairs = pairs_of(padding, sizes, window, stride, dilation)
    more = per_dimension(output_padding, len(sizes))
    parts = zip(sizes, stride, extents, pairs, more, strict=True)
    return tuple((n - 1) * s + e - sum(pair) + m for n, s, e, pair, m in parts), pairs


def _stamps(sizes: Ints, output: Ints, *geometry: Any) -> Iterator[tuple[Ints, Ints, Ints | None]]:
    """Input place, window place and the output place where they meet, None where that is cut off."""
    return ((p, u, q if inside(q, output) else None) for p, u, q in meetings(sizes, *geometry))


def _prepared(x, kernel, stride, padding, output_padding, dilation):
    sizes, window = x.shape[1:-1], kernel.shape[:-2]
    stride, dilation = per_dimension(stride, len(sizes)), per_dimension(dilation, len(sizes))
    output, pairs = _geometry(sizes, window, stride, padding, output_padding, dilation)
    return output, list(_stamps(sizes, output, window, stride, pairs, dilation))


def _groups(x: Array, kernel: Array, groups: int) -> Iterator[tuple[slice, slice]]:
    """The input and the output channels of every group."""
    inputs, outputs = x.shape[-1] // groups, kernel.shape[-2]
    for group in range(groups):
        yield slice(group * inputs, (group + 1) * inputs), slice(group * outputs, (group + 1) * outputs)


def conv_transpose(
    x: Array, kernel: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Array:  # fmt: skip
    """The stamps, added up where they overlap."""
    output, stamps = _prepared(x, kernel, stride, padding, output_padding, dilation)
    y = np.zeros((len(x), *output, kernel.shape[-2] * groups))
    for i, o in _groups(x, kernel, groups):
        for p, u, q in stamps:
            if q is not None:
                y[:, *q, o] += x[:, *p, i] @ kernel[*u, :, i].T
    return y if bias is None else y + bias


def conv_transpose_gradient(
    g: Array, x: Array, kernel: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> tuple[Array, ...]:  # fmt: skip
    """Each product x[p] h[u] at y[q] hands h[u] g[q] to x[p] and x[p] g[q] to h[u], g being 0 where y is cut off."""
    _, stamps = _prepared(x, kernel, stride, padding, output_padding, dilation)
    dx, dh = np.zeros(x.shape), np.zeros(kernel.shape)
    for i, o in _groups(x, kernel, groups):
        for p, u, q in stamps:
            if q is None:
                dh[*u, :, i] += 0 * x[:, *p, i].sum(0)
                continue
            dx[:, *p, i] += g[:, *q, o] @ kernel[*u, :, i]
            dh[*u, :, i] += g[:, *q, o].T @ x[:, *p, i]
    return (dx, dh) if bias is None else (dx, dh, g.reshape(-1, g.shape[-1]).sum(0))
