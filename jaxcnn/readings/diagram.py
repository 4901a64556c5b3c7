"""A network as a picture that needs no program to lay it out: a line for each layer, an arc for each shortcut. SVG."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from jaxcnn import spec
from jaxcnn.layout import Shape, leaf_layout, merge_shapes, times
from jaxcnn.readings.picture import described
from jaxcnn.spec import Identity, Spec, Step, interpret

HIGH, LANE, MARGIN = 22, 11, 14  # of a line, between two arcs, beside them
LETTER = 7.0  # about the width of one
_MERGED = {"sum": "sum", "mul": "product", "concat": "concatenation"}
_KINDS = {
    spec.Conv: "k-conv", spec.ConvTranspose: "k-conv", spec.Dense: "k-conv", spec.RadialBasis: "k-conv",
    spec.Pool: "k-pool", spec.AdaptivePool: "k-pool", spec.GlobalPool: "k-pool",
    spec.BatchNorm: "k-norm", spec.LayerNorm: "k-norm", spec.LocalResponseNorm: "k-norm", spec.Act: "k-act",
}  # fmt: skip


class _Line(NamedTuple):
    path: str
    what: str
    shape: Shape
    kind: str
    sources: tuple[int, ...]


def diagram(net: Spec, shape: Shape) -> str:
    """The layers of a network over examples of `shape`, (H, W, C), below each other in order of execution, as SVG.

    A layer reads the one above it, or what an arc at its left leads to it. An `Identity` is the arc that goes through
    it. The page that shows it colors the classes k-conv, k-pool, k-norm, k-act and k-merge.
    """
    lines = [_Line("input", "", tuple(shape), "", ())]

    def leaf(step: Step, carried: tuple[Shape, int]) -> tuple[Shape, int]:
        size, source = carried
        output = leaf_layout(step.leaf, size).output
        if isinstance(step.leaf, Identity):
            return output, source
        kind = _KINDS.get(type(step.leaf), "")
        lines.append(_Line(step.path, described(step.leaf), output, kind, (source,)))
        return output, len(lines) - 1

    def merge(how: str, several: list[tuple[Shape, int]]) -> tuple[Shape, int]:
        shapes, sources = zip(*several, strict=True)
        lines.append(_Line("", _MERGED[how], merge_shapes(how, list(shapes)), "k-merge", sources))
        return lines[-1].shape, len(lines) - 1

    interpret(net, (tuple(shape), 0), leaf, merge)
    return _drawn(lines)


def _drawn(lines: list[_Line]) -> str:
    arcs = [(source, number) for number, line in enumerate(lines) for source in line.sources if source != number - 1]
    lanes = _lanes(arcs)
    left = MARGIN + LANE * (max(lanes.values(), default=-1) + 1)
    paths = left + 14 + LETTER * (max(len(line.path) for line in lines) + 2)
    whats = paths + LETTER * (max(len(line.what) for line in lines) + 2)
    width, height = whats + LETTER * max(len(times(line.shape)) for line in lines) + 4, HIGH * len(lines)
    parts = []
    for (source, end), lane in lanes.items():
        top, bottom, at = _middle(source), _middle(end), left - LANE * (lane + 1)
        parts.append(
            f'<path class="arc" d="M{left},{top}C{at},{top} {at},{top} {at},{top + HIGH / 2}'
            f'V{bottom - HIGH / 2}C{at},{bottom} {at},{bottom} {left},{bottom}"/>'
        )
    for number, line in enumerate(lines):
        middle = _middle(number)
        if number - 1 in line.sources:
            parts.append(f'<path class="arc" d="M{left},{middle - HIGH}V{middle}"/>')
    for number, line in enumerate(lines):
        middle = _middle(number)
        parts.append(f'<circle class="node {line.kind}" cx="{left}" cy="{middle}" r="5"/>')
        parts.append(f'<text class="path" x="{left + 14}" y="{middle + 4}">{escape(line.path)}</text>')
        parts.append(f'<text class="what" x="{paths:.0f}" y="{middle + 4}">{escape(line.what)}</text>')
        parts.append(f'<text class="size" x="{whats:.0f}" y="{middle + 4}">{times(line.shape)}</text>')
    alt = f"the network as a graph of {len(lines) - 1} layers and meetings, {len(arcs)} of them reached by shortcuts"
    return (
        f'<svg class="diagram" role="img" aria-label="{alt}" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" height="{height}">{"".join(parts)}</svg>'
    )


def _middle(number: int) -> float:
    return HIGH * number + HIGH / 2


def _lanes(arcs: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """For every arc, from one line to another, the lane nearest to them in which no other one is; short ones first."""
    taken: dict[tuple[int, int], int] = {}
    for first, end in sorted(set(arcs), key=lambda arc: (arc[1] - arc[0], arc)):
        crossing = {lane for (a, b), lane in taken.items() if a < end and first < b}
        taken[first, end] = next(lane for lane in range(len(taken) + 1) if lane not in crossing)
    return taken
