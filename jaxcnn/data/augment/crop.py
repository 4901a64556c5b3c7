"""Crops of training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require

_PADDED = {"zeros": "constant", "reflect": "reflect", "edge": "edge"}  # NumPy's words


@dataclass(frozen=True)
class Crop(Augmentation):
    """Shift the image at random: pad it on all sides, and cut the old size out again."""

    padding: int = 4
    """Pixels on each side."""
    fill: Literal["zeros", "reflect", "edge"] = "zeros"
    """What is put there: zeros, the image mirrored at its edge (which is not repeated), or its edge."""

    def check(self) -> None:
        require(self.padding >= 0, f"crop's padding must not be negative, not {self.padding}")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if self.padding >= min(shape[:2]):
            raise ValueError(f"crop's padding {self.padding} must be less than the images' {shape[0]}x{shape[1]}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"corner": jax.random.randint(key, (2,), 0, 2 * self.padding + 1)}

    def change(self, image: Array, drawn: Drawn) -> Array:
        pairs = ((self.padding, self.padding), (self.padding, self.padding), *[(0, 0)] * (image.ndim - 2))
        around = jnp.pad(image, pairs, mode=_PADDED[self.fill])
        return lax.dynamic_slice(around, (*drawn["corner"], *[0] * (image.ndim - 2)), image.shape)

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        return self.change(mask, drawn)

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        shift = jnp.tile(self.padding - drawn["corner"], 2)
        return jnp.clip(boxes + shift, 0, jnp.array(shape[:2] * 2))
