"""Upsampling: every place of the output reads one place of the input, or interpolates between neighbors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conv import Array
from .window import Ints


def _readings(
    n: int, scale: int, method: str, align_corners: bool, magnitude: bool
) -> list[list[tuple[int, float]]]:  # fmt: skip
    """For every output place along one dimension: the input places it reads, each with its weight.

    The weights are differences of `center` and an integer, so they err by some part of `center`: their `magnitude`.
    """
    found = []
    for i in range(n * scale):
        if method == "nearest":
            found.append([(i // scale, 1.0)])
            continue
        # Where the center of output place i lies among the centers of the input places, 0 to n - 1.
        center = i * (n - 1) / max(n * scale - 1, 1) if align_corners else (2 * i + 1 - scale) / (2 * scale)
        center = min(max(center, 0.0), n - 1.0)
        left = min(int(center), n - 1)
        right = min(left + 1, n - 1) if center > left else left  # a place alone, where the centers meet
        more = center if magnitude else 0.0
        found.append([(left, 1 - (center - left) + more), (right, center - left + more)])
    return found


def _products(
    sizes: Ints, scale: Any, method: str, align_corners: bool, magnitude: bool
) -> list[tuple[Ints, Ints, float]]:  # fmt: skip
    """(output place, input place, weight)."""
    scales = (scale,) * len(sizes) if isinstance(scale, int) else tuple(scale)
    lines = [_readings(n, s, method, align_corners, magnitude) for n, s in zip(sizes, scales, strict=True)]
    found = []
    for p in np.ndindex(*(len(line) for line in lines)):
        readings = [line[i] for line, i in zip(lines, p, strict=True)]
        for choice in np.ndindex(*map(len, readings)):
            read = [reading[j] for reading, j in zip(readings, choice, strict=True)]
            found.append((p, tuple(place for place, _ in read), float(np.prod([weight for _, weight in read]))))
    return found


def upsample(
    x: Array, scale: Any, *, method: str = "nearest", align_corners: bool = False, magnitude: bool = False
) -> Array:
    products = _products(x.shape[1:-1], scale, method, align_corners, magnitude)
    y = np.zeros((len(x), *(last + 1 for last in products[-1][0]), x.shape[-1]))
    for p, a, weight in products:
        y[:, *p] += weight * x[:, *a]
    return y


def upsample_gradient(
    g: Array, x: Array, scale: Any, *, method: str = "nearest", align_corners: bool = False, magnitude: bool = False
) -> tuple[Array]:
    dx = np.zeros(x.shape)
    for p, a, weight in _products(x.shape[1:-1], scale, method, align_corners, magnitude):
        dx[:, *a] += weight * g[:, *p]
    return (dx,)


def upsample_magnitude(x: Array, **options: Any) -> Array:
    return upsample(np.abs(x), **options, magnitude=True)


def upsample_gradient_magnitude(g: Array, x: Array, **options: Any) -> tuple[Array]:
    return upsample_gradient(np.abs(g), x, **options, magnitude=True)
