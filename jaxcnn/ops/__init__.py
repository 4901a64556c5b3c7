"""Pure array functions, each with its gradient rule: images NHWC, kernels HWIO, one to three spatial dimensions."""

from jaxcnn.ops.activation import ACTIVATIONS, activation
from jaxcnn.ops.conv import conv, convolve
from jaxcnn.ops.dense import dense, dropout
from jaxcnn.ops.norm import batch_norm, normalize
from jaxcnn.ops.pool import avg_pool, global_avg_pool, global_max_pool, max_pool
from jaxcnn.ops.window import output_sizes, padding_pairs, per_dimension

__all__ = [
    "ACTIVATIONS",
    "activation",
    "avg_pool",
    "batch_norm",
    "conv",
    "convolve",
    "dense",
    "dropout",
    "global_avg_pool",
    "global_max_pool",
    "max_pool",
    "normalize",
    "output_sizes",
    "padding_pairs",
    "per_dimension",
]
