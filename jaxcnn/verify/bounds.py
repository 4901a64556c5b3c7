"""How far a correct result may lie from the exact one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
# Half the distance from 1 to the next number.
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}


class Measure(NamedTuple):
    """An error, the bound it must keep, and what else is to be said."""

    error: float
    bound: float
    note: str = ""

    @property
    def ratio(self) -> float:
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound else float("inf")

    @property
    def passed(self) -> bool:
        return self.ratio <= 1  # a NaN is not


def wrong(note: str) -> Measure:
    """A result that is not even of the right shape or dtype."""
    return Measure(float("inf"), 0.0, note)


def rounding(dtype: str, terms: int, roundings: int, wide: bool) -> float:
    """What `terms` additions and `roundings` other operations may cost, as a part of the sum of absolute terms.

    n u / (1 - n u) (Higham, Accuracy and Stability of Numerical Algorithms, 2002, lemma 3.1). With `wide`, sums of
    bfloat16 numbers are accumulated in float32 and rounded once.
    """
    unit = UNIT[dtype]
    sums = UNIT["float32"] if wide and dtype == "bfloat16" else unit
    total = terms * sums + roundings * unit
    return total / (1 - total) if total < 0.5 else float("inf")


def compare(actual: Any, expected: Any, bound: Any) -> Measure:
    """The entry that lies farthest out in terms of its own bound. NaN equals NaN."""
    actual, expected = (np.asarray(a, np.float64) for a in (actual, expected))
    if actual.shape != expected.shape:
        return wrong(f"shape {actual.shape}, not {expected.shape}")
    if not actual.size:
        return Measure(0.0, 0.0)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(same, 0, abs(actual - expected))
        error = np.where(np.isnan(error), np.inf, error).ravel()
        limit = np.broadcast_to(np.asarray(bound, np.float64), actual.shape).ravel()
        ratio = np.where(error == 0, 0, error / limit)
    place = int(np.argmax(np.where(np.isnan(ratio), np.inf, ratio)))
    if not error[place]:  # all equal: the widest bound says what was asked
        return Measure(0.0, float(np.nanmax(limit)) if not np.isnan(limit).all() else 0.0)
    return Measure(float(error[place]), float(limit[place]))


def worst(measures: Iterable[Measure]) -> Measure:
    """The one that is closest to its bound, or farthest over it."""
    found = list(measures)
    return max(found, key=lambda one: float("inf") if np.isnan(one.ratio) else one.ratio)


def compare_all(actual: Iterable[Any], expected: Iterable[Any], bounds: Iterable[Any]) -> Measure:
    """The worst of several arrays."""
    return worst(compare(*one) for one in zip(actual, expected, bounds, strict=True))
