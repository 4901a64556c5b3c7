"""Changes of colors of floating point images from 0 to 1, by jax; see `recolor`."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import recolor_bytes


def step(image: Array, operation: Array, factor: Array, among: Mapping[str, int]) -> Array:
    """The image (H, W, C) with one operation done, a number of those `among` which it is, or as it is."""
    values = image.astype(jnp.float64 if image.dtype == jnp.float64 else jnp.float32)
    result = values
    for name, number in among.items():
        changed = _OPERATIONS[name](values, factor.astype(values.dtype))
        result = jnp.where(operation == number, changed, result)
    return result.astype(image.dtype)


def _blend(other, value, factor):
    return jnp.clip(other + factor * (value - other), 0, 1)


def _luminance(image):
    if image.shape[-1] == 1:
        return image
    red, green, blue = jnp.split(image, 3, -1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _hue(image, turns):
    """HSV without a division: along the hexagon's sides, each as long as largest - smallest."""
    red, green, blue = jnp.split(image, 3, -1)
    largest = image.max(-1, keepdims=True)
    side = largest - image.min(-1, keepdims=True)
    of_green, of_blue = 2 * side + blue - red, 4 * side + red - green
    along = jnp.where(largest == red, green - blue, jnp.where(largest == green, of_green, of_blue))
    along = along + 6 * (turns % 1) * side
    at = (along + jnp.array([5, 3, 1], image.dtype)[None, None] * side) % jnp.where(side > 0, 6 * side, 1)
    return largest - jnp.clip(jnp.minimum(at, 4 * side - at), 0, side)


def _sharpness(image, factor):
    if min(image.shape[:2]) < 3:
        return image
    height, width, _ = image.shape
    parts = [image[y : height - 2 + y, x : width - 2 + x] for y in range(3) for x in range(3)]
    smooth = (sum(parts) + 4 * parts[4]) / 13
    return image.at[1:-1, 1:-1].set(_blend(smooth, parts[4], factor))


def _posterize(image, bits):
    size = 2.0 ** jnp.clip(8 - jnp.round(bits), 0, 8)
    return jnp.floor((image * 255 + 1e-3) / size) * size / 255  # a level may be a little less than itself


def _autocontrast(image, _):
    low, high = image.min((0, 1), keepdims=True), image.max((0, 1), keepdims=True)
    return jnp.where(high > low, (image - low) / jnp.where(high > low, high - low, 1), image)


def _equalize(image, factor):
    levels = jnp.round(image * 255).astype(jnp.uint8)
    one = jnp.ones((), jnp.int32)
    return recolor_bytes.step(levels, one, one, {"EQUALIZE": 1}).astype(image.dtype) / 255


_OPERATIONS = {
    "BRIGHTNESS": lambda image, factor: _blend(0, image, factor),
    "CONTRAST": lambda image, factor: _blend(_luminance(image).mean(), image, factor),
    "SATURATION": lambda image, factor: _blend(_luminance(image), image, factor),
    "HUE": _hue,
    "SHARPNESS": _sharpness,
    "SOLARIZE": lambda image, threshold: jnp.where(image < threshold, image, 1 - image),
    "SOLARIZE_ADD": lambda image, more: jnp.clip(jnp.where(image < 0.5, image + more, image), 0, 1),
    "POSTERIZE": _posterize,
    "INVERT": lambda image, _: 1 - image,
    "AUTOCONTRAST": _autocontrast,
    "EQUALIZE": _equalize,
    "GRAYSCALE": lambda image, _: jnp.broadcast_to(_luminance(image), image.shape),
}
