"""What every operation asks of its arrays."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


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


def wide(dtype: jnp.dtype) -> jnp.dtype:
    """The dtype in which sums over many values are taken: float32 at least."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def biased(y: Array, bias: Array | None) -> Array:
    """y + bias, whose gradient is summed in float32 at least: bfloat16 cannot count beyond 256."""
    if bias is None:
        return y
    return y + jnp.broadcast_to(bias.astype(wide(bias.dtype)), y.shape).astype(y.dtype)
