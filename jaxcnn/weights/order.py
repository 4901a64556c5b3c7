"""In which order a flattened image reaches a layer: ours is height, width, channels; PyTorch's channels first."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jaxcnn import spec
from jaxcnn.layout import Shape, leaf_layout, merge_shapes
from jaxcnn.spec import Leaf, Spec, Step, interpret

_NO_ORDER = np.empty(0, int)  # of a vector whose elements are no rearrangement of PyTorch's


def flattened_orders(net: Spec, shape: Shape) -> dict[str, np.ndarray]:
    """Which element of PyTorch's vector each of ours is, for the layers that read a flattened image.

    Args:
      net: the spec.
      shape: (H, W, C) of one example.

    Returns:
      `{path: order}` for the first layers with parameters after a Flatten: ours = theirs[order]. Layers whose input has
      the same order in both are left out.

    Raises:
      ValueError: part of a flattened image reaches a layer with parameters, which PyTorch's order cannot express.
    """
    orders: dict[str, np.ndarray] = {}

    def leaf(step: Step, given: Ordered) -> Ordered:
        layout = leaf_layout(step.leaf, given.shape)
        if given.order is not None and (layout.params or layout.stats):
            if given.order is _NO_ORDER:
                raise ValueError(
                    f"layer {step.path!r} reads a part of a flattened image, which PyTorch orders otherwise"
                )
            orders[step.path] = given.order
        return Ordered(layout.output, _after(step.leaf, given))

    interpret(net, Ordered(tuple(shape), None), leaf, _merged)
    return orders


class Ordered(NamedTuple):
    """The shape of a value, and which of PyTorch's elements each of its vector's is; None where it is the same one."""

    shape: Shape
    order: np.ndarray | None


def _after(leaf: Leaf, given: Ordered) -> np.ndarray | None:
    """The order of what a layer makes."""
    match leaf:
        case spec.Flatten() if len(given.shape) > 1:
            places = np.arange(math.prod(given.shape)).reshape(given.shape[-1], *given.shape[:-1])
            order = np.moveaxis(places, 0, -1).ravel()
            return None if (order == np.arange(order.size)).all() else order
        case _ if given.order is None:
            return None
        case spec.Dense() | spec.RadialBasis():
            return None  # every output is made of all inputs
        case spec.Flatten():
            return given.order
        case spec.Channels() | spec.Shuffle() | spec.LocalResponseNorm():
            return _NO_ORDER
    if isinstance(leaf, spec.KeepsChannels):
        return given.order
    match leaf:
        case spec.Conv() | spec.ConvTranspose():
            raise ValueError("a convolution takes an image, not a vector")
        case _:
            spec.unknown(leaf)


def _merged(how: str, inputs: list[Ordered]) -> Ordered:
    return Ordered(merge_shapes(how, [each.shape for each in inputs]), _joint_order(how, inputs))


def _joint_order(how: str, inputs: list[Ordered]) -> np.ndarray | None:
    first = inputs[0].order
    if all(order is None for _, order in inputs):
        return None
    if any(order is _NO_ORDER for _, order in inputs):
        return _NO_ORDER
    full = [np.arange(shape[-1]) if order is None else order for shape, order in inputs]
    if how != "concat":
        return first if all(np.array_equal(order, full[0]) for order in full) else _NO_ORDER
    starts = np.cumsum([0, *(len(order) for order in full[:-1])])
    return np.concatenate([order + start for order, start in zip(full, starts, strict=True)])
