"""Other colors of training images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.recolored import Recolored, around_one, todo
from jaxcnn.host.settings import require
from jaxcnn.ops.recolor import Recoloring

_PROPERTIES = {
    "brightness": Recoloring.BRIGHTNESS,
    "contrast": Recoloring.CONTRAST,
    "saturation": Recoloring.SATURATION,
    "hue": Recoloring.HUE,
}


@dataclass(frozen=True)
class Jitter(Recolored):
    """Change brightness, contrast, saturation and hue by factors of their own, in a random order.

    As torchvision's ColorJitter: each x but hue's stands for a factor from max(0, 1 - x) to 1 + x, drawn evenly. What
    is 0 is left out: `jitter brightness=0.4 contrast=0 saturation=0 hue=0` changes brightness alone.
    """

    brightness: float = 0.4
    """0 would be black."""
    contrast: float = 0.4
    """0 would be gray: the mean of the image's luminance."""
    saturation: float = 0.4
    """0 would be the image's luminance."""
    hue: float = 0.1
    """The hue is turned by this part of a circle at most, to either side."""

    def check(self) -> None:
        for name in _PROPERTIES:
            require(getattr(self, name) >= 0, f"jitter's {name} must not be negative, not {getattr(self, name)}")
        require(self.hue <= 0.5, f"jitter's hue must be at most 0.5, half a turn, not {self.hue}")

    def operations(self) -> Collection[Recoloring]:
        return [operation for name, operation in _PROPERTIES.items() if getattr(self, name)]

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        order, *keys = jax.random.split(key, 1 + len(_PROPERTIES))
        names = [name for name in _PROPERTIES if getattr(self, name)]
        if not names:
            return todo([], [])
        factors = jnp.stack(
            [self._factor(name, one) for name, one in zip(_PROPERTIES, keys, strict=True) if name in names]
        )
        places = jax.random.permutation(order, len(names))
        return todo(jnp.array([_PROPERTIES[name] for name in names])[places], factors[places])

    def _factor(self, name: str, key: Array) -> Array:
        if name == "hue":
            return jax.random.uniform(key, (), jnp.float32, -self.hue, self.hue)
        return around_one(key, getattr(self, name))


@dataclass(frozen=True)
class Grayscale(Recolored):
    """Replace the colors by their luminance, in all channels: 0.299 red + 0.587 green + 0.114 blue."""

    probability: float = 0.1
    """How often."""

    def operations(self) -> Collection[Recoloring]:
        return [Recoloring.GRAYSCALE]

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return todo([Recoloring.GRAYSCALE], [0])
