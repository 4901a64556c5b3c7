"""The table of a network's layers: as text, JSON and comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

from jaxcnn.charts.table import aligned
from jaxcnn.layout import Shape, times
from jaxcnn.readings.cost import Layer, layers, totals
from jaxcnn.readings.receptive import Field
from jaxcnn.spec import Spec


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
