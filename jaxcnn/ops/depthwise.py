"""Depthwise convolution (one group per channel) as loops that read every value where it lies.

A depthwise convolution has no sum over channels for a matrix product to do; XLA:CPU runs it, and its gradients, 30 to
100 times slower than these.
"""

from __future__ import annotations

import itertools
import math

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops.overlap import over_phases, overlaps, places, shifted, widen
from jaxcnn.ops.window import Window, pad_constant, seen_by


def _windows(x, placed):
    """What each place of the window meets, in row-major order."""
    padded = pad_constant(x, placed.pairs, 0)
    return [seen_by(padded, placed, place) for place in itertools.product(*map(range, placed.window))]


def _sum(terms):
    total, *rest = terms
    for term in rest:
        total = total + term
    return total


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """y as the sum of the window's places, each times its own weight per channel."""
    several = kernel.shape[-1] // groups
    weights = kernel.reshape(-1, groups, several)
    if several == 1:
        return _sum(seen * weight[:, 0] for seen, weight in zip(_windows(x, placed), weights, strict=True))
    y = _sum(seen[..., None] * weight for seen, weight in zip(_windows(x, placed), weights, strict=True))
    return y.reshape(*y.shape[:-2], groups * several)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """dx as the sum of what every place receives from the windows that see it."""
    several = kernel.shape[-1] // groups
    weights = kernel.reshape(-1, groups, several)
    weights = jnp.concatenate([weights, jnp.zeros_like(weights[:1])])  # number -1: no place, no weight
    widened = widen(gradient, placed, 0)
    total = None
    for shift, numbers in overlaps(placed):
        received = shifted(widened, placed, shift)
        received = received.reshape(*received.shape[:-1], groups, several)
        share = _sum(received[..., i] * over_phases(weights[numbers, :, i], placed) for i in range(several))
        total = share if total is None else total + share
    assert total is not None
    return places(total, placed)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """dh as the sums of all places together, in one pass over an example: (*window, 1, C * several)."""
    several = gradient.shape[-1] // groups
    windows = _windows(x, placed)
    if several > 1:
        windows = [jnp.repeat(seen, several, axis=-1) for seen in windows]
    spatial = tuple(range(1, x.ndim - 1))
    zeros = [jnp.zeros((), x.dtype)] * len(windows)
    sums = lax.reduce([seen * gradient for seen in windows], zeros, _add, spatial)
    dh = jnp.stack([part.sum(0) for part in sums])
    return dh.reshape(*placed.window, 1, math.prod(gradient.shape[-1:]))


def _add(one, other):
    return [a + b for a, b in zip(one, other, strict=True)]
