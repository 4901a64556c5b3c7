"""Activations, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jaxcnn import ops
from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms

NAMES = (
    "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "gelu_tanh", "tanh", "scaled_tanh", "sigmoid",
    "hard_sigmoid", "hard_swish", "softplus", "softmax",
)  # fmt: skip


def _activation(x: Any, *, name: str) -> Any:
    return ops.ACTIVATIONS[name](x)


def _settings(name: str) -> Callable[[Random], Iterator[Setting]]:
    def settings(random: Random) -> Iterator[Setting]:
        for shape in ((4, 7), (2, 3, 5), (2, 4, 3, 6), (2, 2, 3, 2, 4)):
            yield Setting((Draw(shape, "smooth"),), {"name": name})

    return settings


def _terms(shapes, output, options) -> Terms:
    width = shapes[0][-1] if options["name"] == "softmax" else 0
    return width, (width,)


# Some library function, with an argument that was rounded, and the products around it.
OPERATIONS = tuple(
    Operation(name, _settings(name), _terms, roundings=4, wide=False, function=_activation, loop="activation")
    for name in NAMES
)
