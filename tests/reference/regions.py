"""Pools whose windows follow from the output's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conv import Array
from .pool import _greater
from .window import Ints


def _bins(sizes: Ints, outputs: Any) -> tuple[Ints, dict[Ints, list[Ints]]]:
    """The bin of output place i of o over n places: those of [floor(i n / o), ceil((i + 1) n / o))."""
    wanted = (outputs,) * len(sizes) if isinstance(outputs, int) or outputs is None else outputs
    output = tuple(n if o is None else o for n, o in zip(sizes, wanted, strict=True))
    bins = {}
    for p in np.ndindex(*output):
        spans = [range(i * n // o, -(-(i + 1) * n // o)) for i, n, o in zip(p, sizes, output, strict=True)]
        offsets = np.ndindex(*map(len, spans))
        bins[p] = [tuple(span[j] for span, j in zip(spans, offset, strict=True)) for offset in offsets]
    return output, bins


def adaptive_avg_pool(x: Array, sizes: Any) -> Array:
    output, bins = _bins(x.shape[1:-1], sizes)
    y = np.zeros((len(x), *output, x.shape[-1]))
    for p, places in bins.items():
        for a in places:
            y[:, *p] += x[:, *a] / len(places)
    return y


def adaptive_avg_pool_gradient(g: Array, x: Array, sizes: Any) -> tuple[Array]:
    dx = np.zeros(x.shape)
    for p, places in _bins(x.shape[1:-1], sizes)[1].items():
        for a in places:
            dx[:, *a] += g[:, *p] / len(places)
    return (dx,)


def _first_maximum(x: Array, places: list[Ints]) -> tuple[Array, Array]:
    best, which = x[:, *places[0]].copy(), np.zeros((len(x), x.shape[-1]), int)
    for number, a in enumerate(places):
        wins = _greater(x[:, *a], best)
        best, which = np.where(wins, x[:, *a], best), np.where(wins, number, which)
    return best, which


def adaptive_max_pool(x: Array, sizes: Any) -> Array:
    output, bins = _bins(x.shape[1:-1], sizes)
    y = np.zeros((len(x), *output, x.shape[-1]))
    for p, places in bins.items():
        y[:, *p], _ = _first_maximum(x, places)
    return y


def adaptive_max_pool_gradient(g: Array, x: Array, sizes: Any) -> tuple[Array]:
    dx = np.zeros(x.shape)
    for p, places in _bins(x.shape[1:-1], sizes)[1].items():
        _, which = _first_maximum(x, places)
        for number, a in enumerate(places):
            dx[:, *a] += np.where(which == number, g[:, *p], 0)
    return (dx,)


def adaptive_max_pool_magnitude(x: Array, sizes: Any) -> Array:
    """The values themselves: nothing is computed."""
    return np.abs(adaptive_max_pool(x, sizes))


def adaptive_max_pool_gradient_magnitude(g: Array, x: Array, sizes: Any) -> tuple[Array]:
    return adaptive_max_pool_gradient(np.abs(g), x, sizes)


def _keep(y: Array, keepdims: bool) -> Array:
    return y if keepdims else y.reshape(len(y), y.shape[-1])


def global_avg_pool(x: Array, *, keepdims: bool = False) -> Array:
    return _keep(adaptive_avg_pool(x, 1), keepdims)


def global_avg_pool_gradient(g: Array, x: Array, *, keepdims: bool = False) -> tuple[Array]:
    return adaptive_avg_pool_gradient(g.reshape(len(x), *[1] * (x.ndim - 2), -1), x, 1)


def global_max_pool(x: Array, *, keepdims: bool = False) -> Array:
    return _keep(adaptive_max_pool(x, 1), keepdims)


def global_max_pool_gradient(g: Array, x: Array, *, keepdims: bool = False) -> tuple[Array]:
    return adaptive_max_pool_gradient(g.reshape(len(x), *[1] * (x.ndim - 2), -1), x, 1)


def global_max_pool_magnitude(x: Array, *, keepdims: bool = False) -> Array:
    return np.abs(global_max_pool(x, keepdims=keepdims))


def global_max_pool_gradient_magnitude(g: Array, x: Array, *, keepdims: bool = False) -> tuple[Array]:
    return global_max_pool_gradient(np.abs(g), x, keepdims=keepdims)
