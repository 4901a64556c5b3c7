"""Changes of colors of bytes by jax, in whole numbers; see `recolor`."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

ONE = 1 << 16
"""The factor 1: 16 bits stand behind the point."""
TURN = 6 * ONE
"""A whole turn of the hue, along the six sides of its hexagon."""


def step(image: Array, operation: Array, amount: Array, among: Mapping[str, int]) -> Array:
    """The image (H, W, C), uint8, with one operation done, a number of those `among` which it is, or as it is."""
    result = image
    tables = {name: number for name, number in among.items() if name in _TABLES or name in _OF_COUNTS}
    if tables:
        result = _looked_up(image, _table(image, operation, amount, tables))
    for name, number in among.items():
        if name in _PIXELS:
            changed = _PIXELS[name](image.astype(jnp.int32), amount).astype(jnp.uint8)
            result = jnp.where(operation == number, changed, result)
    return result


def mean_color(image: Array) -> Array:
    """The mean of each channel, (C,), to the nearest byte."""
    return _mean(image).astype(jnp.uint8)


def _mean(image):
    total, pixels = image.sum((0, 1), dtype=jnp.int32), image.shape[0] * image.shape[1]
    return total // pixels + (2 * (total % pixels) >= pixels).astype(jnp.int32)


def _table(image, operation, amount, among):
    """What becomes of each value in each channel: (256, C)."""
    channels = image.shape[-1]
    values = jnp.arange(256, dtype=jnp.int32)
    counts = _counts(image) if any(name in _OF_COUNTS for name in among) else None
    table = jnp.broadcast_to(values[:, None], (256, channels))
    for name, number in among.items():
        if name in _TABLES:
            entries = jnp.broadcast_to(_TABLES[name](values, amount, image)[:, None], table.shape)
        else:
            entries = _OF_COUNTS[name](counts)
        table = jnp.where(operation == number, entries, table)
    return table.astype(jnp.uint8)


def _looked_up(image, table):
    return jnp.take_along_axis(table, image.reshape(-1, image.shape[-1]).astype(jnp.int32), 0).reshape(image.shape)


def _counts(image):
    """How often each value occurs: (256, C)."""
    channels = jnp.arange(image.shape[-1])
    return jnp.zeros((256, len(channels)), jnp.int32).at[image.reshape(-1, len(channels)), channels[None]].add(1)


def _blend(other, value, factor):
    """From `other` to `value`, and beyond; a factor is rounded, by which a whole number may be missed."""
    return jnp.clip((other * ONE + factor * (value - other) + 128) >> 16, 0, 255)


def _luminance(image):
    """ITU-R 601-2, with Pillow's rounding: (H, W, 1)."""
    if image.shape[-1] == 1:
        return image
    red, green, blue = jnp.split(image, 3, -1)
    return (19595 * red + 38470 * green + 7471 * blue + ONE // 2) >> 16


def _contrast(values, factor, image):
    return _blend(_mean(_luminance(image.astype(jnp.int32))), values, factor)


def _autocontrast(counts):
    values = jnp.arange(256, dtype=jnp.int32)[:, None]
    low, high = jnp.argmax(counts > 0, 0), 255 - jnp.argmax(counts[::-1] > 0, 0)
    low, high = low.astype(jnp.int32)[None], high.astype(jnp.int32)[None]
    stretched = jnp.clip(jnp.maximum(values - low, 0) * 255 // jnp.maximum(high - low, 1), 0, 255)
    return jnp.where(high > low, stretched, values)


def _equalize(counts):
    values = jnp.arange(256, dtype=jnp.int32)[:, None]
    of_highest = jnp.take_along_axis(counts, 255 - jnp.argmax(counts[::-1] > 0, 0, keepdims=True), 0)
    step = (counts.sum(0, dtype=jnp.int32, keepdims=True) - of_highest) // 255
    below = step // 2 + jnp.cumsum(counts, 0, dtype=jnp.int32) - counts
    return jnp.where(step > 0, jnp.minimum(below // jnp.maximum(step, 1), 255), values)


def _saturation(image, factor):
    return _blend(_luminance(image), image, factor)


def _hue(image, turn):
    """HSV without a division: along the hexagon's sides, each as long as largest - smallest."""
    red, green, blue = jnp.split(image, 3, -1)
    largest = image.max(-1, keepdims=True)
    side = largest - image.min(-1, keepdims=True)
    of_green, of_blue = 2 * side + blue - red, 4 * side + red - green
    along = jnp.where(largest == red, green - blue, jnp.where(largest == green, of_green, of_blue))
    along, side = along * ONE + (turn % TURN) * side, side * ONE
    sides = jnp.array([5, 3, 1], jnp.int32)[None, None]
    at = (along + sides * side) % jnp.maximum(6 * side, 1)
    return (largest * ONE + ONE // 2 - jnp.clip(jnp.minimum(at, 4 * side - at), 0, side)) >> 16


def _sharpness(image, factor):
    if min(image.shape[:2]) < 3:
        return image
    height, width, _ = image.shape
    parts = [image[y : height - 2 + y, x : width - 2 + x] for y in range(3) for x in range(3)]
    smooth = (sum(parts) + 4 * parts[4] + 6) // 13
    return image.at[1:-1, 1:-1].set(_blend(smooth, parts[4], factor))


_TABLES = {
    "BRIGHTNESS": lambda values, factor, _: _blend(0, values, factor),
    "CONTRAST": _contrast,
    "SOLARIZE": lambda values, threshold, _: jnp.where(values < threshold, values, 255 - values),
    "SOLARIZE_ADD": lambda values, more, _: jnp.clip(jnp.where(values < 128, values + more, values), 0, 255),
    "POSTERIZE": lambda values, bits, _: values & -(1 << jnp.clip(8 - bits, 0, 8)),
    "INVERT": lambda values, *_: 255 - values,
}
_OF_COUNTS = {"AUTOCONTRAST": _autocontrast, "EQUALIZE": _equalize}
_PIXELS = {
    "SATURATION": _saturation,
    "HUE": _hue,
    "SHARPNESS": _sharpness,
    "GRAYSCALE": lambda image, _: jnp.broadcast_to(_luminance(image), image.shape),
}
