"""The base of augmentations that change colors and move no pixel: operations of `jaxcnn.ops.recolor`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.ops.recolor import Recoloring, recolor


@dataclass(frozen=True)
class Recolored(Augmentation):
    """A change of colors. A kind says which `operations` may occur, and draws their numbers and factors by `todo`."""

    def operations(self) -> Collection[Recoloring]:
        """Those that may occur."""
        raise NotImplementedError

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if shape[-1] not in (1, 3):
            raise ValueError(f"{self.kind()} is for images with 1 or 3 channels, not {shape[-1]}")

    def change(self, image: Array, drawn: Drawn) -> Array:
        return recolor(image, drawn["operations"], drawn["factors"], self.operations())

    def replay(self, image: Array, drawn: Drawn) -> Array:
        if "applied" in drawn:  # what is not done takes no time in the C++ program
            drawn = drawn | {"operations": jnp.where(drawn["applied"], drawn["operations"], Recoloring.NOTHING)}
        return self.change(image, drawn)


def todo(operations: Array | Collection[Recoloring], factors: Array | Collection[float]) -> Drawn:
    """What is drawn: for each operation in turn its number and its factor."""
    return {"operations": jnp.asarray(operations, jnp.int32), "factors": jnp.asarray(factors, jnp.float32)}


def around_one(key: Array, distance: float) -> Array:
    """A factor from 1 - distance, but not below 0, to 1 + distance, even."""
    return jax.random.uniform(key, (), jnp.float32, max(0.0, 1 - distance), 1 + distance)
