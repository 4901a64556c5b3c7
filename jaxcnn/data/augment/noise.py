"""Noise in training images."""

from __future__ import annotations

from dataclasses import dataclass, field

import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require
from jaxcnn.ops import random


@dataclass(frozen=True)
class Noise(Augmentation):
    """Add numbers of a normal distribution to all values, each its own, and cut off what is darker than black or
    brighter than white."""

    std: float = 0.05
    """The standard deviation, as a part of white: 0.1 is 25.5 levels."""

    def check(self) -> None:
        require(self.std >= 0, f"noise's std must not be negative, not {self.std}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"key": key}

    def change(self, image: Array, drawn: Drawn) -> Array:
        noise = self.std * random.normal(drawn["key"], image.shape)
        if image.dtype == jnp.uint8:
            return jnp.clip(jnp.round(image.astype(noise.dtype) + 255 * noise), 0, 255).astype(image.dtype)
        return jnp.clip(image.astype(noise.dtype) + noise, 0, 1).astype(image.dtype)


@dataclass(frozen=True)
class SaltAndPepper(Augmentation):
    """Make some pixels white or black, in all channels, half of them each."""

    share: float = 0.02
    """Of the pixels, that are expected to be changed."""
    probability: float = field(default=1.0, kw_only=True)
    """How often."""

    def check(self) -> None:
        require(0 <= self.share <= 1, f"salt_and_pepper's share must be from 0 to 1, not {self.share}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"key": key}

    def change(self, image: Array, drawn: Drawn) -> Array:
        even = random.uniform(drawn["key"], (*image.shape[:2], 1))
        white = jnp.array(255 if image.dtype == jnp.uint8 else 1, image.dtype)
        salted = jnp.where(even < self.share / 2, white, image)
        return jnp.where(even >= 1 - self.share / 2, jnp.zeros((), image.dtype), salted)
