"""What happens among the channels of one place: local response normalization, shuffling, dense layers, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conv import Array


def _denominators(x: Array, size: int, alpha: float, k: float) -> tuple[Array, list[list[int]]]:
    """k + alpha/size sum x^2 over each channel's neighborhood, and the neighborhoods, cut off at the borders."""
    channels = x.shape[-1]
    around = [
        [c + i for i in range(-(size // 2), (size - 1) // 2 + 1) if 0 <= c + i < channels] for c in range(channels)
    ]
    total = np.zeros(x.shape)
    for c, neighbors in enumerate(around):
        for other in neighbors:
            total[..., c] += x[..., other] ** 2
    return k + alpha / size * total, around


def local_response_norm(
    x: Array, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:  # fmt: skip
    """x / (k + alpha/size sum x^2)^beta (Krizhevsky et al. 2012, section 3.3, in PyTorch's convention)."""
    return x / _denominators(x, size, alpha, k)[0] ** beta


def local_response_norm_gradient(
    g: Array, x: Array, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, sign: int = -1
) -> tuple[Array]:
    """x[c] is in its own numerator and in the denominators of its neighbors."""
    denominator, around = _denominators(x, size, alpha, k)
    dx = g * denominator**-beta
    for c, neighbors in enumerate(around):
        through = g[..., c] * x[..., c] * beta * denominator[..., c] ** (-beta - 1)
        for other in neighbors:
            dx[..., other] += sign * through * alpha / size * 2 * x[..., other]
    return (dx,)


def local_response_norm_gradient_magnitude(g: Array, x: Array, **options: Any) -> tuple[Array]:
    return local_response_norm_gradient(np.abs(g), np.abs(x), **options, sign=1)


def channel_shuffle(x: Array, *, groups: int) -> Array:
    """Member j of group i goes to place j * groups + i."""
    y, members = np.zeros(x.shape), x.shape[-1] // groups
    for group in range(groups):
        for member in range(members):
            y[..., member * groups + group] = x[..., group * members + member]
    return y


def channel_shuffle_gradient(g: Array, x: Array, *, groups: int) -> tuple[Array]:
    dx, members = np.zeros(x.shape), x.shape[-1] // groups
    for group in range(groups):
        for member in range(members):
            dx[..., group * members + member] = g[..., member * groups + group]
    return (dx,)


def dense(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    y = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for i, row in enumerate(kernel):
        y += x[..., i : i + 1] * row
    return y if bias is None else y + bias


def dense_gradient(g: Array, x: Array, kernel: Array, bias: Array | None = None) -> tuple[Array, ...]:
    dx, dh = np.zeros(x.shape), np.zeros(kernel.shape)
    for i, row in enumerate(kernel):
        dx[..., i] = (g * row).sum(-1)
        dh[i] = (g * x[..., i : i + 1]).reshape(-1, len(row)).sum(0)
    return (dx, dh) if bias is None else (dx, dh, g.reshape(-1, g.shape[-1]).sum(0))


def radial_basis(x: Array, centers: Array) -> Array:
    """Minus the squared distance to each center."""
    y = np.zeros((*x.shape[:-1], centers.shape[-1]))
    for i, row in enumerate(centers):
        y -= (x[..., i : i + 1] - row) ** 2
    return y


def radial_basis_magnitude(x: Array, centers: Array) -> Array:
    return radial_basis(abs(x), -abs(centers))


def radial_basis_gradient(g: Array, x: Array, centers: Array) -> tuple[Array, ...]:
    dx, dc = np.zeros(x.shape), np.zeros(centers.shape)
    for i, row in enumerate(centers):
        terms = 2 * g * (x[..., i : i + 1] - row)
        dx[..., i] = -terms.sum(-1)
        dc[i] = terms.reshape(-1, len(row)).sum(0)
    return dx, dc


def radial_basis_gradient_magnitude(g: Array, x: Array, centers: Array) -> tuple[Array, ...]:
    return radial_basis_gradient(abs(g), abs(x), -abs(centers))


def dropout(x: Array, *, rate: float, keep: Any) -> Array:
    """The survivors, larger by 1/(1 - rate)."""
    return np.where(np.broadcast_to(keep, x.shape), x / (1 - rate), 0)


def dropped_magnitude(x: Array, *, rate: float, key: int) -> Array:
    """What lives is at most this, whatever the dice say."""
    return np.abs(x) / (1 - rate)


def dropped_gradient_magnitude(g: Array, x: Array, *, rate: float, key: int) -> tuple[Array]:
    return (np.abs(g) / (1 - rate),)
