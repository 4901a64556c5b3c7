"""How sure the figures of a test set are, and how honest the probabilities."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

SURE = 0.95


class Interval(NamedTuple):
    """A share and the ends of its interval."""

    share: float
    low: float
    high: float

    def text(self) -> str:
        """As percent: "94.1% (93.6 to 94.5)"."""
        return f"{self.share:.1%} ({100 * self.low:.1f} to {100 * self.high:.1f})"


def proportion(right: int, count: int) -> Interval:
    """A share of so many with Wilson's interval at 95% (Wilson 1927); all of 0 to 1 where there are none."""
    if not count:
        return Interval(math.nan, 0.0, 1.0)
    found = binomtest(right, count).proportion_ci(SURE, "wilson")
    return Interval(right / count, float(found.low), float(found.high))


def disagreement(one: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Of two runs on the same images, whether each was right (N,): how many only the first has right, only the other,
    and the probability of as unequal numbers by chance (the exact test of McNemar 1947)."""
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    return first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0


class Calibration(NamedTuple):
    """Of every bin of confidence the mean confidence, how many were right, and how many there are; and both errors.

    `error` is the expected calibration error, the mean distance of confidence and accuracy (Guo et al. 2017),
    `largest` that of the worst bin.
    """

    confidence: np.ndarray
    right: np.ndarray
    counts: np.ndarray
    error: float
    largest: float


def calibration(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> Calibration:
    """Confidences (N,) from 0 to 1 and whether they were right, in bins of equal width; empty bins are left out."""
    numbers = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    full = counts > 0
    means = np.bincount(numbers, confidence, bins)[full] / counts[full]
    rights = np.bincount(numbers, right, bins)[full].astype(int)
    gaps = np.abs(means - rights / counts[full])
    return Calibration(
        means, rights, counts[full], float((gaps * counts[full]).sum() / len(right)), float(gaps.max(initial=0.0))
    )


def linear_accuracy(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], classes: int) -> float:
    """The share of test images that a linear function of the pixels gets right: the baseline of who learns nothing.

    Both are images uint8 (N, H, W, C), of at most 32x32 for memory's sake, and labels. It is the least squares fit to
    the classes, with a ridge of a hundredth of the mean variance of a pixel, chosen without looking at the test images.
    """
    mean = train[0].reshape(len(train[0]), -1).mean(0, dtype=np.float64).astype(np.float32) / 255
    x = _flat(train[0], mean)
    targets = np.eye(classes, dtype=np.float32)[train[1]]
    center = targets.mean(0)
    square = x.T @ x
    square[np.diag_indices_from(square)] += 0.01 * np.trace(square) / len(square)
    weights = np.linalg.solve(square.astype(np.float64), (x.T @ (targets - center)).astype(np.float64))
    seen = _flat(test[0], mean) @ weights.astype(np.float32) + center
    return float((seen.argmax(1) == test[1]).mean())


def _flat(images: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255 - mean
