"""Parts of training images, resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require
from jaxcnn.ops.resized_crop import resized_crop

CANDIDATES = 10  # that torchvision draws before it takes the middle


@dataclass(frozen=True)
class Resized(Augmentation):
    """A box of the image, which a kind draws as "box" (top, left, height, width), resized with antialias."""

    size: tuple[int, int] | None = field(default=None, kw_only=True)
    """Height and width of the result. None means those of the images."""

    def check(self) -> None:
        if self.size is not None:
            require(min(self.size) > 0, f"{self.kind()}'s size must be a height and width above 0, not {self.size}")
            require(self.probability == 1, f"{self.kind()} with a size must have probability 1: images have one size")

    def shape_after(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*(self.size or shape[:2]), *shape[2:])

    def change(self, image: Array, drawn: Drawn) -> Array:
        return resized_crop(image, drawn["box"], self.size or (image.shape[0], image.shape[1]))

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        top, left, height, width = drawn["box"]
        rows, columns = self.size or mask.shape
        # the middle of pixel i lies (2i + 1) / (2 rows) of the height down
        down = top + (2 * jnp.arange(rows) + 1) * height // (2 * rows)
        across = left + (2 * jnp.arange(columns) + 1) * width // (2 * columns)
        return mask[down[:, None], across]

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        corner, sides = jnp.tile(drawn["box"][:2], 2), jnp.tile(drawn["box"][2:], 2)
        whole = jnp.array(self.shape_after(shape)[:2] * 2, jnp.float32)
        moved = (boxes.astype(jnp.float32) - corner.astype(jnp.float32)) * (whole / sides.astype(jnp.float32))
        return jnp.clip(moved, 0, whole).astype(boxes.dtype)


@dataclass(frozen=True)
class ResizedCrop(Resized):
    """Cut out a part of random size, proportions and place, and resize it: torchvision's `RandomResizedCrop`.

    Of ten boxes that are drawn, the first that fits into the image is taken; if none does, the largest in the middle
    whose proportions are allowed.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    """The smallest and the largest share of the image's area; any between is as likely."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """The smallest and the largest width over height; any logarithm between is as likely."""

    def check(self) -> None:
        super().check()
        require(
            0 < self.scale[0] <= self.scale[1] <= 1,
            f"resized_crop's scale must be a smallest and a largest share of the area in (0, 1], not {self.scale}",
        )
        require(
            0 < self.ratio[0] <= self.ratio[1],
            f"resized_crop's ratio must be a smallest and a largest width over height, not {self.ratio}",
        )

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        height, width = shape[:2]
        for_area, for_ratio, for_place = jax.random.split(key, 3)
        low, high = (math.log(ratio) for ratio in self.ratio)
        area = height * width * jax.random.uniform(for_area, (CANDIDATES,), jnp.float32, *self.scale)
        ratio = jnp.exp(jax.random.uniform(for_ratio, (CANDIDATES,), jnp.float32, low, high))
        sides = jnp.round(jnp.sqrt(jnp.stack([area / ratio, area * ratio], axis=1))).astype(jnp.int32)
        whole = jnp.array([height, width], jnp.int32)
        fits = ((sides > 0) & (sides <= whole)).all(axis=1)
        chosen = sides[jnp.argmax(fits)]
        corner = jax.random.randint(for_place, (2,), 0, jnp.maximum(whole - chosen, 0) + 1)
        middle = jnp.array(self.middle(height, width), jnp.int32)
        return {"box": jnp.where(fits.any(), jnp.concatenate([corner, chosen]), middle)}

    def middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The largest box in the middle of an image of that size whose proportions are allowed."""
        high = min(height, round(width / self.ratio[0]))
        wide = min(width, round(height * self.ratio[1]))
        return (height - high) // 2, (width - wide) // 2, high, wide


@dataclass(frozen=True)
class CenterCrop(Resized):
    """Cut out the middle, and resize it, to the images' own size unless `size` says another.

    The first step of 256 to 224 pixels, for one, is `center_crop size=224,224`: what is cut out has that size already.
    """

    fraction: float = 0.875
    """The share of the height and of the width."""

    def check(self) -> None:
        super().check()
        require(0 < self.fraction <= 1, f"center_crop's fraction must be in (0, 1], not {self.fraction}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"box": jnp.array(self._box(shape), jnp.int32)}

    def change(self, image: Array, drawn: Drawn) -> Array:
        top, left, height, width = self._box(image.shape)
        if (height, width) == (self.size or image.shape[:2]):  # there is nothing to resize
            return image[top : top + height, left : left + width]
        return super().change(image, drawn)

    def _box(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        sides = [max(round(side * self.fraction), 1) for side in shape[:2]]
        top, left = (round((side - part) / 2) for side, part in zip(shape[:2], sides, strict=True))
        return top, left, sides[0], sides[1]


def ending_in(size: tuple[int, int], augmentations: Sequence[Augmentation]) -> tuple[Augmentation, ...]:
    """The augmentations of one image, with images of `size`, (height, width), at their end.

    The last that resizes does it, if it always does: so pixels are interpolated once. Otherwise images are resized at
    the end, with antialias, so that what the augmentations count in pixels means the same at every size.
    """
    resizing = [place for place, each in enumerate(augmentations) if isinstance(each, Resized)]
    last = augmentations[resizing[-1]] if resizing else None
    if isinstance(last, Resized) and last.probability == 1:
        before, after = augmentations[: resizing[-1]], augmentations[resizing[-1] + 1 :]
        return (*before, replace(last, size=size), *after)
    return (*augmentations, CenterCrop(fraction=1.0, size=size))
