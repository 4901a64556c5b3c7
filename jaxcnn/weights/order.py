"""In which order a flattened image reaches a layer: ours is height, width, channels; PyTorch's channels first."""

from __future__ import annotations

import math

import numpy as np

from jaxcnn.layout import Shape, leaf_layout, merge_shapes
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Bias,
    Channels,
    Dropout,
    Flatten,
    Graph,
    Identity,
    LayerNorm,
    Scale,
    Spec,
    StochasticDepth,
    join_path,
)

_NO_ORDER = np.empty(0, int)  # of a vector whose elements are no rearrangement of PyTorch's
_KEEPS = (Act, BatchNorm, Bias, Dropout, Identity, LayerNorm, Scale, StochasticDepth)


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
    _follow(net, tuple(shape), "", None, orders)
    return orders


def _follow(
    spec: Spec, shape: Shape, path: str, order: np.ndarray | None, orders: dict[str, np.ndarray]
) -> tuple[Shape, np.ndarray | None]:
    if isinstance(spec, Graph):
        values: dict[str, tuple[Shape, np.ndarray | None]] = {"in": (shape, order)}
        for node in spec.nodes:
            inputs = [values[name] for name in node.inputs]
            merged = merge_shapes(node.merge, [shape for shape, _ in inputs])
            values[node.name] = _follow(
                node.spec, merged, join_path(path, node.name), _merged(node.merge, inputs), orders
            )
        return values[spec.nodes[-1].name]
    layout = leaf_layout(spec, shape)
    if isinstance(spec, Flatten) and len(shape) > 1:
        channels_first = np.arange(math.prod(shape)).reshape(shape[-1], *shape[:-1])
        new = np.moveaxis(channels_first, 0, -1).ravel()
        return layout.output, None if (new == np.arange(new.size)).all() else new
    if order is None:
        return layout.output, None
    if layout.params or layout.stats:
        if order is _NO_ORDER:
            raise ValueError(f"layer {path!r} reads a part of a flattened image, which PyTorch orders otherwise")
        orders[path] = order
    if isinstance(spec, Channels):
        return layout.output, _NO_ORDER
    return layout.output, order if isinstance(spec, (*_KEEPS, Flatten)) else None


def _merged(merge: str, inputs: list[tuple[Shape, np.ndarray | None]]) -> np.ndarray | None:
    first = inputs[0][1]
    if all(order is None for _, order in inputs):
        return None
    if any(order is _NO_ORDER for _, order in inputs):
        return _NO_ORDER
    full = [np.arange(shape[-1]) if order is None else order for shape, order in inputs]
    if merge != "concat":
        return first if all(np.array_equal(order, full[0]) for order in full) else _NO_ORDER
    starts = np.cumsum([0, *(len(order) for order in full[:-1])])
    return np.concatenate([order + start for order, start in zip(full, starts, strict=True)])
