"""A network as the Python that builds it: `repr`, which `eval` turns back into the network."""

from __future__ import annotations

import keyword
from typing import Any

from jaxcnn.spec.word import arguments

_WIDTH = 100  # characters of a line that need no breaking


def text(spec: Any, indent: str = "") -> str:
    """The expression of a leaf or a graph, broken into an indented tree where it is longer than a line."""
    nodes = getattr(spec, "nodes", None)
    if nodes is None:
        return repr(spec)
    inner = indent + "    "
    name, parts = _as_call(nodes)
    shown = [f"{label}{text(part, inner)}" for label, part in parts]
    if name is None:
        name, shown = "Graph", [f"({', '.join(_node(node, inner) for node in nodes)},)"]
        if len(shown[0]) + len(inner) > _WIDTH or "\n" in shown[0]:
            lines = "".join(f"\n{inner}{_node(node, inner)}," for node in nodes)
            return f"Graph(({lines}\n{indent}))"
    line = f"{name}({', '.join(shown)})"
    if len(line) + len(indent) <= _WIDTH and "\n" not in line:
        return line
    return f"{name}(" + "".join(f"\n{inner}{part}," for part in shown) + f"\n{indent})"


def _node(node: Any, indent: str) -> str:
    return f"Node({', '.join([repr(node.name), text(node.spec, indent), *arguments(node)[2:]])})"


def _as_call(nodes: tuple[Any, ...]) -> tuple[str | None, list[tuple[str, Any]]]:
    """The call of `seq`, `add`, `mul` or `concat` that builds a graph, if there is one: its name and arguments."""
    last = nodes[-1]
    chain = ["in", *(node.name for node in nodes)]
    if all(node.inputs == (before,) and node.merge == "sum" for node, before in zip(nodes, chain, strict=False)):
        labels = _labels([node.name for node in nodes], "")
        return ("seq", list(zip(labels, (node.spec for node in nodes), strict=True))) if labels else (None, [])
    branches = nodes[:-1]
    names = [node.name for node in branches]
    beside = all(node.inputs == ("in",) and node.merge == "sum" for node in branches)
    labels = _labels(names, "_")
    if last.name != "_out" or last.inputs != tuple(names) or not beside or not labels or "then" in names:
        return None, []
    parts = list(zip(labels, (node.spec for node in branches), strict=True))
    then = [] if repr(last.spec) == "Identity()" else [("then=", last.spec)]
    return {"sum": "add", "mul": "mul", "concat": "concat"}[last.merge], [*parts, *then]


def _labels(names: list[str], prefix: str) -> list[str] | None:
    """What stands before each argument: nothing before those that are counted, `name=` before the others."""
    labels = []
    for index, name in enumerate(names):
        if name == f"{prefix}{index}" and not any(labels):
            labels.append("")
        elif name.isidentifier() and not keyword.iskeyword(name):
            labels.append(f"{name}=")
        else:
            return None
    return labels
