"""How parameters begin: functions of a key and a shape."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

constant = jax.nn.initializers.constant
zeros, ones = jax.nn.initializers.zeros, jax.nn.initializers.ones


@partial(jax.jit, static_argnums=1)
def _truncated_normal(key: Array, count: int) -> Array:
    return jax.random.truncated_normal(key, -2, 2, (count,))


@partial(jax.jit, static_argnums=1)
def _shaped(values: Array, shape: tuple[int, ...], deviation: Array) -> Array:
    return (values[: math.prod(shape)] * deviation.astype(values.dtype)).reshape(shape)


def he(key: Array, shape: tuple[int, ...], fan_in: int | None = None) -> Array:
    """He normal (He et al. 2015): deviation sqrt(2 / fan_in), from normal numbers within two standard deviations.

    They are the first of the next power of two of them: few sizes of random numbers, which are slow to compile.
    """
    inputs = math.prod(shape[:-1]) if fan_in is None else fan_in
    deviation = math.sqrt(2 / inputs) / 0.87962566103423978  # of a normal number cut off at two deviations
    values = _truncated_normal(key, 1 << (math.prod(shape) - 1).bit_length())
    return _shaped(values, shape, jnp.float32(deviation))


def he_transposed(key: Array, shape: tuple[int, ...]) -> Array:
    """`he` for the kernel of a transposed convolution, (*window, O, I)."""
    return he(key, shape, math.prod(shape) // shape[-2])


def signs(key: Array, shape: tuple[int, ...]) -> Array:
    """-1 or 1, each with probability 1/2."""
    return jax.random.rademacher(key, shape, jnp.float32)
