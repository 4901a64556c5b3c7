"""What policies are made of: operations with a magnitude, each of which moves pixels or changes colors.

An operation is a warp by a matrix and then one of `jaxcnn.ops.recolor`, one of which does nothing; so images with
different operations are one call each. The C++ program spends no time on what does nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.data.augment.augmentation import Augmentation, Drawn
from jaxcnn.data.augment.warp import Warp
from jaxcnn.ops.recolor import Recoloring, recolor


class Operation(IntEnum):
    """The operations of AutoAugment (Cubuk et al. 2018), and what their magnitudes are."""

    IDENTITY = 0
    SHEAR_X = 1
    """Pixels to the right, for each one down."""
    SHEAR_Y = 2
    TRANSLATE_X = 3
    """Pixels, a whole number."""
    TRANSLATE_Y = 4
    ROTATE = 5
    """Degrees, counterclockwise."""
    BRIGHTNESS = 6
    """The factor less 1, as of the next three."""
    COLOR = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    """How many bits are kept."""
    SOLARIZE = 11
    """The level from which on values are inverted, 0 to 255."""
    AUTOCONTRAST = 12
    EQUALIZE = 13
    INVERT = 14
    SOLARIZE_ADD = 15
    """Levels, which are added to those below 128: of timm."""


SIGNED = frozenset(range(Operation.SHEAR_X, Operation.POSTERIZE))
"""Those whose magnitude has a random sign."""

_RECOLORINGS = {
    Operation.BRIGHTNESS: Recoloring.BRIGHTNESS,
    Operation.COLOR: Recoloring.SATURATION,
    Operation.CONTRAST: Recoloring.CONTRAST,
    Operation.SHARPNESS: Recoloring.SHARPNESS,
    Operation.POSTERIZE: Recoloring.POSTERIZE,
    Operation.SOLARIZE: Recoloring.SOLARIZE,
    Operation.AUTOCONTRAST: Recoloring.AUTOCONTRAST,
    Operation.EQUALIZE: Recoloring.EQUALIZE,
    Operation.INVERT: Recoloring.INVERT,
    Operation.SOLARIZE_ADD: Recoloring.SOLARIZE_ADD,
}
_NUMBERS = np.array([_RECOLORINGS.get(each, Recoloring.NOTHING) for each in Operation], np.int32)

Magnitudes = Mapping[Operation, np.ndarray]
"""The operations that a policy draws from, each with its magnitudes, one for every bin."""


def magnitudes(
    bins: int, *, shear: float, translate: tuple[float, float], rotate: float, enhance: float, bits: tuple[int, int]
) -> dict[Operation, np.ndarray]:
    """The magnitudes of `bins` from nothing to the largest given; of bits, from the first number to the second.

    Args:
      translate: (down, to the right), in pixels, which are cut to whole numbers.
      enhance: of brightness, color, contrast and sharpness.
    """

    def even(largest: float) -> np.ndarray:
        return np.linspace(0, largest, bins, dtype=np.float32)

    down, right = (np.trunc(even(largest)) for largest in translate)
    first, last = bits
    dropped = np.round(np.arange(bins) / ((bins - 1) / (first - last))) if bins > 1 else np.zeros(1)
    enhanced = (Operation.BRIGHTNESS, Operation.COLOR, Operation.CONTRAST, Operation.SHARPNESS)
    return {
        Operation.SHEAR_X: even(shear),
        Operation.SHEAR_Y: even(shear),
        Operation.TRANSLATE_X: right,
        Operation.TRANSLATE_Y: down,
        Operation.ROTATE: even(rotate),
        **{operation: even(enhance) for operation in enhanced},
        Operation.POSTERIZE: (first - dropped).astype(np.float32),
        Operation.SOLARIZE: np.linspace(255, 0, bins, dtype=np.float32),
        **{operation: np.zeros(bins, np.float32) for operation in (Operation.AUTOCONTRAST, Operation.EQUALIZE)},
    }


@dataclass(frozen=True)
class Move(Warp):
    """The part of an operation that moves pixels."""

    def matrix(self, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        operation, magnitude = drawn["operation"], drawn["magnitude"]

        def by(which: Operation) -> Array:
            return jnp.where(operation == which, magnitude, 0)

        angle = jnp.deg2rad(by(Operation.ROTATE))
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        x, y = shape[1] / 2, shape[0] / 2
        one, zero = jnp.ones_like(cos), jnp.zeros_like(cos)
        right, down = by(Operation.TRANSLATE_X), by(Operation.TRANSLATE_Y)
        rows = [
            [cos, by(Operation.SHEAR_X) - sin, x - cos * x + sin * y - right],
            [by(Operation.SHEAR_Y) + sin, cos, y - sin * x - cos * y - down],
            [zero, zero, one],
        ]
        return jnp.stack([jnp.stack(row) for row in rows]).astype(jnp.float32)


@dataclass(frozen=True)
class Policy(Augmentation):
    """Operations one after the other. A kind says which of them may occur, and draws them by `drawn_among`."""

    def magnitudes(self, shape: tuple[int, ...]) -> Magnitudes:
        """The operations that may occur to images of `shape`, and their magnitudes."""
        raise NotImplementedError

    def among(self) -> Collection[Operation]:
        """The operations that may occur."""
        return list(self.magnitudes((1, 1, 1)))

    def move(self) -> Move:
        """How pixels are moved."""
        return Move(interpolation="nearest")

    def check_shape(self, shape: tuple[int, ...]) -> None:
        if shape[-1] not in (1, 3):
            raise ValueError(f"{self.kind()} is for images with 1 or 3 channels, not {shape[-1]}")

    def change(self, image: Array, drawn: Drawn) -> Array:
        among = {_RECOLORINGS[each] for each in self.among() if each in _RECOLORINGS}
        for step in steps(drawn):
            image = self.move().change(image, step)
            number = jnp.asarray(_NUMBERS)[step["operation"]]
            image = recolor(image, number[None], _factor(**step)[None], among)
        return image

    def change_mask(self, mask: Array, drawn: Drawn) -> Array:
        for step in steps(drawn):
            mask = self.move().change_mask(mask, step)
        return mask

    def change_boxes(self, boxes: Array, drawn: Drawn, shape: tuple[int, ...]) -> Array:
        for step in steps(drawn):
            boxes = self.move().change_boxes(boxes, step, shape)
        return boxes

    def replay(self, image: Array, drawn: Drawn) -> Array:
        if "applied" in drawn:
            drawn = drawn | {"operation": jnp.where(drawn["applied"], drawn["operation"], Operation.IDENTITY)}
        return self.change(image, drawn)


def _factor(operation: Array, magnitude: Array) -> Array:
    """What `recolor` calls the magnitude."""
    enhances = (operation >= Operation.BRIGHTNESS) & (operation <= Operation.SHARPNESS)
    in_levels = (operation == Operation.SOLARIZE) | (operation == Operation.SOLARIZE_ADD)
    return jnp.where(enhances, 1 + magnitude, jnp.where(in_levels, magnitude / 255, magnitude))


def steps(drawn: Drawn) -> list[Drawn]:
    """What was drawn of each operation, one after the other."""
    return [{name: drawn[name][k] for name in ("operation", "magnitude")} for k in range(len(drawn["operation"]))]


def signed(key: Array, operation: Array, magnitude: Array) -> Drawn:
    """Operations (K,), and their magnitudes with a sign where they have one."""
    has_sign = jnp.asarray(np.array([each in SIGNED for each in Operation]))
    negative = jax.random.bernoulli(key, shape=magnitude.shape) & has_sign[operation]
    return {"operation": operation, "magnitude": jnp.where(negative, -magnitude, magnitude)}


def drawn_among(key: Array, among: Magnitudes, shape: tuple[int, ...], lowest: int, highest: int) -> Drawn:
    """Operations of `shape`, each any of those `among`, with a magnitude of any bin from the lowest to the highest."""
    which, bins, signs = jax.random.split(key, 3)
    row = jax.random.randint(which, shape, 0, len(among))
    column = jax.random.randint(bins, shape, lowest, highest + 1)
    table = jnp.asarray(np.stack(list(among.values())))
    return signed(signs, jnp.asarray(np.array(list(among), np.int32))[row], table[row, column])
