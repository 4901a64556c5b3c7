"""Where every array of a network stands in a PyTorch state dict: its name, its shape, the order of its axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxcnn.layout import Shape, walk
from jaxcnn.spec import Bias, Dense, Leaf, Scale, Spec
from jaxcnn.weights.order import flattened_orders

_NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


class Place(NamedTuple):
    """Where one of our arrays stands in a state dict: under `key`, transposed by `axes`, then of `shape`.

    `order` says which of their input features each of ours is; None where it is the same one.
    """

    path: str
    name: str
    trainable: bool
    key: str
    axes: tuple[int, ...]
    shape: Shape
    order: np.ndarray | None = None

    @property
    def ours(self) -> Shape:
        """The shape of our array."""
        return tuple(self.shape[axis] for axis in np.argsort(self.axes))


def place_of(path: str, name: str, ours: Shape, trainable: bool, leaf: Leaf | None = None, spatial: int = 0) -> Place:
    """The place of the array `name` of a layer over `spatial` dimensions; the leaf matters for Scale and Bias only."""
    rank, axes = len(ours), tuple(range(len(ours)))
    if name == "kernel":
        axes = (rank - 1, rank - 2, *axes[:-2])  # (*window, in, out) -> (out, in, *window)
    elif isinstance(leaf, Bias):
        axes = (rank - 1, *axes[:-1])  # (H, W, C) -> (C, H, W)
    shape = tuple(ours[axis] for axis in axes)
    if isinstance(leaf, Scale):  # a bare parameter of the module above, of a shape that multiplies (C, H, W)
        return Place(path, name, trainable, path or name, axes, shape + (1,) * spatial)
    return Place(path, name, trainable, ".".join(filter(None, (path, _NAMES.get(name, name)))), axes, shape)


def places(net: Spec, shape: Shape) -> Iterator[Place]:
    """Every array of a network over examples of `shape`, (H, W, C), with its place in a state dict."""
    orders = flattened_orders(net, shape)
    for path, leaf, given, layout in walk(net, shape):
        for trainable, described in (True, layout.params), (False, layout.stats):
            for name, parameter in described.items():
                place = place_of(path, name, parameter.shape, trainable, leaf, len(given) - 1)
                of_inputs = not isinstance(leaf, Dense) or name == "kernel"
                yield place._replace(order=orders.get(path) if of_inputs else None)


def squeezed(shape: Sequence[int]) -> Shape:
    """Without the ones at the end: a Linear is a 1x1 convolution, and a scale may be (C,) or (C, 1, 1)."""
    kept = list(shape)
    while kept and kept[-1] == 1:
        kept.pop()
    return tuple(kept)


def fits(array: np.ndarray, place: Place) -> bool:
    """Whether an array of a state dict is what stands in this place."""
    alike = place.name in ("kernel", "scale") and squeezed(array.shape) == squeezed(place.shape)
    return alike or array.shape == place.shape
