"""RandAugment as timm has it, which is another one than torchvision's, by timm's own words for it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.policy import Move, Operation, Policy
from jaxcnn.host.settings import require

_MOVED = (Operation.ROTATE, Operation.SHEAR_X, Operation.SHEAR_Y, Operation.TRANSLATE_X, Operation.TRANSLATE_Y)
_ENHANCED = (Operation.BRIGHTNESS, Operation.COLOR, Operation.CONTRAST, Operation.SHARPNESS)
_TONED = (
    *(Operation.AUTOCONTRAST, Operation.EQUALIZE, Operation.INVERT),
    *(Operation.POSTERIZE, Operation.SOLARIZE, Operation.SOLARIZE_ADD),
)  # fmt: skip
_AMONG = (*_TONED, *_ENHANCED, *_MOVED)

_KEYS = {"m": r"\d+", "n": r"[1-9]\d*", "mstd": r"\d+(\.\d+)?", "mmax": r"[1-9]\d*", "inc": "1"}
_LEVELS = 10
"""Of the magnitude 10, all operations are at the end of their range; beyond it, they go on."""


@dataclass(frozen=True)
class TimmRandAugment(Policy):
    """Several operations of fifteen, each of which is done half of the time: timm's RandAugment, but always bilinear.

    timm draws bilinear or bicubic interpolation. As there, what is outside of the image has one color.
    """

    config: str = "rand-m9-mstd0.5-inc1"
    """timm's string: `rand`, and between dashes `m`, the magnitude (10 by default); `n`, the number of operations (2);
    `mstd`, the standard deviation of the magnitude (0), of which more than 100 stands for any from 0 to m; `mmax`, its
    largest value (10); `inc1`, operations all of which do more where it is larger."""
    fill: tuple[int, ...] = field(default=(124, 116, 104), kw_only=True)
    """The color outside, in levels: the mean of ImageNet. One number stands for all channels."""

    def check(self) -> None:
        name, *parts = self.config.split("-")
        keys = [re.sub(r"[\d.]+$", "", part) for part in parts]
        fits = name == "rand" and len(set(keys)) == len(keys)
        for key, part in zip(keys, parts, strict=True):
            fits = fits and key in _KEYS and re.fullmatch(_KEYS[key], part.removeprefix(key))
        known = "rand and any of m9, n2, mstd0.5, mmax10 and inc1"
        require(fits, f"timm's config must be made of {known}, with dashes between them, not {self.config!r}")
        self.move()

    def check_shape(self, shape: tuple[int, ...]) -> None:
        super().check_shape(shape)
        self.move().check_shape(shape)

    def among(self) -> Collection[Operation]:
        return _AMONG

    def move(self) -> Move:
        return Move(fill=self.fill)

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        which, whether, strength, signs = jax.random.split(key, 4)
        given = self._given()
        count = (int(given.get("n", 2)),)
        operation = jnp.asarray(np.array(_AMONG, np.int32))[jax.random.randint(which, count, 0, len(_AMONG))]
        sign = jax.random.rademacher(signs, count, jnp.float32)
        magnitude = _magnitude(operation, self._strength(strength, count) / _LEVELS, sign, shape, "inc" in given)
        done = jax.random.bernoulli(whether, shape=count)
        return {"operation": jnp.where(done, operation, Operation.IDENTITY), "magnitude": magnitude}

    def _given(self) -> dict[str, float]:
        found = (re.fullmatch(r"([a-z]+)([\d.]+)", part) for part in self.config.split("-")[1:])
        return {match[1]: float(match[2]) for match in found if match}

    def _strength(self, key: Array, count: tuple[int, ...]) -> Array:
        given = self._given()
        middle, deviation = given.get("m", _LEVELS), given.get("mstd", 0)
        if deviation > 100:
            drawn = jax.random.uniform(key, count, jnp.float32, 0, middle)
        else:
            drawn = middle + deviation * jax.random.normal(key, count, jnp.float32)
        return jnp.clip(drawn, 0, given.get("mmax", _LEVELS))


def _magnitude(operation: Array, strength: Array, sign: Array, shape: tuple[int, ...], increasing: bool) -> Array:
    """Of each operation; a strength of 1 is the end of its range."""
    bits, threshold = jnp.floor(4 * strength), jnp.floor(256 * strength)
    enhanced = jnp.maximum(sign * 0.9 * strength, -0.9) if increasing else 1.8 * strength - 0.9
    of = {
        Operation.ROTATE: sign * 30 * strength,
        Operation.SHEAR_X: sign * 0.3 * strength,
        Operation.SHEAR_Y: sign * 0.3 * strength,
        Operation.TRANSLATE_X: sign * 0.45 * shape[1] * strength,
        Operation.TRANSLATE_Y: sign * 0.45 * shape[0] * strength,
        Operation.POSTERIZE: 4 - bits if increasing else bits,
        Operation.SOLARIZE: 256 - threshold if increasing else threshold,
        Operation.SOLARIZE_ADD: jnp.floor(110 * strength),
        **{each: enhanced for each in _ENHANCED},
    }
    magnitude = jnp.zeros_like(strength)
    for each, values in of.items():
        magnitude = jnp.where(operation == each, values, magnitude)
    return magnitude
