"""Training a network in Keras 3 on jax, by its stateless functions under `jax.jit`: the fastest way that Keras has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

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
from jaxcnn.bench.peers import use_keras_on_jax
from jaxcnn.layout import walk
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, Flatten, GlobalPool, Identity, Leaf, Pool, Step, interpret

use_keras_on_jax()
import keras  # noqa: E402  (its backend has just been chosen)

NORMALIZATION_NAMES = {"bias": "beta", "scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}
ACTIVATIONS: dict[str, Callable] = {
    "relu": keras.ops.relu, "relu6": keras.ops.relu6, "leaky_relu": partial(keras.ops.leaky_relu, negative_slope=0.01),
    "elu": keras.ops.elu, "silu": keras.ops.silu, "gelu": partial(keras.ops.gelu, approximate=False),
    "tanh": keras.ops.tanh, "sigmoid": keras.ops.sigmoid, "hard_sigmoid": keras.ops.hard_sigmoid,
    "hard_swish": keras.ops.hard_silu, "softmax": keras.ops.softmax,
}  # fmt: skip


def _layer(leaf: Leaf, x):
    """What a leaf makes of a symbolic value, and the layer that holds its variables (or None)."""
    layers, shape = keras.layers, tuple(x.shape[1:])
    match leaf:
        case Conv(padding_mode="zeros"):
            x, padding = _pad(leaf, x, 0.0)
            layer = _conv(leaf, shape[-1], padding)
            return layer(x), layer
        case Dense(width, bias):
            layer = layers.Dense(width, use_bias=bias)
            return layer(x), layer
        case BatchNorm(momentum, eps, scale):
            layer = layers.BatchNormalization(momentum=momentum, epsilon=eps, scale=scale)
            return layer(x), layer
        case Act(name) if name in ACTIVATIONS:
            return layers.Activation(ACTIVATIONS[name])(x), None
        case Pool("max"):
            x, padding = _pad(leaf, x, -jnp.inf)
            return layers.MaxPooling2D(leaf.window, leaf.stride, padding)(x), None
        case Pool("avg", count_include_pad=True):
            x, padding = _pad(leaf, x, 0.0)
            return layers.AveragePooling2D(leaf.window, leaf.stride, padding)(x), None
        case GlobalPool(kind, keepdims):
            pool = layers.GlobalMaxPooling2D if kind == "max" else layers.GlobalAveragePooling2D
            return pool(keepdims=keepdims)(x), None
        case Dropout(rate, spatial):
            return (layers.SpatialDropout2D if spatial else layers.Dropout)(rate, seed=0)(x), None
        case Flatten():
            return layers.Flatten()(x), None
        case Identity():
            return x, None
    raise unsupported("Keras", leaf)


def _conv(leaf: Conv, channels: int, padding: str):
    options = {
        "strides": leaf.stride, "padding": padding, "dilation_rate": leaf.dilation, "use_bias": leaf.bias
    }  # fmt: skip
    width, groups = leaf.width or channels, groups_of(leaf, channels)
    if groups == channels > 1:
        return keras.layers.DepthwiseConv2D(leaf.kernel, depth_multiplier=width // channels, **options)
    return keras.layers.Conv2D(width, leaf.kernel, groups=groups, **options)


def _pad(leaf: Conv | Pool, x, value: float):
    """The input, padded by hand where Keras has no word for its padding, and Keras' word for what is left."""
    window, stride, pairs = window_of(leaf, tuple(x.shape[1:]))
    if not any(map(any, pairs)):
        return x, "valid"
    half = tuple(((k - 1) // 2,) * 2 for k in window)
    undilated = isinstance(leaf, Pool) or leaf.dilation in (1, (1, 1))
    counted = isinstance(leaf, Pool) and leaf.kind == "avg"  # Keras leaves padding out of its average
    if pairs == half and set(stride) == {1} and all(k % 2 for k in window) and undilated and not counted:
        return x, "same"
    if value == 0:
        return keras.layers.ZeroPadding2D(pairs)(x), "valid"
    return keras.ops.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value), "valid"


def _merge(kind: str, values: list):
    layer = {"sum": keras.layers.Add, "mul": keras.layers.Multiply, "concat": keras.layers.Concatenate}[kind]
    return layer()(values)


def _model(problem: Problem):
    """The Keras model with the problem's weights, and its variables by path and name."""
    shape, layers = problem.pixels.shape[1:], {}

    def leaf(step: Step, x):
        path, leaf = step.path, step.leaf
        y, layer = _layer(leaf, x)
        if layer is not None:
            layers[path] = layer
        return y

    entrance = keras.Input(shape)
    model = keras.Model(entrance, interpret(problem.net, entrance, leaf, _merge))
    variables = {}
    for row in walk(problem.net, shape):
        for tree in problem.weights:
            for name, value in tree.get(row.path, {}).items() if row.layout.params else ():
                variable = _variable(layers[row.path], name)
                variable.assign(value.reshape(variable.shape))
                variables[row.path, name] = variable
    return model, variables


def _variable(layer, name: str):
    normalization = isinstance(layer, keras.layers.BatchNormalization)
    return getattr(layer, NORMALIZATION_NAMES[name] if normalization else name)


def _loss(model, trainable, other, images, labels):
    logits, other = model.stateless_call(trainable, other, images, training=True)
    losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return keras.ops.mean(losses), (other, logits)


def _values(variables) -> list:
    return [jnp.array(variable.value) for variable in variables]


def trainer(problem: Problem) -> Trainer:
    """The network in training."""
    model, _ = _model(problem)
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
    optimizer.build(model.trainable_variables)
    images, labels = jax.device_put((problem.images, problem.labels))
    state = tuple(map(_values, (model.trainable_variables, model.non_trainable_variables, optimizer.variables)))

    @partial(jax.jit, donate_argnums=0)
    def update(state, images, labels):
        trainable, other, moments = state
        value_and_grad = jax.value_and_grad(partial(_loss, model), has_aux=True)
        (loss, (other, _)), gradients = value_and_grad(trainable, other, images, labels)
        trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
        return (trainable, other, moments), loss

    def step() -> float:
        nonlocal state
        state, loss = update(state, images, labels)
        return float(loss)

    return Trainer(step, sum(value.size for value in state[0]))


def gradients(problem: Problem) -> Gradients:
    """The gradients of a network without dropout."""
    model, variables = _model(problem)
    value_and_grad = jax.jit(jax.value_and_grad(partial(_loss, model), has_aux=True))
    values = _values(model.trainable_variables), _values(model.non_trainable_variables)
    (loss, (_, logits)), found = value_and_grad(*values, problem.images, problem.labels)
    by_variable = {id(variable): gradient for variable, gradient in zip(model.trainable_variables, found, strict=True)}
    tree: Tree = {
        path: {
            name: np.asarray(by_variable[id(variables[path, name])]).reshape(value.shape)
            for name, value in layer.items()
        }
        for path, layer in problem.weights.params.items()
    }
    return Gradients(np.asarray(logits), float(loss), tree)
