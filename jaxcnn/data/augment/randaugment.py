"""Policies that draw any of fourteen operations: RandAugment and TrivialAugment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.policy import Magnitudes, Operation, Policy, drawn_among, magnitudes
from jaxcnn.host.settings import require


@dataclass(frozen=True)
class RandAugment(Policy):
    """Several operations, all of one strength: RandAugment (Cubuk et al. 2019), with torchvision's magnitudes.

    They are drawn with replacement; "identity" is one of them. timm's, Keras's and the paper's have other magnitudes.
    """

    operations: int = 2
    """How many, one after the other."""
    magnitude: int = 9
    """Their strength: 0 is the least, bins - 1 the most."""
    bins: int = 31
    """How many strengths there are."""

    def check(self) -> None:
        require(self.operations >= 1, f"randaugment's operations must be 1 or more, not {self.operations}")
        _check_bins(self)
        fits = 0 <= self.magnitude < self.bins
        require(fits, f"randaugment's magnitude must be from 0 to {self.bins - 1}, not {self.magnitude}")

    def magnitudes(self, shape: tuple[int, ...]) -> Magnitudes:
        farthest = (150 / 331 * shape[0], 150 / 331 * shape[1])
        largest = magnitudes(self.bins, shear=0.3, translate=farthest, rotate=30, enhance=0.9, bits=(8, 4))
        return {Operation.IDENTITY: np.zeros(self.bins, np.float32)} | largest

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return drawn_among(key, self.magnitudes(shape), (self.operations,), self.magnitude, self.magnitude)


@dataclass(frozen=True)
class TrivialAugment(Policy):
    """One operation, of any strength: TrivialAugment (Müller and Hutter 2021), its wide magnitudes as torchvision's.

    Images are shifted by 32 pixels at most, whatever their size.
    """

    bins: int = 31
    """How many strengths there are."""

    def check(self) -> None:
        _check_bins(self)

    def magnitudes(self, shape: tuple[int, ...]) -> Magnitudes:
        largest = magnitudes(self.bins, shear=0.99, translate=(32, 32), rotate=135, enhance=0.99, bits=(8, 2))
        return {Operation.IDENTITY: np.zeros(self.bins, np.float32)} | largest

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        return drawn_among(key, self.magnitudes(shape), (1,), 0, self.bins - 1)


def _check_bins(policy: RandAugment | TrivialAugment) -> None:
    require(policy.bins >= 2, f"{policy.kind()}'s bins must be 2 or more, not {policy.bins}")
