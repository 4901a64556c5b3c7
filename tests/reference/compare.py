"""How the tests compare arrays, and the inputs and differences they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .conv import Array


def agree(actual: ArrayLike, expected: ArrayLike, tolerance: float = 1e-11) -> None:
    """Both arrays are equal up to rounding in float64.

    The sums in these tests have at most some hundred terms near 1, so rounding stays below 1e-13 of them; a
    gradient of a gradient loses one or two digits more.
    """
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=tolerance, atol=tolerance)


def agree_all(actual: Iterable[ArrayLike], expected: Iterable[ArrayLike]) -> None:
    for one, other in zip(actual, expected, strict=True):
        agree(one, other)


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def central_difference(f: Callable[[Array], Any], at: Array, step: float) -> Array:
    """The gradient of a scalar function, one entry after the other."""
    slope = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        shift = np.zeros_like(at)
        shift[place] = step
        slope[place] = (float(f(at + shift)) - float(f(at - shift))) / (2 * step)
    return slope
