"""Grouped convolution as dense products.

Forward and input gradient sum over the channels of a group: every group has a product of its own, so that no group
touches the values of another, not even to multiply them by zero (0 times NaN is NaN). A kernel gradient sums over
examples and places alone; there, blocks of several groups are computed, wide enough for what processors are fast at,
and what lies between different groups is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops.window import Window


def _split(array: Array, count: int) -> list[Array]:
    return jnp.split(array, count, axis=-1)


def one_by_one(product: Callable[..., Array], array: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """The dense `product` (forward or input gradient) of every group's channels with its kernel."""
    parts = zip(_split(array, groups), _split(kernel, groups), strict=True)
    return jnp.concatenate([product(part, own, placed, 1) for part, own in parts], axis=-1)


def _merged(fan_in: int, fan_out: int, groups: int) -> int:
    """How many neighbouring groups make a block of at least 32 channels."""
    least = -(-32 // min(fan_in, fan_out))
    return next((n for n in range(least, groups) if groups % n == 0), groups)


def kernel_gradient(product: Callable[..., Array], x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """Of each block's kernel gradient, by the dense `product`, what lies within a group."""
    fan_in, fan_out = x.shape[-1] // groups, gradient.shape[-1] // groups
    merge = _merged(fan_in, fan_out, groups)
    count = groups // merge
    kernels = []
    for part, received in zip(_split(x, count), _split(gradient, count), strict=True):
        dh = product(part, received, placed, 1)
        dh = dh.reshape(*placed.window, merge, fan_in, merge, fan_out)
        own = jnp.stack([dh[..., group, :, group, :] for group in range(merge)], axis=-2)
        kernels.append(own.reshape(*placed.window, fan_in, merge * fan_out))
    return jnp.concatenate(kernels, axis=-1)
