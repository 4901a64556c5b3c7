"""What the augmentations share that look for every pixel of an image at another place of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require
from jaxcnn.ops.warp import warp


@dataclass(frozen=True)
class Warp(Augmentation):
    """An image seen through a homography, which a kind says by `matrix`; at its own size.

    Conventions are those of torchvision's functions of tensors. A pixel at the image's edge blends with the fill as if
    all around were of that color; of masks all around is 0.
    """

    fill: tuple[int, ...] = field(default=(0,), kw_only=True)
    """The color around the image: a level from 0 to 255, or one for every channel."""
    interpolation: Literal["bilinear", "nearest"] = field(default="bilinear", kw_only=True)
    """A mean of the four nearest pixels, or the nearest one."""

    def matrix(self, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        """float32 (3, 3): from places (x, y, 1) of the result to those of an image of `shape` (see `ops.warp.warp`)."""
        raise NotImplementedError

    def check(self) -> None:
        fits = self.fill and all(0 <= level <= 255 for level in self.fill)
        require(fits, f"{self.kind()}'s fill must be levels from 0 to 255, not {self.fill}")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if len(self.fill) not in (1, shape[-1]):
            raise ValueError(
                f"{self.kind()}'s fill has {len(self.fill)} levels, but the images have {shape[-1]} channels"
            )

    def change(self, image: Array, drawn: Drawn) -> Array:
        levels = jnp.asarray(self.fill, jnp.uint8)
        fill = levels if image.dtype == jnp.uint8 else levels.astype(image.dtype) / 255
        fill = jnp.broadcast_to(fill, image.shape[-1:])
        return warp(image, self.matrix(drawn, image.shape), fill, nearest=self.interpolation == "nearest")

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        around = jnp.zeros(1, mask.dtype)
        return warp(mask[..., None], self.matrix(drawn, mask.shape), around, nearest=True)[..., 0]

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        """The smallest boxes around the moved corners, within the image."""
        rows = inverse(self.matrix(drawn, shape))
        moved = jax.vmap(lambda box: _around(box, rows))(boxes.astype(jnp.float32))
        inside = jnp.clip(moved, 0, jnp.array(shape[:2] * 2, jnp.float32))
        empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
        return jnp.where(empty[:, None], 0, inside).astype(boxes.dtype)


def inverse(matrix: Array) -> Array:
    """The inverse of a homography (3, 3): a multiple of it, which is the same homography."""
    a, b, c = matrix
    return jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)


def _around(box: Array, rows: Array) -> Array:
    top, left, bottom, right = box
    x, y = jnp.stack([left, right, left, right]), jnp.stack([top, top, bottom, bottom])
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in rows)
    x, y = u / w, v / w
    return jnp.stack([y.min(), x.min(), y.max(), x.max()])
