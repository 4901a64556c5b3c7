"""Changes of colors: a list of operations for each image, done one after the other.

Of bytes, in whole numbers and with factors of 16 bits behind the point: by the C++ program or by jax, which give the
same bits. They are Pillow's (ImageOps, ImageEnhance) within one level, as its factors are float32; hue is torchvision's
of floating point images: Pillow's has bytes of hue, saturation and value, and was up to 15 levels away in photographs.
Of floating point numbers from 0 to 1, the same without rounding.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from functools import partial

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import native, recolor_bytes, recolor_floats
from jaxcnn.ops.native import color

LARGEST = 64.0
"""Of the factors."""


class Recoloring(IntEnum):
    """An operation, and what its factor says. The numbers are those of native/color.cc."""

    NOTHING = 0
    BRIGHTNESS = 1
    """0 is black, 1 the image."""
    CONTRAST = 2
    """0 is the mean of the image's luminance, 1 the image."""
    SATURATION = 3
    """0 is the image's luminance, 1 the image."""
    HUE = 4
    """In turns: -0.5 and 0.5 are the opposite hue."""
    SHARPNESS = 5
    """0 is smoothed, 1 the image, 2 sharpened."""
    SOLARIZE = 6
    """Inverted from here on; from 0 to 1."""
    POSTERIZE = 7
    """How many bits of eight are kept, a whole number."""
    INVERT = 8
    AUTOCONTRAST = 9
    """Each channel from 0 to 1."""
    EQUALIZE = 10
    """Each channel's values as even as can be."""
    GRAYSCALE = 11
    SOLARIZE_ADD = 12
    """This much, from 0 to 1, is added to what is darker than the middle."""


OF_COLORS = frozenset({Recoloring.SATURATION, Recoloring.HUE, Recoloring.GRAYSCALE})
"""Those that leave an image of one channel as it is."""


def recolor(image: Array, operations: Array, factors: Array, among: Collection[Recoloring]) -> Array:
    """The image (H, W, C), of one channel or three, with operations[k] done by factors[k] for every k in turn.

    Args:
      image: uint8, or floating point from 0 to 1; equalizing takes these as one of 256 levels.
      operations: (K,) int32, numbers of `Recoloring`.
      factors: (K,) floating point, at most 64 (see `Recoloring`).
      among: the operations that may occur. By jax each of these is computed, for every k.
    """
    if image.shape[-1] not in (1, 3):
        raise ValueError(f"colors can be changed of images with 1 or 3 channels, not {image.shape[-1]}")
    gray = OF_COLORS if image.shape[-1] == 1 else frozenset()
    chosen = tuple(sorted({Recoloring(each) for each in among} - {Recoloring.NOTHING} - gray))
    if image.dtype != jnp.uint8:
        return _by_jax(image, operations, factors, among=chosen)
    amounts = _amounts(operations, factors)
    plain = partial(_by_jax, among=chosen)
    if not native.available():
        return plain(image, operations, amounts)
    return native.computed(color.recolor, plain, image, operations.astype(jnp.int32), amounts)


def mean_color(image: Array) -> Array:
    """The mean of each channel of an image (H, W, C), of its dtype: (C,). Of bytes it is the nearest byte."""
    if image.dtype != jnp.uint8:
        return image.mean((0, 1))
    if not native.available():
        return recolor_bytes.mean_color(image)
    return native.computed(color.mean_color, recolor_bytes.mean_color, image)


def _amounts(operations: Array, factors: Array) -> Array:
    """The factors in whole numbers."""
    amounts = jnp.round(jnp.clip(factors, -LARGEST, LARGEST) * recolor_bytes.ONE)
    amounts = jnp.where(operations == Recoloring.HUE, jnp.round(factors * recolor_bytes.TURN), amounts)
    # a level, though float32 may say a little more
    amounts = jnp.where(operations == Recoloring.SOLARIZE, jnp.ceil(factors * 255 - 1e-3), amounts)
    amounts = jnp.where(operations == Recoloring.SOLARIZE_ADD, jnp.round(factors * 255), amounts)
    return jnp.where(operations == Recoloring.POSTERIZE, jnp.round(factors), amounts).astype(jnp.int32)


def _by_jax(image, operations, amounts, *, among):
    step = recolor_bytes.step if image.dtype == jnp.uint8 else recolor_floats.step
    for k in range(operations.shape[0]):
        image = step(image, operations[k], amounts[k], {each.name: each.value for each in among})
    return image
