"""Grouped convolution as dense products over blocks of channels, with a few groups side by side in each.

A block's kernel is zero between different groups: more multiplications than needed, but in the dense products that
processors are fast at. Each function takes the dense product as its first argument.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops.window import Window


def _merged(fan_in: int, fan_out: int, groups: int) -> int:
    """How many neighbouring groups make a block of at least 32 channels."""
    least = -(-32 // min(fan_in, fan_out))
    return next((n for n in range(least, groups) if groups % n == 0), groups)


def _split(array: Array, count: int) -> list[Array]:
    return jnp.split(array, count, axis=-1)


def _block_diagonal(kernel: Array, merge: int) -> Array:
    """(*window, I, merge * O) -> (*window, merge * I, merge * O), zero between different groups."""
    *window, fan_in, width = kernel.shape
    parts = kernel.reshape(*window, 1, fan_in, merge, width // merge)
    apart = jnp.eye(merge, dtype=kernel.dtype).reshape(merge, 1, merge, 1)
    return (parts * apart).reshape(*window, merge * fan_in, width)


def by_block(product: Callable[..., Array], array: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """The forward product or the input gradient of x or of y's gradient, with the kernel."""
    merge = _merged(kernel.shape[-2], kernel.shape[-1] // groups, groups)
    count = groups // merge
    kernels = (_block_diagonal(part, merge) for part in _split(kernel, count))
    results = [product(part, block, placed, 1) for part, block in zip(_split(array, count), kernels, strict=True)]
    return jnp.concatenate(results, axis=-1)


def kernel_gradient(product: Callable[..., Array], x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """Of each block's kernel gradient, what lies within a group."""
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
