"""What a network costs and sees, computed from its spec: multiply-accumulates, receptive field, summary."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxcnn import ops
from jaxcnn.layout import Row, Shape, leaf_layout, merge_shapes, pad_pairs, pool_window, walk
from jaxcnn.spec import (
    AdaptivePool,
    Conv,
    ConvTranspose,
    Dense,
    GlobalPool,
    Graph,
    Leaf,
    Pad,
    Pool,
    Spec,
    Upsample,
    join_path,
)


def row_macs(row: Row) -> int:
    """The multiply-accumulates of one leaf for one example: products in convolutions and dense layers, no bias."""
    match row.leaf:
        case Conv():
            return math.prod(row.layout.params["kernel"].shape) * math.prod(row.layout.output[:-1])
        case ConvTranspose():
            return math.prod(row.layout.params["kernel"].shape) * math.prod(row.input[:-1])
        case Dense():
            return math.prod(row.layout.params["kernel"].shape)
    return 0


def macs(net: Spec, shape: Shape) -> int:
    """The multiply-accumulates of one forward pass over one example of `shape`, (H, W, C)."""
    return sum(map(row_macs, walk(net, shape)))


class Field(NamedTuple):
    """Where a unit of a layer looks, along one dimension of the input (Dumoulin and Visin 2016; Le and Borji 2017).

    `size` pixels wide; neighbouring units are `jump` pixels apart; the centre of the first one stands at `start`,
    pixel 0 reaching from 0 to 1.
    """

    size: float = 1
    jump: float = 1
    start: float = 0.5

    def interval(self, unit: int) -> tuple[int, int]:
        """The first and one past the last pixel that unit `unit` sees; may reach into the padding."""
        centre = self.start + unit * self.jump
        return math.floor(centre - self.size / 2), math.floor(centre + self.size / 2)


def _leaf_field(leaf: Leaf, shape: Shape, field: Field) -> Field:
    size, jump, start = field
    *sizes, _ = shape
    match leaf:
        case Conv():
            placed = ops.slide("Conv", sizes, leaf.kernel, leaf.stride, leaf.padding, leaf.dilation)
        case Pool():
            placed = pool_window(leaf, shape)
        case GlobalPool() if sizes:
            return Field(size + (max(sizes) - 1) * jump, jump, start + (sizes[0] - 1) / 2 * jump)
        case AdaptivePool():
            out = leaf_layout(leaf, shape).output[0]
            widest = max(-(-(i + 1) * sizes[0] // out) - i * sizes[0] // out for i in range(out))
            first = -(-sizes[0] // out)
            return Field(size + (widest - 1) * jump, jump * sizes[0] / out, start + (first - 1) / 2 * jump)
        case Pad():
            return Field(size, jump, start - pad_pairs(leaf, len(sizes))[0][0] * jump)
        case Upsample():
            factor = ops.per_dimension(leaf.scale, len(sizes), "scale")[0]
            beside = jump if leaf.method == "bilinear" and factor > 1 else 0
            return Field(size + beside, jump / factor, start + (1 / factor - 1) / 2 * jump)
        case ConvTranspose():
            options = (leaf.stride, leaf.padding, leaf.output_padding, leaf.dilation)
            placed = ops.transposed_window(sizes, leaf.kernel, *options)
            stride, reach = placed.stride[0], placed.dilation[0] * (placed.window[0] - 1)
            start += (placed.pairs[0][0] - reach / 2) / stride * jump
            return Field(size + reach // stride * jump, jump / stride, start)
        case _:
            return field
    reach = placed.dilation[0] * (placed.window[0] - 1)
    return Field(size + reach * jump, jump * placed.stride[0], start + (reach / 2 - placed.pairs[0][0]) * jump)


def receptive_field(net: Spec, shape: Shape, path: str = "") -> dict[str, Field]:
    """The receptive field after every named node, along the input's first dimension, for examples of `shape`.

    Where branches meet, the widest field counts. A flattened or globally pooled value keeps the field it had.
    """
    return _fields(net, tuple(shape), path, Field())[0]


def _fields(spec: Spec, shape: Shape, path: str, field: Field) -> tuple[dict[str, Field], Field, Shape]:
    if not isinstance(spec, Graph):
        return {}, _leaf_field(spec, shape, field), leaf_layout(spec, shape).output
    table: dict[str, Field] = {}
    values, shapes = {"in": field}, {"in": shape}
    for node in spec.nodes:
        here = join_path(path, node.name)
        widest = max(values[name] for name in node.inputs)
        merged = merge_shapes(node.merge, [shapes[name] for name in node.inputs])
        inner, values[node.name], shapes[node.name] = _fields(node.spec, merged, here, widest)
        table |= inner | ({here: values[node.name]} if here != path else {})
    last = spec.nodes[-1].name
    return table, values[last], shapes[last]


def summary(net: Spec, shape: Shape) -> str:
    """A table of every layer of a network for examples of `shape`, (H, W, C).

    Columns: path, kind, output shape, parameters (trainable), multiply-accumulates, and the receptive field's size,
    jump and start in pixels. The last lines give the totals.
    """
    rows = walk(net, shape)
    fields = receptive_field(net, shape)
    table = [["layer", "kind", "output", "parameters", "MACs", "field", "jump", "start"]]
    parameters = statistics = 0
    for row in rows:
        count = sum(math.prod(parameter.shape) for parameter in row.layout.params.values())
        parameters += count
        statistics += sum(math.prod(parameter.shape) for parameter in row.layout.stats.values())
        field = fields.get(row.path) if len(row.layout.output) > 1 else None
        seen = [f"{field.size:g}", f"{field.jump:g}", f"{field.start:g}"] if field else ["", "", ""]
        numbers = [f"{number:,}" if number else "" for number in (count, row_macs(row))]
        output = "x".join(map(str, row.layout.output))
        table.append([row.path, type(row.leaf).__name__, output, *numbers, *seen])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    aligned = ["<"] * 3 + [">"] * 5
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, aligned, widths, strict=True)).rstrip()
        for line in table
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(
        [
            *lines,
            "",
            f"input {'x'.join(map(str, shape))}",
            f"parameters {parameters + statistics:,}: {parameters:,} trainable, {statistics:,} moving statistics",
            f"multiply-accumulates {sum(map(row_macs, rows)):,} per image",
        ]
    )
