"""The words in which an architecture is written: frozen, hashable values without arrays.

A *spec* is either a leaf (one layer) or a `Graph` of named nodes. It is a value: comparable, hashable, printable, a
static argument of `jax.jit`. What it computes, which shapes and parameters it has and how many operations it takes are
readings of it: functions that `interpret` it.
"""

from jaxcnn.spec.graph import Graph, Node, Spec, add, concat, join_path, mul, seq
from jaxcnn.spec.interpret import Position, Step, interpret, name_layer, steps
from jaxcnn.spec.leaves import (
    Act,
    AdaptivePool,
    BatchNorm,
    Bias,
    Channels,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    LayerNorm,
    Leaf,
    LocalResponseNorm,
    Pad,
    Padding,
    Pool,
    RadialBasis,
    Scale,
    Shuffle,
    Size,
    StochasticDepth,
    Upsample,
)
from jaxcnn.spec.traits import KeepsChannels, KeepsPlaces, has_arrays, has_state, is_random, unknown

__all__ = [
    "Act", "AdaptivePool", "BatchNorm", "Bias", "Channels", "Conv", "ConvTranspose", "Dense", "Dropout", "Flatten",
    "GlobalPool", "Graph", "Identity", "KeepsChannels", "KeepsPlaces", "LayerNorm", "Leaf", "LocalResponseNorm",
    "Node", "Pad", "Padding", "Pool", "Position", "RadialBasis", "Scale", "Shuffle", "Size", "Spec", "Step",
    "StochasticDepth", "Upsample", "add", "concat", "has_arrays", "has_state", "interpret", "is_random", "join_path",
    "mul", "name_layer", "seq", "steps", "unknown",
]  # fmt: skip
