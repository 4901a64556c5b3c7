"""Pools and batch normalization for tests whose settings name their padding in pairs worked out by hand."""

from __future__ import annotations

from typing import Any

from . import norm, pool
from .conv import Array
from .window import Ints, Pairs


def max_pool(x: Array, gradient: Array, window: Ints, stride: Ints, pairs: Pairs) -> tuple[Array, Array]:
    """The maximum of every window, and the gradient sent to its first place row by row."""
    (dx,) = pool.max_pool_gradient(gradient, x, window, stride, padding=pairs)
    return pool.max_pool(x, window, stride, padding=pairs), dx


def avg_pool(
    x: Array, gradient: Array, window: Ints, stride: Ints, pairs: Pairs, count_include_pad: bool
) -> tuple[Array, Array]:
    """The mean of every window, and the gradient shared out in equal parts."""
    options: dict[str, Any] = {"padding": pairs, "count_include_pad": count_include_pad}
    (dx,) = pool.avg_pool_gradient(gradient, x, window, stride, **options)
    return pool.avg_pool(x, window, stride, **options), dx


def batch_norm(x: Array, scale: Array, bias: Array, eps: float, keep: Any) -> tuple[Array, Array, Array]:
    """The value, mean and unbiased variance; the examples in `keep` make the statistics."""
    return norm.batch_norm(x, scale, bias, eps=eps, mask=keep)
