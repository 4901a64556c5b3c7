"""Training a network in Flax NNX, in its own words: modules, `nnx.jit`, `nnx.value_and_grad`, `nnx.Optimizer`."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from jaxcnn.bench.lax_network import ACTIVATIONS, merge
from jaxcnn.bench.networks import (
    LEARNING_RATE,
    Gradients,
    Problem,
    Trainer,
    Tree,
    groups_of,
    unsupported,
    window_of,
)
from jaxcnn.layout import Row, walk
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    Leaf,
    Pool,
    Spec,
    Step,
    interpret,
)

STATEFUL = Conv | Dense | BatchNorm | Dropout


class Network(nnx.Module):
    """A spec whose layers are modules, in order of execution."""

    def __init__(self, net: Spec, shape: tuple[int, ...], rngs: nnx.Rngs):
        self.net = net
        self.layers = nnx.List([_module(row, rngs) for row in walk(net, shape) if isinstance(row.leaf, STATEFUL)])

    def __call__(self, x):
        layers = iter(self.layers)

        def leaf(step: Step, x):
            return next(layers)(x) if isinstance(step.leaf, STATEFUL) else _function(step.leaf, x)

        return interpret(self.net, x, leaf, merge)


def _module(row: Row, rngs: nnx.Rngs) -> nnx.Module:
    match row.leaf:
        case Conv(padding_mode="zeros") as leaf:
            window, stride, pairs = window_of(leaf, row.input)
            channels, width = row.input[-1], row.layout.output[-1]
            return nnx.Conv(
                channels, width, window, stride, padding=pairs, kernel_dilation=leaf.dilation,
                feature_group_count=groups_of(leaf, channels), use_bias=leaf.bias, rngs=rngs,
            )  # fmt: skip
        case Dense(width, bias):
            return nnx.Linear(row.input[-1], width, use_bias=bias, rngs=rngs)
        case BatchNorm(momentum, eps, scale):
            return nnx.BatchNorm(row.input[-1], momentum=momentum, epsilon=eps, use_scale=scale, rngs=rngs)
        case Dropout(rate, spatial):
            return nnx.Dropout(rate, broadcast_dims=(1, 2) if spatial else (), rngs=rngs)
    raise unsupported("Flax NNX", row.leaf)


def _function(leaf: Leaf, x):
    match leaf:
        case Act(name) if name in ACTIVATIONS:
            return ACTIVATIONS[name](x)
        case Pool("max" | "avg"):
            window, stride, pairs = window_of(leaf, x.shape[1:])
            padding: Any = pairs  # which its annotation calls a string, and its documentation pairs
            if leaf.kind == "max":
                return nnx.max_pool(x, window, stride, padding)
            return nnx.avg_pool(x, window, stride, padding, leaf.count_include_pad)
        case GlobalPool(kind, keepdims):
            return (x.max if kind == "max" else x.mean)((1, 2), keepdims=keepdims)
        case Flatten():
            return x.reshape(x.shape[0], -1)
        case Identity():
            return x
    raise unsupported("Flax NNX", leaf)


def _weighted_rows(net: Spec, shape: tuple[int, ...]) -> list[tuple[int, Row]]:
    """The places in `Network.layers` of the layers with parameters."""
    rows = [row for row in walk(net, shape) if isinstance(row.leaf, STATEFUL)]
    return [(place, row) for place, row in enumerate(rows) if row.layout.params]


def _network(problem: Problem) -> Network:
    shape = problem.pixels.shape[1:]
    network = Network(problem.net, shape, nnx.Rngs(0))
    for place, row in _weighted_rows(problem.net, shape):
        values = problem.weights.params[row.path] | problem.weights.stats.get(row.path, {})
        for name, value in values.items():
            variable = getattr(network.layers[place], name)
            variable[...] = jax.numpy.array(value)
    return network


def loss_and_logits(network: Network, images, labels):
    logits = network(images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits


def trainer(problem: Problem) -> Trainer:
    """The network in training."""
    network = _network(problem)
    optimizer = nnx.Optimizer(network, optax.adam(LEARNING_RATE), wrt=nnx.Param)
    images, labels = jax.device_put((problem.images, problem.labels))

    @nnx.jit(donate_argnums=(0, 1))
    def update(network, optimizer, images, labels):
        (loss, _), gradients = nnx.value_and_grad(loss_and_logits, has_aux=True)(network, images, labels)
        optimizer.update(network, gradients)
        return loss

    quick = nnx.cached_partial(update, network, optimizer)  # spares the walk over the modules in every call

    def step() -> float:
        return float(quick(images, labels))

    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
    return Trainer(step, count)


def gradients(problem: Problem) -> Gradients:
    """The gradients of a network without dropout."""
    network = _network(problem)
    (loss, logits), found = nnx.jit(nnx.value_and_grad(loss_and_logits, has_aux=True))(
        network, problem.images, problem.labels
    )
    layers = nnx.to_pure_dict(found)["layers"]
    tree: Tree = {
        row.path: {name: np.asarray(layers[place][name]) for name in row.layout.params}
        for place, row in _weighted_rows(problem.net, problem.pixels.shape[1:])
    }
    return Gradients(np.asarray(logits), float(loss), tree)
