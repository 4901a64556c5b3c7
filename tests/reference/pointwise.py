"""Activations: the function and its derivative, each written out; softmax over the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .conv import Array

Function = Callable[[Array], Array]
_erf = np.vectorize(math.erf, otypes=[float])
_LINEAR, _CUBIC = math.sqrt(2 / math.pi), 0.044715  # Hendrycks and Gimpel 2016, section 2


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _step(x: Array, low: float = 0.0, high: float = math.inf) -> Array:
    return ((x > low) & (x < high)).astype(float)


def _bell(x: Array) -> Array:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(_LINEAR * (x + _CUBIC * x**3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * _LINEAR * (1 + 3 * _CUBIC * x * x)


POINTWISE: dict[str, tuple[Function, Function]] = {
    "relu": (lambda x: np.maximum(x, 0), _step),
    "relu6": (lambda x: np.minimum(np.maximum(x, 0), 6), lambda x: _step(x, 0, 6)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda x: np.where(x > 0, 1, np.exp(x))),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))),
    "gelu": (
        lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
        lambda x: (1 + _erf(x / math.sqrt(2))) / 2 + x * _bell(x),
    ),
    "gelu_tanh": (lambda x: x / 2 * (1 + np.tanh(_LINEAR * (x + _CUBIC * x**3))), _gelu_tanh_slope),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "scaled_tanh": (  # LeCun 1989
        lambda x: 1.7159 * np.tanh(2 * x / 3),
        lambda x: 1.7159 * 2 / 3 * (1 - np.tanh(2 * x / 3) ** 2),
    ),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    "hard_sigmoid": (lambda x: np.clip((x + 3) / 6, 0, 1), lambda x: _step(x, -3, 3) / 6),
    "hard_swish": (
        lambda x: x * np.clip((x + 3) / 6, 0, 1),
        lambda x: np.where(x > 3, 1, _step(x, -3, 3) * (2 * x + 3) / 6),
    ),
    "softplus": (lambda x: np.log(1 + np.exp(x)), _sigmoid),
}


def activation(x: Array, *, name: str) -> Array:
    if name == "softmax":
        shares = np.exp(x)
        return shares / shares.sum(-1, keepdims=True)
    return POINTWISE[name][0](x)


def activation_gradient(g: Array, x: Array, *, name: str) -> tuple[Array]:
    if name == "softmax":
        y = activation(x, name=name)
        return (y * (g - (g * y).sum(-1, keepdims=True)),)
    return (g * POINTWISE[name][1](x),)


def activation_magnitude(x: Array, *, name: str) -> Array:
    """Functions of arguments near 1: an argument rounded by one part moves them by at most 1 + |x| of it."""
    return 1 + np.abs(x)


def activation_gradient_magnitude(g: Array, x: Array, *, name: str) -> tuple[Any]:
    if name == "softmax":
        y = activation(x, name=name)
        return (y * (1 + np.abs(x)) * (np.abs(g) + (np.abs(g) * y).sum(-1, keepdims=True)),)
    # In gelu_tanh the tanh's own error is multiplied by x and by the slope of its argument.
    inner = np.abs(x) * _LINEAR * (1 + 3 * _CUBIC * x * x) if name == "gelu_tanh" else 0
    return (np.abs(g) * (1 + np.abs(x) + inner),)
