"""A network as a picture: the text of a graph for Graphviz (https://graphviz.org/doc/info/lang.html).

`jaxcnn summary resnet18 --dot | dot -Tsvg -o resnet18.svg`
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields

from jaxcnn import spec
from jaxcnn.layout import Shape, leaf_layout, merge_shapes, times
from jaxcnn.spec import Act, Identity, Leaf, Spec, Step, interpret

_HEAD = """digraph network {
  graph [fontname="Helvetica", fontsize=10, color="#999999"];
  node [fontname="Helvetica", fontsize=10, shape=box, style=filled, fillcolor=white];
  edge [color="#555555"];"""
_MERGED = {"sum": "+", "mul": "*", "concat": "concat"}
_BLUE, _ORANGE, _GREEN, _YELLOW = "#cfe2f3", "#fce5cd", "#d9ead3", "#fff2cc"
_COLORS = {
    spec.Conv: _BLUE, spec.ConvTranspose: _BLUE, spec.Dense: _BLUE, spec.RadialBasis: _BLUE,
    spec.Pool: _ORANGE, spec.AdaptivePool: _ORANGE, spec.GlobalPool: _ORANGE,
    spec.BatchNorm: _GREEN, spec.LayerNorm: _GREEN, spec.LocalResponseNorm: _GREEN, spec.Act: _YELLOW,
}  # fmt: skip

Carried = tuple[Shape, str]  # a value's shape, and the box that it comes from


def dot(net: Spec, shape: Shape) -> str:
    """The graph of a network over examples of `shape`, (H, W, C), in Graphviz's language.

    Every leaf is a box with its path, what it is and its output's shape; named parts of the network are frames; values
    that are merged meet in a circle. An `Identity` is the arrow that goes through it.
    """
    lines, arrows, number, indent = [_HEAD], [], itertools.count(), ["  "]

    def place(label: str, attributes: str, *sources: str) -> str:
        name = f"n{next(number)}"
        lines.append(f"{indent[-1]}{name} [label={_quoted(label)}, {attributes}];")
        arrows.extend(f"  {source} -> {name};" for source in sources)
        return name

    def leaf(step: Step, carried: Carried) -> Carried:
        shape, source = carried
        output = leaf_layout(step.leaf, shape).output
        if isinstance(step.leaf, Identity):
            return output, source
        label = "\n".join(filter(None, [step.path, described(step.leaf), times(output)]))
        return output, place(label, f'fillcolor="{_COLORS.get(type(step.leaf), "white")}"', source)

    def merge(how: str, several: list[Carried]) -> Carried:
        shapes, sources = zip(*several, strict=True)
        return merge_shapes(how, list(shapes)), place(_MERGED[how], "shape=circle, margin=0", *sources)

    @contextmanager
    def frame(path: str) -> Iterator[None]:
        lines.append(f"{indent[-1]}subgraph cluster_{next(number)} {{\n{indent[-1]}  label={_quoted(path)};")
        indent.append(indent[-1] + "  ")
        yield
        indent.pop()
        lines.append(indent[-1] + "}")

    start = place(f"input\n{times(shape)}", "shape=oval")
    output, end = interpret(net, (tuple(shape), start), leaf, merge, part=frame)
    place(f"output\n{times(output)}", "shape=oval", end)
    return "\n".join([*lines, *arrows, "}"])


def described(leaf: Leaf) -> str:
    """A leaf in words: its kind, and every field that is not what it would be anyway."""
    if isinstance(leaf, Act):
        return leaf.name
    words = []
    for field in fields(leaf):
        value = getattr(leaf, field.name)
        if field.default is MISSING and field.name in ("width", "kind", "rate"):
            words.append(_plain(value))
        elif value != field.default or field.name in ("kernel", "window"):
            words.append(field.name if value is True else f"{field.name} {_plain(value)}")
    return f"{type(leaf).__name__} {', '.join(words)}".rstrip()


def _plain(value: object) -> str:
    if isinstance(value, tuple) and all(isinstance(size, int) for size in value):
        return times(value)
    return str(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
