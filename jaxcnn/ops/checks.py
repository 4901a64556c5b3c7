"""What every operation asks of its arrays."""

from __future__ import annotations

import operator
from typing import Any

import jax.numpy as jnp
from jax import Array, lax


def floating(operation: str, *arrays: Array) -> None:
    """Raise ValueError unless the arrays are of one floating dtype."""
    dtypes = [jnp.result_type(array) for array in arrays]
    if not jnp.issubdtype(dtypes[0], jnp.floating):
        raise ValueError(f"{operation} takes floating point arrays, not {dtypes[0]}")
    if any(dtype != dtypes[0] for dtype in dtypes):
        raise ValueError(f"{operation} takes arrays of one dtype, not {' and '.join(map(str, dtypes))}")


def image(operation: str, x: Array) -> None:
    """Raise ValueError unless x is a floating point (N, at least one spatial dimension, C)."""
    floating(operation, x)
    if x.ndim < 3:
        raise ValueError(f"{operation} takes (N, at least one spatial dimension, C), not {x.shape}")


def integer(value: Any) -> int | None:
    """The int that `value` is, Python's or NumPy's; None if it is none. True and False are none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def count(operation: str, name: str, value: Any) -> int:
    """The integer of at least 1 that `value` is, Python's or NumPy's. Raises ValueError where it is none."""
    found = integer(value)
    if found is None or found < 1:
        raise ValueError(f"{operation}: {name} must be an integer of at least 1, not {value!r}")
    return found


def wide(dtype: jnp.dtype) -> jnp.dtype:
    """The dtype in which sums over many values are taken: float32 at least."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def beside(array: Array, x: Array) -> Array:
    """The array with axes of one place in front, as many as x has more: rank promotion, which may be forbidden."""
    return lax.expand_dims(array, range(x.ndim - array.ndim))


def spread(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in a larger shape, as NumPy broadcasts. Its gradient is summed in float32 at least: bfloat16 cannot
    count beyond 256."""
    if array.shape == shape:
        return array
    return jnp.broadcast_to(array.astype(wide(array.dtype)), shape).astype(array.dtype)


def biased(y: Array, bias: Array | None) -> Array:
    """y + bias."""
    return y if bias is None else y + spread(bias, y.shape).astype(y.dtype)
