"""Dense layers and dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def dense(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """x of (..., I) times kernel of (I, O), plus bias of (O,). Raises ValueError where the sizes differ."""
    if kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(f"dense of x {x.shape} needs a kernel of ({x.shape[-1]}, width), not {kernel.shape}")
    y = x @ kernel
    return y if bias is None else y + bias


def dropout(x: Array, rate: float, rng: Array, *, spatial: bool = False) -> Array:
    """Zero each element with probability `rate` and divide the rest by 1 - rate, so that the mean stays.

    With `spatial`, whole channels of an example live or die together (Tompson et al. 2015). Raises ValueError
    unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout's rate must be in [0, 1), not {rate}")
    shape = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1]) if spatial else x.shape
    keep = jax.random.bernoulli(rng, 1 - rate, shape)
    return jnp.where(keep, x / (1 - rate), 0)
