"""Convolutional networks in JAX as values and pure functions.

    net = jaxcnn.create("lenet5", classes=10)
    params, batch_stats = jaxcnn.init(net, jax.random.key(0), (28, 28, 1))
    logits, batch_stats = jaxcnn.apply(net, params, batch_stats, images)

`net` holds no arrays: it is hashable, comparable, a static argument of `jax.jit`. Images are (N, H, W, C).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcnn import ops, rewrite, spec, zoo
    from jaxcnn.forward_pass import apply, features, forward
    from jaxcnn.layout import abstract, init, output_shape, parameter_count, walk
    from jaxcnn.readings.cost import macs
    from jaxcnn.readings.receptive import receptive_field
    from jaxcnn.readings.summary import summary
    from jaxcnn.weights.keras import from_keras
    from jaxcnn.weights.pretrained import pretrained
    from jaxcnn.weights.torch import from_torch, to_torch
    from jaxcnn.zoo import create, models

__version__ = "0.1.0"

__all__ = [
    "abstract", "apply", "create", "features", "forward", "from_keras", "from_torch", "init", "macs", "models",
    "ops", "output_shape", "parameter_count", "pretrained", "receptive_field", "rewrite", "spec", "summary",
    "to_torch", "walk", "zoo",
]  # fmt: skip

# Where each name is. They are loaded when first asked for: JAX takes most of a second, and `jaxcnn --help` needs none.
_PLACES = {
    "jaxcnn.forward_pass": ("apply", "features", "forward"),
    "jaxcnn.layout": ("abstract", "init", "output_shape", "parameter_count", "walk"),
    "jaxcnn.readings.cost": ("macs",),
    "jaxcnn.readings.receptive": ("receptive_field",),
    "jaxcnn.readings.summary": ("summary",),
    "jaxcnn.weights.keras": ("from_keras",),
    "jaxcnn.weights.pretrained": ("pretrained",),
    "jaxcnn.weights.torch": ("from_torch", "to_torch"),
    "jaxcnn.zoo": ("create", "models"),
}
_MODULES = ("ops", "rewrite", "spec", "zoo")
_PLACE = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jaxcnn.{name}")
    if name not in _PLACE:
        raise AttributeError(f"module 'jaxcnn' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_PLACE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
