"""Convolution in narrow groups, of one channel (depthwise) or a few, as loops that read every value where it lies.

There is no sum over many channels for a matrix product to do; XLA:CPU runs a depthwise convolution, and its gradients,
30 to 100 times slower than these.
"""

from __future__ import annotations

import itertools
import math
import operator
from functools import reduce

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops.overlap import over_phases, overlaps, places, shifted, widen
from jaxcnn.ops.window import Window, pad_constant, seen_by


def _windows(x, placed):
    """What each place of the window meets, in row-major order."""
    padded = pad_constant(x, placed.pairs, 0)
    return [seen_by(padded, placed, place) for place in itertools.product(*map(range, placed.window))]


def _sum(terms):
    return reduce(operator.add, terms)


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """y as the sum of the window's places, each times its own weights per channel."""
    *_, fan_in, width = kernel.shape
    weights = kernel.reshape(-1, fan_in, *[1] * (x.ndim - 1), groups, width // groups)

    def shares():
        for seen, weight in zip(_windows(x, placed), weights, strict=True):
            apart = seen.reshape(*seen.shape[:-1], groups, fan_in)
            yield from (apart[..., i, None] * weight[i] for i in range(fan_in))

    y = _sum(shares())
    return y.reshape(*y.shape[:-2], width)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """dx as the sum of what every place receives from the windows that see it."""
    *_, fan_in, width = kernel.shape
    several = width // groups
    weights = jnp.moveaxis(kernel.reshape(-1, fan_in, groups, several), 1, -1)  # (K, groups, O, I)
    widened = widen(gradient, placed, 0)

    def shares():
        for shift, numbers in overlaps(placed):
            received = shifted(widened, placed, shift)
            apart = received.reshape(*received.shape[:-1], groups, several)
            own = over_phases(weights[numbers], placed)
            share = _sum(apart[..., o, None] * own[..., o, :] for o in range(several))
            there = over_phases(numbers[..., None, None] >= 0, placed)
            yield share if there.all() else jnp.where(there, share, 0)  # a phase without a place: no weight 0, nothing

    total = _sum(shares())
    return places(total.reshape(*total.shape[:-2], groups * fan_in), placed)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """dh of one channel per group, as the sums of all places together, in one pass: (*window, 1, C * several)."""
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
