"""Dense layers."""

from __future__ import annotations

from jax import Array

from jaxcnn.ops.checks import biased, floating


def dense(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """x of (..., I) times kernel of (I, O), plus bias of (O,). Raises ValueError where sizes or dtypes differ."""
    floating("dense", x, kernel)
    if kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(f"dense of x {x.shape} needs a kernel of ({x.shape[-1]}, width), not {kernel.shape}")
    if bias is not None and bias.shape != kernel.shape[1:]:
        raise ValueError(f"dense of {kernel.shape[1]} features needs a bias of ({kernel.shape[1]},), not {bias.shape}")
    return biased(x @ kernel, bias)
