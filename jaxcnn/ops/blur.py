"""Images averaged with their neighbors: along their rows and along their columns, by the same weights."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops import native
from jaxcnn.ops.native import color


def blur(image: Array, weights: Array) -> Array:
    """An image (H, W, C), each pixel of which is the weighted mean of those around it.

    At its edge, which is not repeated, the image is mirrored. Of bytes the mean is rounded; the C++ program and jax
    differ by one level at most, where they round a half differently.

    Args:
      image: uint8, or floating point.
      weights: (K,), an odd number of them, whose sum should be 1; K // 2 must be less than H and W.
    """
    weights = weights.astype(jnp.float32)
    if image.dtype == jnp.uint8 and native.available():
        return native.computed(color.blur, plain_blur, image, weights)
    return plain_blur(image, weights)


def plain_blur(image: Array, weights: Array) -> Array:
    """`blur` by jax alone."""
    blurred = image.astype(jnp.float64 if image.dtype == jnp.float64 else jnp.float32)
    for axis in (0, 1):
        blurred = _weighted(blurred, weights.astype(blurred.dtype), axis)
    if image.dtype == jnp.uint8:
        blurred = jnp.clip(jnp.round(blurred), 0, 255)
    return blurred.astype(image.dtype)


def _weighted(image, weights, axis):
    reach, size = len(weights) // 2, image.shape[axis]
    around = jnp.pad(image, [(reach, reach) if one == axis else (0, 0) for one in range(image.ndim)], mode="reflect")
    parts = [weights[k] * lax.slice_in_dim(around, k, k + size, axis=axis) for k in range(len(weights))]
    return sum(parts[1:], parts[0])
