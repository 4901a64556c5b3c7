"""Dense layers: products with the columns of a kernel, distances to centers."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops.checks import beside, biased, floating, wide


def dense(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """x of (..., I) times kernel of (I, O), plus bias of (O,). Raises ValueError where sizes or dtypes differ."""
    floating("dense", x, kernel)
    if kernel.ndim != 2 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(f"dense of x {x.shape} needs a kernel of ({x.shape[-1]}, width), not {kernel.shape}")
    if bias is not None and bias.shape != kernel.shape[1:]:
        raise ValueError(f"dense of {kernel.shape[1]} features needs a bias of ({kernel.shape[1]},), not {bias.shape}")
    return biased(x @ kernel, bias)


def radial_basis(x: Array, centers: Array) -> Array:
    """Minus the squared distances of x (..., I) to the columns of `centers` (I, O): (..., O).

    The output layer of LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, equation 7), negative so that the greatest is
    the nearest. Sums are in float32 at least. Raises ValueError where sizes or dtypes differ.
    """
    floating("radial_basis", x, centers)
    if centers.ndim != 2 or x.shape[-1] != centers.shape[0]:
        raise ValueError(f"radial_basis of x {x.shape} needs centers of ({x.shape[-1]}, width), not {centers.shape}")
    apart = x[..., None].astype(wide(x.dtype))
    apart = apart - beside(centers.astype(wide(x.dtype)), apart)
    return -jnp.square(apart).sum(-2).astype(x.dtype)
