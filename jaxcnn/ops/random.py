"""Many random numbers by one key: those of `jax.random`, to the bit, but on a CPU several times as fast."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops import native


def bits(key: Array, shape: tuple[int, ...]) -> Array:
    """`jax.random.bits(key, shape, uint32)`."""
    count = math.prod(shape)
    partitionable = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    known = str(jax.random.key_impl(key)) == "threefry2x32" and partitionable
    if not known or count == 0 or not native.available():
        return jax.random.bits(key, shape, jnp.uint32)
    of = {"count": count}
    return native.computed(partial(_fast, **of), partial(_plain, **of), jax.random.key_data(key)).reshape(shape)


def uniform(key: Array, shape: tuple[int, ...]) -> Array:
    """`jax.random.uniform(key, shape, float32)`: from 0 to 1, which is left out."""
    return lax.bitcast_convert_type(bits(key, shape) >> jnp.uint32(9) | jnp.uint32(0x3F800000), jnp.float32) - 1


def normal(key: Array, shape: tuple[int, ...]) -> Array:
    """`jax.random.normal(key, shape, float32)`."""
    low = -1 + 2**-24  # the first float32 after -1
    even = jnp.maximum(uniform(key, shape) * (1 - low) + low, low)
    return math.sqrt(2) * lax.erf_inv(even)


def _fast(key: Array, *, count: int) -> Array:
    result = jax.ShapeDtypeStruct((count,), jnp.uint32)
    return jax.ffi.ffi_call("jaxcnn_random_bits", result, vmap_method="broadcast_all")(key)


def _plain(key: Array, *, count: int) -> Array:
    return jax.random.bits(jax.random.wrap_key_data(key, impl="threefry2x32"), (count,), jnp.uint32)
