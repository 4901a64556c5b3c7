"""The calls of color.cc and blur.cc."""

from __future__ import annotations

import jax
from jax import Array


def recolor(image: Array, operations: Array, amounts: Array) -> Array:
    """Bytes (H, W, C), operations and their amounts, int32 (K,); see `jaxcnn.ops.recolor`."""
    return _call("recolor", image.shape, image, operations, amounts)


def mean_color(image: Array) -> Array:
    """The mean of each channel of bytes (H, W, C), in bytes: (C,)."""
    return _call("mean_color", image.shape[-1:], image)


def blur(image: Array, weights: Array) -> Array:
    """`ops.blur.blur`, of a uint8 image and float32 weights."""
    return _call("blur", image.shape, image, weights)


def _call(name, shape, image, *more):
    result = jax.ShapeDtypeStruct(shape, image.dtype)
    return jax.ffi.ffi_call(f"jaxcnn_{name}", result, vmap_method="broadcast_all")(image, *more)
