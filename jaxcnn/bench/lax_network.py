"""Training a network in plain jax: lax convolutions and pools, jax's own gradients, optax."""

from __future__ import annotations

import math
import operator
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxcnn.bench.networks import (
    LEARNING_RATE,
    Gradients,
    Problem,
    Trainer,
    groups_of,
    unsupported,
    window_of,
)
from jaxcnn.layout import key_at, parameter_count
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    Pool,
    Spec,
    Step,
    interpret,
)

ACTIVATIONS = {
    "relu": jax.nn.relu, "relu6": jax.nn.relu6, "leaky_relu": jax.nn.leaky_relu, "elu": jax.nn.elu,
    "silu": jax.nn.silu, "gelu": partial(jax.nn.gelu, approximate=False), "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid, "hard_sigmoid": jax.nn.hard_sigmoid, "hard_swish": jax.nn.hard_swish,
    "softmax": jax.nn.softmax,
}  # fmt: skip
MERGE = {
    "sum": lambda values: reduce(operator.add, values),
    "mul": lambda values: reduce(operator.mul, values),
    "concat": lambda values: jnp.concatenate(values, -1),
}


def merge(kind: str, values: list) -> jax.Array:
    return MERGE[kind](values)


def predict(net: Spec, params, stats, images, rng=None):
    """The logits, and the new running statistics, in training. Without a key, the network must have no dropout."""
    new_stats = {}

    def leaf(step: Step, x):
        path, leaf = step.path, step.leaf
        weights = params.get(path, {})
        match leaf:
            case Conv(padding_mode="zeros"):
                _, stride, pairs = window_of(leaf, x.shape[1:])
                dilation = leaf.dilation if isinstance(leaf.dilation, tuple) else (leaf.dilation,) * 2
                y = lax.conv_general_dilated(
                    x, weights["kernel"], stride, pairs, rhs_dilation=dilation,
                    feature_group_count=groups_of(leaf, x.shape[-1]), dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )  # fmt: skip
                return y + weights["bias"] if leaf.bias else y
            case Dense():
                y = x @ weights["kernel"]
                return y + weights["bias"] if leaf.bias else y
            case BatchNorm():
                axes = tuple(range(x.ndim - 1))
                mean, variance = x.mean(axes), x.var(axes)
                old = stats[path]
                new_stats[path] = {
                    "mean": leaf.momentum * old["mean"] + (1 - leaf.momentum) * mean,
                    "var": leaf.momentum * old["var"] + (1 - leaf.momentum) * variance,
                }
                return (x - mean) * (lax.rsqrt(variance + leaf.eps) * weights.get("scale", 1)) + weights["bias"]
            case Act(name) if name in ACTIVATIONS:
                return ACTIVATIONS[name](x)
            case Pool():
                return _pool(leaf, x)
            case GlobalPool(kind, keepdims):
                return (jnp.max if kind == "max" else jnp.mean)(x, axis=(1, 2), keepdims=keepdims)
            case Dropout(rate, spatial) if rng is not None:
                shape = (x.shape[0], 1, 1, x.shape[-1]) if spatial else x.shape
                keep = jax.random.bernoulli(key_at(rng, path), 1 - rate, shape)
                return jnp.where(keep, x / (1 - rate), 0)
            case Flatten():
                return x.reshape(x.shape[0], -1)
            case Identity() | Dropout(rate=0):
                return x
        raise unsupported("plain lax", leaf)

    return interpret(net, images, leaf, merge), new_stats


def _pool(leaf: Pool, x):
    window, stride, pairs = window_of(leaf, x.shape[1:])
    sizes = (1, *window, 1), (1, *stride, 1), ((0, 0), *pairs, (0, 0))
    if leaf.kind == "max":
        return lax.reduce_window(x, -jnp.inf, lax.max, *sizes)
    if leaf.kind != "avg":
        raise unsupported("plain lax", leaf)
    total = lax.reduce_window(x, 0.0, lax.add, *sizes)
    if leaf.count_include_pad:
        return total / math.prod(window)
    return total / lax.reduce_window(jnp.ones((1, *x.shape[1:3], 1)), 0.0, lax.add, *sizes)


def _loss(net: Spec, params, stats, images, labels, rng=None):
    logits, new_stats = predict(net, params, stats, images, rng)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits, new_stats)


def trainer(problem: Problem) -> Trainer:
    """The network in training."""
    optimizer, key = optax.adam(LEARNING_RATE), jax.random.key(1)
    images, labels = jax.device_put((problem.images, problem.labels))
    params, stats = jax.tree.map(jnp.array, tuple(problem.weights))
    state = params, stats, optimizer.init(params), jnp.zeros((), jnp.int32)

    @partial(jax.jit, donate_argnums=0)
    def update(state, images, labels, key):
        params, stats, moments, count = state
        of_params = partial(_loss, problem.net)
        value_and_grad = jax.value_and_grad(of_params, has_aux=True)
        (loss, (_, stats)), gradients = value_and_grad(params, stats, images, labels, jax.random.fold_in(key, count))
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), stats, moments, count + 1), loss

    def step() -> float:
        nonlocal state
        state, loss = update(state, images, labels, key)
        return float(loss)

    return Trainer(step, parameter_count(params))


def gradients(problem: Problem) -> Gradients:
    """The gradients of a network without dropout."""
    value_and_grad = jax.jit(jax.value_and_grad(partial(_loss, problem.net), has_aux=True))
    (loss, (logits, _)), tree = value_and_grad(*problem.weights, problem.images, problem.labels)
    return Gradients(np.asarray(logits), float(loss), jax.device_get(tree))
