"""Images of bytes, moved by the C++ program: one image (H, W, C) each, and under `vmap` all of them by one call."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def warp(image: Array, matrix: Array, fill: Array, *, nearest: bool) -> Array:
    """`ops.warp.warp`, of a uint8 image, a float32 matrix and a uint8 fill."""
    result = jax.ShapeDtypeStruct(image.shape, image.dtype)
    run = jax.ffi.ffi_call("jaxcnn_warp", result, vmap_method="broadcast_all")
    return run(image, matrix, fill, nearest=np.int64(nearest))


def resized_crop(image: Array, box: Array, *, size: tuple[int, int]) -> Array:
    """`ops.resized_crop.resized_crop`, of a uint8 image and an int32 box."""
    result = jax.ShapeDtypeStruct((*size, image.shape[-1]), jnp.uint8)
    return jax.ffi.ffi_call("jaxcnn_resized_crop", result, vmap_method="broadcast_all")(image, box)
