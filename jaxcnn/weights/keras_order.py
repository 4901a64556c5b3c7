"""The layers of a network as Keras would list them: by depth, counted from the output.

Keras sorts a functional model's layers by the longest way to the output, the farthest first; layers as far as each
other in the order in which a search from the output, depth first, meets them. A file without names of layers can
only be read by that order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxcnn.layout import Layout, Row, Shape, walk
from jaxcnn.spec import BatchNorm, Conv, ConvTranspose, Dense, Graph, Identity, LayerNorm, Spec, join_path

_KINDS = {Dense: "dense", BatchNorm: "batch_normalization", LayerNorm: "layer_normalization"}


class Variable(NamedTuple):
    """One array of a Keras layer: its name and shape there, and which of our arrays it is."""

    name: str
    shape: Shape
    path: str
    ours: str
    our_shape: Shape
    trainable: bool = True


class KerasLayer(NamedTuple):
    """A layer with weights: Keras's kind in snake case without its counter, its likely name, its variables in order."""

    kind: str
    name: str
    variables: tuple[Variable, ...]


class _Op(NamedTuple):
    parents: tuple[int, ...]
    rows: tuple[Row, ...] = ()


def keras_layers(net: Spec, shape: Shape, reverse_sums: bool = False) -> list[KerasLayer]:
    """The layers with weights of a network over examples of `shape`, (H, W, C), in Keras's order.

    The order of a sum's terms means nothing here but decides between equally deep layers there; `reverse_sums` takes
    the other one.
    """
    rows = {row.path: row for row in walk(net, shape) if row.layout.params or row.layout.stats}
    ops: list[_Op] = [_Op(())]
    output = _gather(net, "", 0, rows, ops, reverse_sums)
    depth = [-1] * len(ops)
    depth[output] = 0
    for index in range(len(ops) - 1, -1, -1):
        for parent in ops[index].parents:
            depth[parent] = max(depth[parent], depth[index] + 1) if depth[index] >= 0 else depth[parent]
    met: dict[int, int] = {}
    waiting = [output]
    while waiting:
        index = waiting.pop()
        if index not in met:
            met[index] = len(met)
            waiting += reversed(ops[index].parents)
    # What the output does not need, such as auxiliary heads, comes last.
    order = sorted(range(len(ops)), key=lambda index: (-depth[index], met.get(index, len(met) + index)))
    return [_layer(ops[index].rows) for index in order if ops[index].rows]


def _gather(spec: Spec, path: str, source: int, rows: dict[str, Row], ops: list[_Op], reverse: bool) -> int:
    """Append the operations of `spec`, which reads operation `source`; returns the one that is its output."""

    def append(*parents: int, leaves: tuple[Row, ...] = ()) -> int:
        ops.append(_Op(parents, leaves))
        return len(ops) - 1

    if not isinstance(spec, Graph):
        if isinstance(spec, Identity):
            return source
        if isinstance(spec, Conv) and _padded_apart(spec):
            source = append(source)
        return append(source, leaves=(rows[path],) if path in rows else ())
    if [node.name for node in spec.nodes] == ["depthwise", "pointwise"]:
        return append(source, leaves=tuple(rows[join_path(path, node.name)] for node in spec.nodes))
    values = {"in": source}
    for node in spec.nodes:
        inputs = [values[name] for name in node.inputs]
        if len(inputs) > 1:
            merged = append(*(reversed(inputs) if reverse and node.merge == "sum" else inputs))
        else:
            merged = inputs[0]
        values[node.name] = _gather(node.spec, join_path(path, node.name), merged, rows, ops, reverse)
    return values[spec.nodes[-1].name]


def _padded_apart(conv: Conv) -> bool:
    """Whether Keras needs a layer of padding before this convolution."""
    if conv.padding in ("same", "valid", 0):
        return False
    return conv.padding != "half" or (conv.stride not in (1, (1, 1)) and conv.kernel not in (1, (1, 1)))


def _layer(rows: tuple[Row, ...]) -> KerasLayer:
    row = rows[0]
    rank = f"{len(row.input) - 1}d"
    if len(rows) == 2:
        variables = (*_variables(row, depthwise=True, prefix="depthwise_"), *_variables(rows[1], prefix="pointwise_"))
        path = row.path.rpartition(".")[0]
        return KerasLayer(f"separable_conv{rank}", path.replace(".", "_"), variables)
    depthwise = isinstance(row.leaf, Conv) and row.leaf.groups is None
    kind = _KINDS.get(type(row.leaf), type(row.leaf).__name__.lower())
    if isinstance(row.leaf, Conv):
        kind = f"depthwise_conv{rank}" if depthwise else f"conv{rank}"
    elif isinstance(row.leaf, ConvTranspose):
        kind = f"conv{rank}_transpose"
    return KerasLayer(kind, row.path.replace(".", "_"), tuple(_variables(row, depthwise)))


def _variables(row: Row, depthwise: bool = False, prefix: str = "") -> list[Variable]:
    layout: Layout = row.layout
    found = []
    names = {"scale": "gamma", "bias": "beta"} if "kernel" not in layout.params else {"kernel": f"{prefix}kernel"}
    for trainable, described in (True, layout.params), (False, layout.stats):
        for ours, (shape, _) in described.items():
            theirs = shape
            if depthwise and ours == "kernel":  # (*window, 1, C * M), a channel's own M side by side
                theirs = (*shape[:-2], row.input[-1], math.prod(shape[-2:]) // row.input[-1])
            name = names.get(
                ours, ours if trainable else {"mean": "moving_mean", "var": "moving_variance"}.get(ours, ours)
            )
            found.append(Variable(name, theirs, row.path, ours, shape, trainable))
    return found
