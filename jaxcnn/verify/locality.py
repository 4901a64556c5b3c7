"""Checks that NaN stays where it belongs: what does not depend on an entry keeps its value when the entry is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcnn.verify.bounds import Array, Measure, compare_all, worst
from jaxcnn.verify.subject import Subject


def spoiled(subject: Subject, array: Array) -> Array:
    """The array with NaN in one of its entries, some random one."""
    random = subject.setting.random(subject.seed, f"the entry of {array.shape} that is NaN")
    array = array.copy()
    array.flat[random.integers(array.size)] = np.nan
    return array


def within(actual: Any, expected: Array) -> Array:
    """`actual`, and NaN wherever that is expected: 0 times NaN may be left out of a gradient, as padding often is."""
    return np.where(np.isnan(expected), np.nan, np.asarray(actual, np.float64))


def nan(subject: Subject) -> Measure:
    """Value and gradient where one entry of the first array is NaN, and the gradient where one of the cotangent is: as
    the loops have it, except that a gradient may leave out 0 times NaN. The bounds are those of value and gradient."""
    floats, cotangent = [spoiled(subject, subject.floats[0]), *subject.floats[1:]], spoiled(subject, subject.cotangent)
    values, gradients = subject.run(floats, subject.cotangent)
    _, from_cotangent = subject.run(subject.floats, cotangent)
    with np.errstate(invalid="ignore"):
        measures = [compare_all(values, subject.values(floats), subject.value_bounds(floats))]
        for ours, given, u in ((gradients, floats, subject.cotangent), (from_cotangent, subject.floats, cotangent)):
            first, *others = subject.gradients(given, u)
            expected = [np.where(np.isnan(given[0]), np.nan, first), *others]  # its own derivative may be NaN
            bounds = subject.gradient_bounds(given, u)
            measures.append(compare_all(map(within, ours, expected), expected, bounds))
    return worst(measures)
