"""Mirrored training images."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn


@dataclass(frozen=True)
class Flip(Augmentation):
    """Mirror the image left to right."""

    probability: float = 0.5
    """How often."""

    def change(self, image: Array, drawn: Drawn) -> Array:
        return image[:, ::-1]

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        return mask[:, ::-1]

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        top, left, bottom, right = jnp.moveaxis(boxes, -1, 0)
        return jnp.stack([top, shape[1] - right, bottom, shape[1] - left], axis=-1)


@dataclass(frozen=True)
class AlternatingFlip(Flip):
    """Mirror the image left to right in every second epoch; which images begin with it is random (Jordan 2024).

    So an image is seen both ways in any two epochs.
    """

    probability: float = 0.5
    """How many images begin mirrored."""

    def in_turn(self, first: Drawn, epoch: Array) -> Drawn:
        """What is done in an epoch, given what is done in the first."""
        return first | {"applied": first["applied"] ^ (epoch % 2 == 1)}


@dataclass(frozen=True)
class FlipVertical(Augmentation):
    """Mirror the image top to bottom."""

    probability: float = 0.5
    """How often."""

    def change(self, image: Array, drawn: Drawn) -> Array:
        return image[::-1]

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        return mask[::-1]

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        top, left, bottom, right = jnp.moveaxis(boxes, -1, 0)
        return jnp.stack([shape[0] - bottom, left, shape[0] - top, right], axis=-1)
