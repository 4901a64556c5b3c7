"""The definitions in loops: float64 NumPy, written from the formulas, sharing no code with jaxcnn.

Every operation of `jaxcnn.ops` has its loop under its own name and with its own arguments in `LOOPS`, and the
gradient of sum(g * y) as `<name>_gradient(g, ...)`. `<name>_magnitude` and `<name>_gradient_magnitude`, where they
stand, say how large the terms are that the result is the sum of; otherwise the loop over absolute values says it.
"""

from __future__ import annotations

from . import channels, conv, norm, pointwise, pool, regions, transpose, upsample, window
from .compare import agree, agree_all, central_difference, random
from .pairs import avg_pool, batch_norm, max_pool
from .settings import CONVOLUTIONS, Convolution, setting

LOOPS = {
    name: function
    for module in (channels, conv, norm, pointwise, pool, regions, transpose, upsample, window)
    for name, function in vars(module).items()
    if callable(function) and not name.startswith("_") and function.__module__ == module.__name__
}

__all__ = [
    "CONVOLUTIONS",
    "LOOPS",
    "Convolution",
    "agree",
    "agree_all",
    "avg_pool",
    "batch_norm",
    "central_difference",
    "max_pool",
    "random",
    "setting",
]
