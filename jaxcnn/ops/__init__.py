"""Pure array functions, each with its gradient rule: images NHWC, kernels HWIO, one to three spatial dimensions."""

from jaxcnn.ops.activation import ACTIVATIONS, activation
from jaxcnn.ops.conv import conv, conv_transpose, convolve, depthwise_conv, separable_conv, transposed_window
from jaxcnn.ops.dense import dense, radial_basis
from jaxcnn.ops.dropout import dropout, spatial_dropout, stochastic_depth
from jaxcnn.ops.norm import batch_norm, layer_norm, local_response_norm, normalize, running_average
from jaxcnn.ops.pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    lp_pool,
    max_pool,
    max_pool_with_indices,
    max_unpool,
)
from jaxcnn.ops.rearrange import channel_shuffle, upsample
from jaxcnn.ops.window import Window, per_dimension, slide

__all__ = [
    "ACTIVATIONS",
    "Window",
    "activation",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm",
    "channel_shuffle",
    "conv",
    "conv_transpose",
    "convolve",
    "dense",
    "depthwise_conv",
    "dropout",
    "global_avg_pool",
    "global_max_pool",
    "layer_norm",
    "local_response_norm",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "normalize",
    "per_dimension",
    "radial_basis",
    "running_average",
    "separable_conv",
    "slide",
    "spatial_dropout",
    "stochastic_depth",
    "transposed_window",
    "upsample",
]
