"""That all contenders compute the same thing, so that nobody is timed at something else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxcnn.bench.networks import Gradients

TOLERANCE = 1e-3  # of the greatest magnitude: float32 sums in another order, and faster algorithms, differ by less
GRADIENT_TOLERANCE = 5e-2  # of a gradient's length: an activation that rounding puts on the other side of zero, or
# of its window's maximum, takes its whole share along
SMALLEST = 1e-3  # of the whole gradient's length: shorter ones are rounding, as that of a bias before a normalization
KEPT = 6.0  # standard deviations by which the share of elements that dropout keeps may be off


class Disagreement(Exception):
    """Two contenders gave different results for the same inputs."""


def error(result: np.ndarray, expected: np.ndarray) -> float:
    """The greatest difference, relative to the greatest magnitude expected."""
    return float(np.abs(result - expected).max() / max(np.abs(expected).max(), 1e-30))


def check_equal(name: str, results: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    """Raise Disagreement unless every array is within `TOLERANCE` of the one expected."""
    if [each.shape for each in results] != [each.shape for each in expected]:
        shapes = [each.shape for each in results], [each.shape for each in expected]
        raise Disagreement(f"{name} returns arrays of {shapes[0]}, jaxcnn of {shapes[1]}")
    for number, (result, wanted) in enumerate(zip(results, expected, strict=True)):
        off = error(result, wanted)
        if not off <= TOLERANCE:
            raise Disagreement(
                f"{name} disagrees with jaxcnn: result {number} is off by {off:.2g} of the greatest magnitude"
            )


def check_dropout(name: str, results: Sequence[np.ndarray], x: np.ndarray, gradient: np.ndarray, rate: float) -> None:
    """Raise Disagreement unless y, and dx where it is given, are x and the gradient with `rate` of them dropped."""
    y, *rest = results
    kept = y != 0
    off = abs(kept.mean() - (1 - rate)) / np.sqrt(rate * (1 - rate) / y.size)
    if off > KEPT:
        raise Disagreement(f"{name} keeps {kept.mean():.4f} of the elements, not {1 - rate}")
    check_equal(name, [y, *rest], [np.where(kept, each / (1 - rate), 0) for each in (x, gradient)][: len(results)])


def check_gradients(name: str, found: Gradients, expected: Gradients) -> None:
    """Raise Disagreement unless logits, loss and every layer's gradients are those expected."""
    check_equal(
        f"{name} (logits, loss)", [found.logits, np.array(found.loss)], [expected.logits, np.array(expected.loss)]
    )
    whole = np.sqrt(sum(np.square(wanted).sum() for layer in expected.params.values() for wanted in layer.values()))
    for path, layer in expected.params.items():
        for parameter, wanted in layer.items():
            result = found.params[path][parameter]
            if result.shape != wanted.shape:
                raise Disagreement(f"{name}: the gradient of {path}.{parameter} is {result.shape}, not {wanted.shape}")
            off = np.linalg.norm(result - wanted) / max(np.linalg.norm(wanted), SMALLEST * whole)
            if not off <= GRADIENT_TOLERANCE:
                raise Disagreement(f"{name}: the gradient of {path}.{parameter} is off by {off:.2g} of its length")
