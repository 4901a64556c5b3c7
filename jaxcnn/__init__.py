"""Convolutional networks in JAX as values and pure functions.

net = jaxcnn.create("lenet5", classes=10)
params, batch_stats = jaxcnn.init(net, jax.random.key(0), (28, 28, 1))
logits, batch_stats = jaxcnn.apply(net, params, batch_stats, images)
"""

from jaxcnn import ops, rewrite, spec, zoo
from jaxcnn.analysis import macs, summary
from jaxcnn.forward import apply, features, forward
from jaxcnn.layout import abstract, init, output_shape, parameter_count, walk
from jaxcnn.receptive import receptive_field
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
