"""Training images out of focus."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require
from jaxcnn.ops.blur import blur


@dataclass(frozen=True)
class Blur(Augmentation):
    """Blur the image by a Gaussian, mirrored at its edge (which is not repeated)."""

    sigma: tuple[float, float] = (0.1, 2.0)
    """The smallest and the largest standard deviation, in pixels; one between them is drawn evenly."""
    size: int | None = None
    """Of the square of pixels that are averaged, odd; by default three largest standard deviations on each side."""
    probability: float = field(default=0.5, kw_only=True)
    """How often."""

    def check(self) -> None:
        low, high = self.sigma
        require(0 < low <= high, f"blur's sigma must be two positive numbers, the smaller one first, not {self.sigma}")
        require(
            self.size is None or (self.size > 0 and self.size % 2 == 1),
            f"blur's size must be an odd number of pixels, not {self.size}",
        )

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if self._reach() >= min(shape[:2]):
            raise ValueError(
                f"blur looks {self._reach()} pixels far, which must be less than the images' {shape[0]}x{shape[1]}: "
                "set its size"
            )

    def _reach(self) -> int:
        return math.ceil(3 * self.sigma[1]) if self.size is None else self.size // 2

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return {"sigma": jax.random.uniform(key, (), jnp.float32, *self.sigma)}

    def replay(self, image: Array, drawn: Drawn) -> Array:
        if "applied" in drawn:  # a focus so sharp that a pixel is its own mean takes no time in the C++ program
            drawn = drawn | {"sigma": jnp.where(drawn["applied"], drawn["sigma"], 1e-3)}
        return self.change(image, drawn)

    def change(self, image: Array, drawn: Drawn) -> Array:
        away = jnp.arange(-self._reach(), self._reach() + 1, dtype=jnp.float32)
        weights = jnp.exp(-0.5 * (away / drawn["sigma"]) ** 2)
        return blur(image, weights / weights.sum())
