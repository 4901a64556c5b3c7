"""Rectangles that are erased from training images. What stands there instead, the image is normalized with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.host.settings import require
from jaxcnn.ops import random
from jaxcnn.ops.recolor import mean_color

Fill = Literal["mean", "zeros", "noise"]
"""The mean color of the image, black, or each value drawn evenly from black to white."""

TRIES = 10


@dataclass(frozen=True)
class Erased(Augmentation):
    """One that erases the rectangle at "corner" of "size"."""

    def filling(self) -> Fill:
        raise NotImplementedError

    def change(self, image: Array, drawn: Drawn) -> Array:
        begin, end = drawn["corner"], drawn["corner"] + drawn["size"]
        rows, columns = (jnp.arange(size, dtype=jnp.int32) for size in image.shape[:2])
        in_rows, in_columns = (rows >= begin[0]) & (rows < end[0]), (columns >= begin[1]) & (columns < end[1])
        inside = (in_rows[:, None] & in_columns[None, :])[..., None]
        return jnp.where(inside, _filled(image, drawn, self.filling()), image)

    def replay(self, image: Array, drawn: Drawn) -> Array:
        if "applied" in drawn:  # an empty rectangle costs less than a choice between two images
            drawn = drawn | {"size": jnp.where(drawn["applied"], drawn["size"], 0)}
        return self.change(image, drawn)


@dataclass(frozen=True)
class Erase(Erased):
    """Erase a rectangle: Random Erasing (Zhong et al. 2017), with torchvision's distribution.

    Ten times an area and a ratio are drawn, the first rectangle that is smaller than the image in both directions is
    erased somewhere; where none is, the image stays as it is. torchvision erases after normalization, so that its 0 is
    the mean color of the data set; here it comes before, and `fill` says what is put there.
    """

    probability: float = 0.5
    """How often."""
    fill: Fill = "mean"
    """`mean`, the mean color of the image: normalized, it is near 0. `zeros`: black. `noise`: any values."""
    scale: tuple[float, float] = (0.02, 0.33)
    """The smallest and the largest area, as a part of the image's; drawn evenly."""
    ratio: tuple[float, float] = (0.3, 3.3)
    """The smallest and the largest ratio of height to width; its logarithm is drawn evenly."""

    def check(self) -> None:
        low, high = self.scale
        require(0 <= low <= high <= 1, f"erase's scale must be two parts of the area, smaller first, not {self.scale}")
        low, high = self.ratio
        require(0 < low <= high, f"erase's ratio must be two positive numbers, the smaller one first, not {self.ratio}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        area_key, ratio_key, place, noise = jax.random.split(key, 4)
        area = shape[0] * shape[1] * jax.random.uniform(area_key, (TRIES,), jnp.float32, *self.scale)
        low, high = map(math.log, self.ratio)
        ratio = jnp.exp(jax.random.uniform(ratio_key, (TRIES,), jnp.float32, low, high))
        sizes = jnp.round(jnp.sqrt(jnp.stack([area * ratio, area / ratio], -1))).astype(jnp.int32)
        whole = jnp.array(shape[:2], jnp.int32)
        fits = (sizes < whole[None]).all(-1)
        size = jnp.where(fits.any(), sizes[jnp.argmax(fits)], 0)
        corner = jax.random.randint(place, (2,), 0, whole - size + 1, jnp.int32)
        return {"corner": corner, "size": size, "key": noise}

    def filling(self) -> Fill:
        return self.fill


@dataclass(frozen=True)
class Cutout(Erased):
    """Erase a square (DeVries and Taylor 2017): its middle is any pixel, what is outside is cut off."""

    size: int = 16
    """Pixels on a side."""
    fill: Fill = "zeros"
    """`zeros`: black. `mean`: the mean color of the image, which is near 0 once normalized. `noise`: any values."""
    probability: float = field(default=1.0, kw_only=True)
    """How often."""

    def check(self) -> None:
        require(self.size > 0, f"cutout's size must be positive, not {self.size}")

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        place, noise = jax.random.split(key)
        corner = jax.random.randint(place, (2,), 0, jnp.array(shape[:2], jnp.int32), jnp.int32) - self.size // 2
        size = jnp.full((2,), self.size, jnp.int32)
        return {"corner": corner, "size": size, "key": noise}

    def filling(self) -> Fill:
        return self.fill


def _filled(image: Array, drawn: Drawn, fill: Fill) -> Array:
    if fill == "zeros":
        return jnp.zeros((), image.dtype)
    if fill == "noise" and image.dtype == jnp.uint8:
        return (random.bits(drawn["key"], image.shape) >> 24).astype(jnp.uint8)
    if fill == "noise":
        return random.uniform(drawn["key"], image.shape).astype(image.dtype)
    return mean_color(image)[None, None]
