"""The policies that AutoAugment found for three data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.data.augment.augmentation import Drawn
from jaxcnn.data.augment.policy import Magnitudes, Operation, Policy, magnitudes, signed

LEVELS = 10

# Tables 7 to 9 of arXiv:1805.09501, as torchvision has them: in each line two operations, each with its probability and
# its level, which some have no use for.
_IMAGENET = """
    posterize .4 8, rotate .6 9
    solarize .6 5, autocontrast .6
    equalize .8, equalize .6
    posterize .6 7, posterize .6 6
    equalize .4, solarize .2 4
    equalize .4, rotate .8 8
    solarize .6 3, equalize .6
    posterize .8 5, equalize 1
    rotate .2 3, solarize .6 8
    equalize .6, posterize .4 6
    rotate .8 8, color .4 0
    rotate .4 9, equalize .6
    equalize 0, equalize .8
    invert .6, equalize 1
    color .6 4, contrast 1 8
    rotate .8 8, color 1 2
    color .8 8, solarize .8 7
    sharpness .4 7, invert .6
    shear_x .6 5, equalize 1
    color .4 0, equalize .6
    equalize .4, solarize .2 4
    solarize .6 5, autocontrast .6
    invert .6, equalize 1
    color .6 4, contrast 1 8
    equalize .8, equalize .6
"""
_CIFAR10 = """
    invert .1, contrast .2 6
    rotate .7 2, translate_x .3 9
    sharpness .8 1, sharpness .9 3
    shear_y .5 8, translate_y .7 9
    autocontrast .5, equalize .9
    shear_y .2 7, posterize .3 7
    color .4 3, brightness .6 7
    sharpness .3 9, brightness .7 9
    equalize .6, equalize .5
    contrast .6 7, sharpness .6 5
    color .7 7, translate_x .5 8
    equalize .3, autocontrast .4
    translate_y .4 3, sharpness .2 6
    brightness .9 6, color .2 8
    solarize .5 2, invert 0
    equalize .2, autocontrast .6
    equalize .2, equalize .6
    color .9 9, equalize .6
    autocontrast .8, solarize .2 8
    brightness .1 3, color .7 0
    solarize .4 5, autocontrast .9
    translate_y .9 9, translate_y .7 9
    autocontrast .9, solarize .8 3
    equalize .8, invert .1
    translate_y .7 9, autocontrast .9
"""
_SVHN = """
    shear_x .9 4, invert .2
    shear_y .9 8, invert .7
    equalize .6, solarize .6 6
    invert .9, equalize .6
    equalize .6, rotate .9 3
    shear_x .9 4, autocontrast .8
    shear_y .9 8, invert .4
    shear_y .9 5, solarize .2 6
    invert .9, autocontrast .8
    equalize .6, rotate .9 3
    shear_x .9 4, solarize .3 3
    shear_y .8 8, invert .7
    equalize .9, translate_y .6 6
    invert .9, equalize .6
    contrast .3 3, rotate .8 4
    invert .8, translate_y 0 2
    shear_y .7 6, solarize .4 8
    invert .6, rotate .8 4
    shear_y .3 7, translate_x .9 3
    shear_x .1 6, invert .6
    solarize .7 2, translate_y .6 7
    shear_y .8 4, invert .8
    shear_x .7 9, translate_y .8 3
    shear_y .8 5, autocontrast .7
    shear_x .7 2, invert .1
"""
_POLICIES = {"imagenet": _IMAGENET, "cifar10": _CIFAR10, "svhn": _SVHN}

Step = tuple[Operation, float, int]
"""An operation, its probability and its level."""


def sub_policies(policy: str) -> list[tuple[Step, Step]]:
    """The 25 pairs of operations of a policy; level 0 where an operation has no use for one."""
    return [tuple(map(_step, line.split(","))) for line in _POLICIES[policy].strip().splitlines()]  # type: ignore


def _step(text: str) -> Step:
    name, probability, *level = text.split()
    return Operation[name.upper()], float(probability), int(*level)


@dataclass(frozen=True)
class AutoAugment(Policy):
    """One of 25 pairs of operations, each of which is done with its probability: AutoAugment (Cubuk et al. 2018).

    Magnitudes are torchvision's.
    """

    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"
    """The data set that it was found for."""

    def magnitudes(self, shape: tuple[int, ...]) -> Magnitudes:
        farthest = (150 / 331 * shape[0], 150 / 331 * shape[1])
        largest = magnitudes(LEVELS, shear=0.3, translate=farthest, rotate=30, enhance=0.9, bits=(8, 4))
        among = largest | {Operation.INVERT: np.zeros(LEVELS, np.float32)}
        occurring = {operation for pair in sub_policies(self.policy) for operation, _, _ in pair}
        return {operation: levels for operation, levels in among.items() if operation in occurring}

    def draw(self, key: Array, shape: tuple[int, ...]) -> Drawn:
        which, whether, signs = jax.random.split(key, 3)
        pairs, among = sub_policies(self.policy), self.magnitudes(shape)
        operations, probabilities, strengths = (
            jnp.asarray(np.array([[value(step) for step in pair] for pair in pairs], dtype))
            for value, dtype in (
                (lambda step: step[0], np.int32),
                (lambda step: step[1], np.float32),
                (lambda step: among[step[0]][step[2]], np.float32),
            )
        )
        pair = jax.random.randint(which, (), 0, len(pairs))
        done = jax.random.bernoulli(whether, probabilities[pair])
        return signed(signs, jnp.where(done, operations[pair], Operation.IDENTITY), strengths[pair])
