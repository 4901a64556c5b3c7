"""Checks against PyTorch and Keras, where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from types import ModuleType

import numpy as np

from jaxcnn.verify.bounds import Measure, compare_all
from jaxcnn.verify.subject import Subject

PACKAGES = {"PyTorch": "torch", "Keras": "keras"}
_SIDES = {"PyTorch": "jaxcnn.verify.in_pytorch", "Keras": "jaxcnn.verify.in_keras"}


@cache
def side(library: str) -> ModuleType | None:
    """Our operations written in that library, or None where it is not installed."""
    if importlib.util.find_spec(PACKAGES[library]) is None:
        return None
    if library == "Keras":
        os.environ.setdefault("KERAS_BACKEND", "jax")
    return importlib.import_module(_SIDES[library])


def has(library: str, operation: str) -> bool:
    """Whether the library is there and knows the operation."""
    module = side(library)
    return module is not None and hasattr(module, operation)


def pytorch(subject: Subject) -> Measure | None:
    """Value and gradient against PyTorch on the CPU in float64; twice the bounds, for both round. None where PyTorch
    cannot express the setting."""
    module = side("PyTorch")
    assert module is not None
    found = module.both(subject)
    if found is None:
        return None
    values, gradients = found
    ours, our_gradients = subject.results
    bounds, gradient_bounds = subject.bounds
    values = values[: len(ours)]
    return compare_all(
        [*ours[: len(values)], *our_gradients],
        [*values, *gradients],
        [2 * b for b in (*bounds[: len(values)], *gradient_bounds)],
    )


def keras(subject: Subject) -> Measure | None:
    """The value against Keras on JAX in float64 (it shares XLA with jaxcnn, so it counts less than PyTorch); twice the
    bound. None where Keras cannot express the setting."""
    module = side("Keras")
    assert module is not None
    function = getattr(module, subject.operation.loop or subject.operation.name)
    result = function(*subject.arrays, **subject.setting.options)
    if result is None:
        return None
    values = [np.asarray(y) for y in (result if isinstance(result, tuple) else (result,))]
    ours, _ = subject.results
    return compare_all(ours[: len(values)], values, [2 * b for b in subject.bounds[0][: len(values)]])
