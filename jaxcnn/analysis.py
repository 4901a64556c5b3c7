"""What a network costs, computed from its spec: multiply-accumulates, memory, the table of its layers."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxcnn.layout import Parameter, Row, Shape, times, walk
from jaxcnn.receptive import Field, fields
from jaxcnn.spec import Conv, ConvTranspose, Dense, Flatten, Identity, Spec

FLOAT32 = 4  # bytes
_SHORTEST = 16  # characters of a cell that is worth beginning


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
    """The multiply-accumulates of one forward pass over one example of `shape`, (H, W, C).

    They are the products in convolutions and dense layers, those with padding's zeros included, as papers count them.
    Additions of biases, normalizations, activations, pooling and the merging of branches do not count.
    """
    return sum(map(row_macs, walk(net, shape)))


class Layer(NamedTuple):
    """One row of a summary: a leaf, for one example.

    `parameters` are trained, `statistics` are not; `memory` is what its output takes in float32, in bytes, and 0 where
    a layer hands on its input. `fields` holds one `Field` per dimension of the image, none once no dimension is left.
    """

    path: str
    kind: str
    output: Shape
    parameters: int
    statistics: int
    macs: int
    memory: int
    fields: tuple[Field, ...]


def layers(net: Spec, shape: Shape) -> list[Layer]:
    """Every leaf of a network over examples of `shape`, (H, W, C), in order of execution."""
    followed = fields(net, shape)
    table = []
    for row, seen, merged in zip(walk(net, shape), followed.leaves, followed.merged, strict=True):
        output, params, stats = row.layout
        hands_on = isinstance(row.leaf, Flatten) or (isinstance(row.leaf, Identity) and not merged)
        memory = 0 if hands_on else FLOAT32 * math.prod(output)
        numbers = _count(params.values()), _count(stats.values()), row_macs(row), memory
        table.append(Layer(row.path, type(row.leaf).__name__, output, *numbers, seen if len(output) > 1 else ()))
    return table


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(math.prod(parameter.shape) for parameter in parameters)


def totals(table: Sequence[Layer]) -> dict[str, int]:
    """The sums of a summary's columns; that of the memory is what training keeps of one example, if it keeps all."""
    return {
        name: sum(getattr(layer, name) for layer in table) for name in ("parameters", "statistics", "macs", "memory")
    }


def summary(net: Spec, shape: Shape, width: int | None = None) -> str:
    """A table of every layer of a network for examples of `shape`, (H, W, C).

    Columns: path, kind, output shape, parameters (trainable), multiply-accumulates, the receptive field's size, jump
    and start in pixels (rows x columns where they differ; "all" is the whole image), and the bytes of the output in
    float32. The last lines give the totals. Where a line has only `width` characters, the last columns are left out.
    """
    table = layers(net, shape)
    head = ["layer", "kind", "output", "parameters", "MACs", "field", "jump", "start", "memory"]
    lines = [head]
    for layer in table:
        seen = [_both([field[column] for field in layer.fields]) for column in range(3)]
        counts = [f"{number:,}" if number else "" for number in (layer.parameters, layer.macs, layer.memory)]
        lines.append([layer.path, layer.kind, times(layer.output), *counts[:2], *seen, counts[2]])
    total = totals(table)
    trainable, statistics = total["parameters"], total["statistics"]
    return "\n".join(
        [
            aligned(lines, "<<<>>>>>>", width),
            "",
            f"input {times(shape)}",
            f"parameters {trainable + statistics:,}: {trainable:,} trainable, {statistics:,} moving statistics",
            f"activations {total['memory']:,} bytes per image in float32, if all are kept",
            f"multiply-accumulates {total['macs']:,} per image",
        ]
    )


def aligned(lines: Sequence[Sequence[str]], sides: str, width: int | None = None) -> str:
    """Lines of cells as columns, with a rule under the first; of each column the side, "<" left or ">" right.

    What is more than `width` characters is left out: the last columns, or the ends of words in the last of them.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    while width and len(widths) > 1 and (over := sum(widths) + 2 * len(widths) - 2 - width) > 0:
        column = widths.pop()
        if sides[len(widths)] == "<" and column - over >= _SHORTEST:
            widths.append(column - over)
    text = ["  ".join(map(_cell, line, sides, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _cell(text: str, side: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 1] + '…':{side}{width}}"


def screen_width() -> int | None:
    """How many characters a line of the terminal has; None where the output goes into a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def summary_json(net: Spec, shape: Shape) -> str:
    """The summary as JSON: "input", "layers" and "totals".

    A layer's "size", "jump" and "start" hold one number per dimension of the image; a size of null is all of it.
    """
    table = layers(net, shape)
    rows = []
    for layer in table:
        row = layer._asdict()
        seen = row.pop("fields")
        row["size"] = [None if math.isinf(field.size) else field.size for field in seen]
        rows.append(row | {"jump": [field.jump for field in seen], "start": [field.start for field in seen]})
    return json.dumps({"input": list(shape), "layers": rows, "totals": totals(table)}, indent=1, allow_nan=False)


def summary_csv(net: Spec, shape: Shape) -> str:
    """The summary as comma-separated values with a header; a size of inf is the whole image."""
    spatial = len(shape) - 1
    names = ("depth", "height", "width")[-spatial:] if spatial else ()
    columns = [f"{column}_{name}" for name in names for column in Field._fields]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*Layer._fields[:-1], *columns])
    for layer in layers(net, shape):
        seen = [number for field in layer.fields for number in field] or [""] * len(columns)
        writer.writerow([layer.path, layer.kind, times(layer.output), *layer[3:-1], *seen])
    return text.getvalue().rstrip("\n")


def _both(numbers: Sequence[float]) -> str:
    cells = ["all" if math.isinf(number) else f"{number:g}" for number in numbers]
    return "x".join(cells[:1] if len(set(cells)) == 1 else cells)


__all__ = [
    "Layer", "aligned", "layers", "macs", "row_macs", "screen_width", "summary", "summary_csv",
    "summary_json", "totals",
]  # fmt: skip
