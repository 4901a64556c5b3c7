"""Convolutional networks in JAX as values and pure functions.

net = jaxcnn.create("lenet5", classes=10)
params, batch_stats = jaxcnn.init(net, jax.random.key(0), (28, 28, 1))
logits, batch_stats = jaxcnn.apply(net, params, batch_stats, images)
"""

from jaxcnn import ops, spec, zoo
from jaxcnn.analysis import macs, receptive_field, summary
from jaxcnn.forward import apply, features, forward
from jaxcnn.layout import abstract, init, output_shape, parameter_count, walk
from jaxcnn.zoo import create, models

__version__ = "0.1.0"

__all__ = [
    "abstract", "apply", "create", "features", "forward", "init", "macs", "models", "ops", "output_shape",
    "parameter_count", "receptive_field", "spec", "summary", "walk", "zoo",
]  # fmt: skip
