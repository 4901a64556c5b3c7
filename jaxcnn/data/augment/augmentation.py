"""What an augmentation is: a frozen value that draws what to do with an image by a key, and does what was drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.host.choices import Choice
from jaxcnn.host.settings import require

Drawn = dict[str, Array]
"""What is to be done with one image: arrays by name, such as an angle. With it, the same is done to a mask."""


@dataclass(frozen=True)
class Augmentation(Choice):
    """A random change of one training image, (H, W, C): bytes, or floating point numbers from 0 to 1.

    A kind says what to `draw` and how to `change` an image; one that moves pixels also what becomes of a mask and of
    boxes. Other code calls `sample` and `replay`, which know of the probability.
    """

    what: ClassVar[str] = "augmentation"

    probability: float = field(default=1.0, kw_only=True)
    """How often; otherwise the image stays as it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.probability <= 1, f"{self.kind()}'s probability must be in [0, 1], not {self.probability}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        """What is to be done with an image of `shape`."""
        return {}

    def change(self, image: Array, drawn: Drawn) -> Array:
        """The image (H, W, C), uint8 or floating point, with what was drawn done to it; of the same dtype."""
        raise NotImplementedError

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        """A mask (H, W), of one number a pixel, moved as `change` moves the image: each pixel is the nearest one's."""
        return mask

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        """Boxes (N, 4) of (top, left, bottom, right), in pixels of an image of `shape`, moved as `change` moves it."""
        return boxes

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError where images of `shape`, (H, W, C), cannot be changed so."""

    def shape_after(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that images of `shape`, (H, W, C), have once they are changed."""
        return shape

    def sample(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        """What is done to an image of `shape`, (H, W, C), by this key; with "applied", where it is not always done."""
        if self.probability == 1:
            return self.draw(key, shape)
        whether, how = jax.random.split(key)
        return {"applied": jax.random.bernoulli(whether, self.probability)} | self.draw(how, shape)

    def replay(self, image: Array, drawn: Drawn) -> Array:
        """The image with what `sample` drew done to it."""
        return _where(drawn, self.change(image, drawn), image)

    def replay_mask(self, mask: Array, drawn: Drawn) -> Array:
        """A mask (H, W), moved as `replay` moves the image."""
        return _where(drawn, self.change_mask(mask, drawn), mask)

    def replay_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        """Boxes (N, 4) of (top, left, bottom, right), moved as `replay` moves an image of `shape`."""
        return _where(drawn, self.change_boxes(boxes, drawn, shape), boxes)

    def __call__(self, key: Array, image: Array) -> Array:
        """The image (H, W, C), changed as the key says; of the same dtype, and of the shape that `shape_after` says."""
        return self.replay(image, self.sample(key, image.shape))


def _where(drawn: Drawn, changed: Array, image: Array) -> Array:
    return jnp.where(drawn["applied"], changed, image) if "applied" in drawn else changed
