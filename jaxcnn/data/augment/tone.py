"""Other tones of training images, each channel by itself; and sharper or smoother ones. As Pillow's ImageOps do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.recolored import Recolored, around_one, todo
from jaxcnn.host.settings import require
from jaxcnn.ops.recolor import Recoloring


@dataclass(frozen=True)
class Toned(Recolored):
    """One operation, whose factor is not drawn."""

    operation: ClassVar[Recoloring]

    probability: float = 0.5
    """How often."""

    def operations(self) -> Collection[Recoloring]:
        return [self.operation]

    def factor(self) -> float:
        return 0.0

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return todo([self.operation], [self.factor()])


@dataclass(frozen=True)
class Invert(Toned):
    """The negative of the image."""

    operation = Recoloring.INVERT


@dataclass(frozen=True)
class Autocontrast(Toned):
    """Stretch each channel, so that its darkest pixel is black and its brightest is white."""

    operation = Recoloring.AUTOCONTRAST


@dataclass(frozen=True)
class Equalize(Toned):
    """Make the values of each channel as even as can be: its histogram, added up, becomes a straight line."""

    operation = Recoloring.EQUALIZE


@dataclass(frozen=True)
class Solarize(Toned):
    """Invert what is bright."""

    operation = Recoloring.SOLARIZE

    threshold: float = 0.5
    """From here on, with 0 for black and 1 for white; 0.5 is Pillow's level 128."""
    probability: float = field(default=0.5, kw_only=True)
    """How often."""

    def check(self) -> None:
        require(0 <= self.threshold <= 1, f"solarize's threshold must be from 0 to 1, not {self.threshold}")

    def factor(self) -> float:
        return self.threshold


@dataclass(frozen=True)
class Posterize(Toned):
    """Keep the first bits of each value, out of eight."""

    operation = Recoloring.POSTERIZE

    bits: int = 4
    """How many."""
    probability: float = field(default=0.5, kw_only=True)
    """How often."""

    def check(self) -> None:
        require(1 <= self.bits <= 8, f"posterize's bits must be from 1 to 8, not {self.bits}")

    def factor(self) -> float:
        return float(self.bits)


@dataclass(frozen=True)
class Sharpness(Recolored):
    """Sharpen or smooth: away from, or towards, the mean of 3x3 pixels in which the middle one counts five times."""

    sharpness: float = 1.0
    """Stands for a factor from max(0, 1 - x) to 1 + x, drawn evenly: 0 is smooth, 1 the image, 2 sharp."""
    probability: float = field(default=0.5, kw_only=True)
    """How often."""

    def check(self) -> None:
        require(self.sharpness >= 0, f"sharpness must not be negative, not {self.sharpness}")

    def operations(self) -> Collection[Recoloring]:
        return [Recoloring.SHARPNESS]

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return todo([Recoloring.SHARPNESS], around_one(key, self.sharpness)[None])
