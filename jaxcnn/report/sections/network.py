"""The network: its layers, its graph, and what its units see of the image."""

from __future__ import annotations

from html import escape

import numpy as np

from jaxcnn.host.text import bytes_text, counted
from jaxcnn.layout import times
from jaxcnn.readings.cost import layers, totals
from jaxcnn.readings.diagram import diagram
from jaxcnn.report.blocks import Bar, Block, Cell, Details, Facts, Gallery, Plot, Row, Section, Shown, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.visualize.field import effective_field
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.pictures import from_black

IMAGES = 32  # over which effective fields are a mean
OPEN = 24  # layers of a table that is open
STAGES = 5  # fields that are drawn


def network(run: Examined) -> Section:
    """The table of the layers, the graph, and receptive fields on a test image."""
    net, shape = run.subject.net, run.subject.shape
    table = layers(net, shape)
    total = totals(table)
    lead = (
        f"{run.result['network']}: {counted(len(table), 'layer')}, {total['parameters']:,} parameters, "
        f"{total['macs']:,} multiply-accumulates an image."
    )
    facts = Facts((
        ("input", times(shape)),
        ("parameters", f"{total['parameters']:,} trained, {total['statistics']:,} moving statistics; "
         f"{bytes_text(4 * (total['parameters'] + total['statistics']))} in float32"),
        ("activations", f"{bytes_text(total['memory'])} an image in float32, if all are kept"),
    ))  # fmt: skip
    layered = _table(table)
    whole: Block = layered if len(table) <= OPEN else Details(f"All {len(table)} layers", (layered,))
    key = "Blue: with weights; orange: pooling; green: normalization; violet: activation. Arcs are shortcuts."
    graph = Details("The graph", (Text(key, "note"), Plot(diagram(net, shape), wide=True)))
    blocks, passes = _fields(run)
    return Section("Network", lead, (facts, whole, graph, *blocks), passes)


def _table(table: list) -> Table:
    most = {name: max(1, *(getattr(layer, name) for layer in table)) for name in ("parameters", "macs", "memory")}
    rows: list[tuple[Cell, ...]] = []
    for layer in table:
        bars = [
            Bar(f"{value:,}", value / most[name]) if (value := getattr(layer, name)) else ""
            for name in ("parameters", "macs", "memory")
        ]
        field = layer.fields[0] if layer.fields else None
        seen = "" if field is None else "all" if field.size == float("inf") else f"{field.size:g}"
        rows.append((layer.path, layer.kind, times(layer.output), *bars, seen))
    head = ("layer", "kind", "output", "parameters", "multiply-accumulates", "bytes kept", "field")
    return Table("Layers for one image, in order; the field is in pixels", head, tuple(rows), "<<<>>>>")


def _fields(run: Examined) -> tuple[list[Block], int]:
    net, shape = run.subject.net, run.subject.shape
    try:
        paths = stages(net, shape)[-STAGES:]
    except ValueError:
        return [], 0
    image, some = run.test.images[0], run.dataset.limited(IMAGES).test.images
    boxes, effective = [], []
    for path in paths:
        found = effective_field(*run.network, some, path, prepare=run.of_bytes)
        boxes.append((path, found.box))
        levels, _ = from_black(found.map)
        down, across = found.deviations
        alt = f"effective field of the middle unit of {path}, white is the strongest"
        lines = (
            f"sees {_size(found.box)}, of which {found.share:.1%} count",
            f"deviation {down:.1f}x{across:.1f} pixels",
        )
        effective.append(Shown(picture(levels, alt), (path, *lines)))
    told = "; ".join(f"{path}: {_size(box)}" for path, box in boxes)
    drawn = Plot(
        _on_image(image, boxes, f"{run.of_test(0)} with the fields of middle units: {told}"),
        "Frames: all that a middle unit of each stage can see, from the innermost: " + told,
    )
    caption = f"What really counts: mean size of the gradient over {len(some)} test images (Luo et al. 2016)"
    passes = 3 * len(some) * len(paths)
    return [Row((drawn, Gallery(tuple(effective), 110, caption)))], passes


def _size(box: list[tuple[int, int]]) -> str:
    return times([end - first for first, end in box])


def _on_image(image: np.ndarray, boxes: list[tuple[str, list[tuple[int, int]]]], alt: str) -> str:
    height, width = image.shape[:2]
    frames = "".join(
        f'<rect class="frame-line" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
        for _, ((top, bottom), (left, right)) in boxes
    )
    return (
        f'<svg class="pixels" role="img" aria-label="{escape(alt)}" viewBox="-0.5 -0.5 {width + 1} {height + 1}" '
        f'width="280" height="{280 * height // width}"><image href="{picture(image, "").uri}" width="{width}" '
        f'height="{height}" style="image-rendering:pixelated"/>{frames}</svg>'
    )
