"""Boxes cut out of images and resized, with antialias.

On a CPU images of bytes are resized by the C++ program (`native/resized_crop.cc`), in the arithmetic of Pillow; the
others by jax, bytes in the same arithmetic.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops import native
from jaxcnn.ops.checks import wide
from jaxcnn.ops.native import images

BITS = 22  # of a share of bytes, as in Pillow: what it is multiplied by and 8 bits fit in an integer


def resized_crop(image: Array, box: Array, size: tuple[int, int]) -> Array:
    """A box of an image (H, W, C), resized to (*size, C): bilinear, over all the pixels that are shrunk (antialias).

    Of bytes it has the bits of Pillow's `image.crop(box).resize(size, BILINEAR)`, by the C++ program and by jax. Rows
    come first: from version 13 on Pillow begins with the columns where the height shrinks much more, and differs by a
    level there.

    Args:
      image: uint8, or floating point.
      box: (4,) integers: top, left, height, width. It lies in the image: the C++ program raises an error otherwise,
        jax takes what there is.
      size: height and width of the result.
    """
    box = box.astype(jnp.int32)
    if image.dtype == jnp.uint8 and native.available():
        fast, plain = (partial(one, size=size) for one in (images.resized_crop, plain_resized_crop))
        return native.computed(fast, plain, image, box)
    return plain_resized_crop(image, box, size=size)


def plain_resized_crop(image: Array, box: Array, *, size: tuple[int, int]) -> Array:
    """`resized_crop` by jax alone."""
    across = _means(image, 1, box[1], box[3], size[1])
    return _means(across, 0, box[0], box[2], size[0])


def _means(image: Array, axis: int, start: Array, length: Array, count: int) -> Array:
    """`count` means of the `length` pixels from `start` on, along an axis of an image; of bytes, in whole levels."""
    at, weights = _triangles(image.shape[axis], length, count)
    total = weights.sum(axis=0)
    levels, dtype = jnp.issubdtype(image.dtype, jnp.integer), wide(image.dtype)
    shares = _of_two_to_the(BITS, weights, total) if levels else weights.astype(dtype) / total.astype(dtype)

    def weighed(place: Array, share: Array) -> Array:
        pixels = jnp.take(image, start + place, axis=axis, mode="clip").astype(share.dtype)
        return pixels * share.reshape(-1, *[1] * (image.ndim - 1 - axis))

    first, others = weighed(at[0], shares[0]), (at[1:], shares[1:])
    sums, _ = lax.scan(lambda sums, one: (sums + weighed(*one), None), first, others)
    means = jnp.minimum((sums + 2 ** (BITS - 1)) >> BITS, 255) if levels else sums
    return means.astype(image.dtype)


def _triangles(pixels: int, length: Array, count: int) -> tuple[Array, Array]:
    """Which of `length` pixels, at most `pixels`, each of `count` means sees, and how much it weighs them.

    Returns int32 (K, count) twice. A weight is the height of a triangle as wide as the pixels, or as those of the
    result if these are wider; lengths are counted in parts of a pixel, 2 `count` of them, so that all is exact.
    """
    most = -(-2 * max(pixels, count) // count)
    reach = 2 * jnp.maximum(length, count)
    middle = (2 * jnp.arange(count, dtype=jnp.int32) + 1) * length
    first = jnp.maximum((middle - reach - count) // (2 * count) + 1, 0)
    at = first + jnp.arange(most, dtype=jnp.int32)[:, None]
    heights = reach - jnp.abs((2 * at + 1) * count - middle)
    return jnp.minimum(at, length - 1), jnp.where(at < length, jnp.maximum(heights, 0), 0)


def _of_two_to_the(bits: int, part: Array, whole: Array) -> Array:
    """part / whole * 2**bits to the nearest integer, from int32 below 2**29.

    float32 is wrong by one at most; what is left is so little that its 32 bits are right, whatever was carried beyond.
    """
    near = jnp.round(part.astype(jnp.float32) / whole.astype(jnp.float32) * 2**bits).astype(jnp.int32)
    left = 2 * ((part << bits) - near * whole)
    return near + (left >= whole) - (left < -whole)
