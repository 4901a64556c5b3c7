"""A network as a picture: the text of a graph for Graphviz (https://graphviz.org/doc/info/lang.html).

`jaxcnn summary resnet18 --dot | dot -Tsvg -o resnet18.svg`
"""

from __future__ import annotations

import itertools
from dataclasses import MISSING, fields

from jaxcnn.layout import Shape, layer_named, leaf_layout, merge_shapes, times
from jaxcnn.spec import Act, Graph, Identity, Leaf, Spec, join_path

_HEAD = """digraph network {
  graph [fontname="Helvetica", fontsize=10, color="#999999"];
  node [fontname="Helvetica", fontsize=10, shape=box, style=filled, fillcolor=white];
  edge [color="#555555"];"""
_MERGED = {"sum": "+", "mul": "*", "concat": "concat"}
_BLUE, _ORANGE, _GREEN, _YELLOW = "#cfe2f3", "#fce5cd", "#d9ead3", "#fff2cc"
_COLORS = {
    "Conv": _BLUE, "ConvTranspose": _BLUE, "Dense": _BLUE, "RadialBasis": _BLUE,
    "Pool": _ORANGE, "AdaptivePool": _ORANGE, "GlobalPool": _ORANGE,
    "BatchNorm": _GREEN, "LayerNorm": _GREEN, "LocalResponseNorm": _GREEN, "Act": _YELLOW,
}  # fmt: skip


def dot(net: Spec, shape: Shape) -> str:
    """The graph of a network over examples of `shape`, (H, W, C), in Graphviz's language.

    Every leaf is a box with its path, what it is and its output's shape; named parts of the network are frames; values
    that are merged meet in a circle. An `Identity` is the arrow that goes through it.
    """
    lines, arrows, number = [_HEAD], [], itertools.count()

    def place(indent: str, label: str, attributes: str, *sources: str) -> str:
        name = f"n{next(number)}"
        lines.append(f"{indent}{name} [label={_quoted(label)}, {attributes}];")
        arrows.extend(f"  {source} -> {name};" for source in sources)
        return name

    def draw(spec: Spec, path: str, shape: Shape, source: str, indent: str) -> tuple[Shape, str]:
        if not isinstance(spec, Graph):
            with layer_named(path, spec):
                output = leaf_layout(spec, shape).output
            if isinstance(spec, Identity):
                return output, source
            label = "\n".join(filter(None, [path, described(spec), times(output)]))
            color = _COLORS.get(type(spec).__name__, "white")
            return output, place(indent, label, f'fillcolor="{color}"', source)
        known = {"in": (shape, source)}
        for node in spec.nodes:
            here = join_path(path, node.name)
            shapes, sources = zip(*(known[name] for name in node.inputs), strict=True)
            with layer_named(here, node.spec):
                merged = merge_shapes(node.merge, list(shapes))
            meeting = sources[0]
            if len(sources) > 1:
                meeting = place(indent, _MERGED[node.merge], "shape=circle, margin=0", *sources)
            if isinstance(node.spec, Graph) and here != path:
                lines.append(f"{indent}subgraph cluster_{next(number)} {{\n{indent}  label={_quoted(here)};")
                known[node.name] = draw(node.spec, here, merged, meeting, indent + "  ")
                lines.append(indent + "}")
            else:
                known[node.name] = draw(node.spec, here, merged, meeting, indent)
        return known[spec.nodes[-1].name]

    start = place("  ", f"input\n{times(shape)}", "shape=oval")
    output, end = draw(net, "", tuple(shape), start, "  ")
    place("  ", f"output\n{times(output)}", "shape=oval", end)
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
