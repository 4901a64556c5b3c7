"""The layers of a network as Keras would list them: by depth, counted from the output.

Keras sorts a functional model's layers by the longest way to the output, the farthest first; layers as far as each
other in the order in which a search from the output, depth first, meets them. A file without names of layers can
only be read by that order.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxcnn.layout import Layout, Row, Shape, walk
from jaxcnn.spec import BatchNorm, Conv, ConvTranspose, Dense, Identity, LayerNorm, Spec, Step, interpret, steps

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
    ops, output = _gather(net, rows, reverse_sums)
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


def _gather(net: Spec, rows: dict[str, Row], reverse_sums: bool) -> tuple[list[_Op], int]:
    """The operations of a network as Keras counts them, the input first, and which one is the output."""
    ops = [_Op(())]
    separable = _separable(net)

    def append(*parents: int, leaves: tuple[Row, ...] = ()) -> int:
        ops.append(_Op(parents, leaves))
        return len(ops) - 1

    def leaf(step: Step, source: int) -> int:
        if isinstance(step.leaf, Identity):
            return source
        row = (rows[step.path],) if step.path in rows else ()
        if step.position in separable and step.position[-1] == 1:  # one layer with the depthwise one before it
            ops[source] = ops[source]._replace(rows=ops[source].rows + row)
            return source
        if isinstance(step.leaf, Conv) and _padded_apart(step.leaf) and step.position not in separable:
            source = append(source)
        return append(source, leaves=row)

    def merge(how: str, sources: list[int]) -> int:
        return append(*(reversed(sources) if reverse_sums and how == "sum" else sources))

    output = interpret(net, 0, leaf, merge)
    return ops, output


def _separable(net: Spec) -> set[tuple[int, ...]]:
    """The positions of the two halves of every separable convolution: a graph of nothing else."""
    names: dict[tuple[int, ...], list[str]] = {}
    for step in steps(net):
        names.setdefault(step.position[:-1], []).append(step.path.rpartition(".")[2])
    pairs = [graph for graph, inside in names.items() if inside == ["depthwise", "pointwise"]]
    return {(*graph, index) for graph in pairs for index in (0, 1)}


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
