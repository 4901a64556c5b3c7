"""Images seen through a homography: rotated, sheared, scaled, shifted, or from another side.

On a CPU images of bytes are warped by the C++ program (`native/warp.cc`), the others by gathers of jax.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import native
from jaxcnn.ops.checks import wide
from jaxcnn.ops.native import images


def warp(image: Array, matrix: Array, fill: Array, *, nearest: bool = False) -> Array:
    """An image (H, W, C), each pixel of which looks for its color at another place of the image.

    Pixel (x, y), x to the right and y down, has its middle at (x + 1/2, y + 1/2). Around the image everything has the
    color `fill`, which the pixels at the edge blend with. Levels of bytes are rounded, halves to the even one. The C++
    program and jax differ by one level at most, and where a place is halfway to the last bit, by the nearest pixel.

    Args:
      image: uint8, or floating point; with `nearest` any dtype.
      matrix: (3, 3), takes the place (x, y, 1) of the result to the place (u, v, w) of the image, to be divided by w.
        In float32: places are right to some 1e-4 pixels.
      fill: (C,), in the units of the image.
      nearest: take the nearest pixel (halves to the even one) in place of the mean of four (bilinear).

    Returns an image of the same shape and dtype. The conventions are torchvision's, with `align_corners=False`; but
    its `fill` counts the image's share of an edge twice, so that edges are darker there.
    """
    matrix, fill = matrix.astype(jnp.float32), fill.astype(image.dtype)
    if image.dtype == jnp.uint8 and native.available():
        fast, plain = (partial(one, nearest=nearest) for one in (images.warp, plain_warp))
        return native.computed(fast, plain, image, matrix, fill)
    return plain_warp(image, matrix, fill, nearest=nearest)


def plain_warp(image: Array, matrix: Array, fill: Array, *, nearest: bool) -> Array:
    """`warp` by jax alone."""
    height, width, channels = image.shape
    bordered = jnp.broadcast_to(fill, (height + 2, width + 2, channels)).at[1:-1, 1:-1].set(image)
    pixels, pitch = bordered.reshape(-1, channels), width + 2
    middles = jnp.arange(width, dtype=jnp.float32)[None] + 0.5, jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    u, v, w = (row[0] * middles[0] + (row[1] * middles[1] + row[2]) for row in matrix)
    column, row = _within(u / w + 0.5, width + 1), _within(v / w + 0.5, height + 1)
    if nearest:
        # rounded as places of the image, without the border
        row, column = (jnp.round(place - 1).astype(jnp.int32) + 1 for place in (row, column))
        return pixels[row * pitch + column]
    dtype = wide(image.dtype)
    left, top = jnp.minimum(column.astype(jnp.int32), width), jnp.minimum(row.astype(jnp.int32), height)
    right, down = (_beyond(place, first).astype(dtype) for place, first in ((column, left), (row, top)))
    at = top * pitch + left
    corners = [pixels[at + further].astype(dtype) for further in (0, pitch, 1, pitch + 1)]
    sides = [upper + down * (lower - upper) for upper, lower in (corners[:2], corners[2:])]
    mean = sides[0] + right * (sides[1] - sides[0])
    return (jnp.round(mean) if jnp.issubdtype(image.dtype, jnp.integer) else mean).astype(image.dtype)


def _within(places: Array, last: int) -> Array:
    """From 0 to `last`, and 0 where it is not a number."""
    return jnp.minimum(jnp.where(places > 0, places, 0.0), float(last))


def _beyond(places: Array, first: Array) -> Array:
    return (places - first.astype(places.dtype))[..., None]
