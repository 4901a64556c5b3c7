"""Checks of operations that throw dice."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.stats import binom

from jaxcnn.verify.bounds import UNIT, Array, Measure, compare, compare_all
from jaxcnn.verify.loops import loops
from jaxcnn.verify.subject import Subject

SIGNIFICANCE = 1e-9  # of one case: over a thousand cases, one false alarm in a million runs
AXES = {"dropout": None, "spatial_dropout": (0, -1), "stochastic_depth": (0,)}  # what a die is thrown for


def _output(subject: Subject, key: int | None = None) -> Array:
    options: dict[str, Any] = dict(subject.setting.options)
    if key is not None:
        options["key"] = key
    return np.asarray(subject.operation(jnp.asarray(subject.arrays[0], subject.dtype), **options))


def _dice(subject: Subject, kept: Array) -> Array:
    """Whether each die kept what it was thrown for, from its first place."""
    axes = AXES[subject.operation.name]
    if axes is None:
        return kept
    kept = kept.reshape(len(kept), -1, kept.shape[-1])[:, 0]
    return kept if -1 in axes else kept[:, 0]


def _mask(subject: Subject) -> Array:
    """What lives, shaped to the dice: one die's examples or channels live or die together."""
    dice = _dice(subject, _output(subject) != 0)
    shape = subject.setting.shape
    if AXES[subject.operation.name] is None:
        return dice
    return dice.reshape(len(dice), *[1] * (len(shape) - 2), shape[-1] if dice.ndim == 2 else 1)


def survivors(subject: Subject) -> Measure:
    """What lives is x/(1 - rate), what died is 0, and what one die was thrown for lives or dies together. The bound is
    three roundings: of 1 - rate, of its reciprocal, of the product."""
    keep = loops()["dropout"]
    expected = keep(subject.arrays[0], rate=subject.setting.options["rate"], keep=_mask(subject))
    y = _output(subject)
    if str(y.dtype) != subject.dtype:
        return Measure(float("inf"), 0.0, f"a result of dtype {y.dtype}")
    return compare(y, expected, 3 * UNIT[subject.dtype] * abs(expected))


def fraction(subject: Subject) -> Measure:
    """How many live, against (1 - rate) of all dice. The bound is the binomial interval that holds all but 1e-9."""
    dice, rate = _dice(subject, _output(subject) != 0), subject.setting.options["rate"]
    low, high = binom.ppf([SIGNIFICANCE / 2, 1 - SIGNIFICANCE / 2], dice.size, 1 - rate)
    mean = dice.size * (1 - rate)
    return Measure(abs(float(dice.sum()) - mean), float(max(high - mean, mean - low)))


def keys(subject: Subject) -> Measure:
    """The same key throws the same dice, another one others: the number of dice (or of keys) where not; bound 0.

    Where dice seldom fall, two keys may well throw alike: so many are tried that 1e-9 is left that all do.
    """
    key, rate = subject.setting.options["key"], subject.setting.options["rate"]
    one, again = (_output(subject, key) != 0 for _ in range(2))
    unlike = int((one != again).sum())
    if rate == 0:
        return Measure(float(unlike), 0.0)
    alike = _dice(subject, one).size * math.log(rate**2 + (1 - rate) ** 2)  # the logarithm of one key's chance
    others = range(key + 1, key + 1 + math.ceil(math.log(SIGNIFICANCE) / alike))
    if any((one != (_output(subject, other) != 0)).any() for other in others):
        return Measure(float(unlike), 0.0)
    return Measure(float(unlike + 1), 0.0, f"one mask for {len(others) + 1} keys")


def mask_gradient(subject: Subject) -> Measure:
    """The gradient is the cotangent through the same dice; the bound is that of the survivors."""
    keep = loops()["dropout"]
    _, gradients = subject.results
    expected = keep(subject.cotangent, rate=subject.setting.options["rate"], keep=_mask(subject))
    return compare_all(gradients, [expected], [3 * UNIT[subject.dtype] * abs(expected)])
