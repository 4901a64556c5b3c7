"""Change the layers of a network, one part of it, or where it ends."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import replace as changed

from jaxcnn.spec import Graph, Leaf, Position, Spec, join_path, name_layer


def map_leaves(net: Spec, function: Callable[[str, Leaf], Spec]) -> Spec:
    """The network with every leaf replaced by `function(path, leaf)`, a leaf or a graph; names and branches stay.

    Raises ValueError, naming the layer, where the function returns something else or two layers come to share a path.
    """
    return map_positions(net, lambda _, path, leaf: function(path, leaf))


def replace(net: Spec, path: str, spec: Spec) -> Spec:
    """The network with `spec` in place of the layer, or the whole part, at `path`.

    Raises ValueError for a path that the network does not have, and for what is no spec.
    """
    _check_spec(path, spec)
    return exchange(net, _position(net, path), spec)


def cut(net: Spec, path: str) -> Spec:
    """The network up to `path`: its output is the activation there; what that does not need is dropped.

    Raises ValueError for a path that the network does not have.
    """
    return _needed(_until(net, _position(net, path)))


def map_positions(
    spec: Spec, function: Callable[[Position, str, Leaf], Spec], path: str = "", position: Position = ()
) -> Spec:
    """`map_leaves` with a function that is told the position too."""
    if not isinstance(spec, Graph):
        try:
            result = function(position, path, spec)
            _check_spec(path, result)
        except Exception as error:
            name_layer(error, path, spec)
            raise
        return result
    nodes = []
    for index, node in enumerate(spec.nodes):
        part = map_positions(node.spec, function, join_path(path, node.name), (*position, index))
        nodes.append(changed(node, spec=part))
    return Graph(tuple(nodes))


def _check_spec(path: str, spec: object) -> None:
    if not isinstance(spec, Spec):
        raise ValueError(f"layer {path!r} cannot become {spec!r}: it must be a layer or a graph")


def exchange(spec: Spec, position: Position, new: Spec) -> Spec:
    """The network with `new` at a position."""
    if not position or not isinstance(spec, Graph):
        return new
    index, *rest = position
    node = spec.nodes[index]
    node = changed(node, spec=exchange(node.spec, tuple(rest), new))
    return Graph((*spec.nodes[:index], node, *spec.nodes[index + 1 :]))


def suggestion(wanted: str, paths: list[str]) -> str:
    """The end of a sentence about a path that does not exist."""
    if close := difflib.get_close_matches(wanted, paths, n=1):
        return f"; did you mean {close[0]!r}?"
    parts = dict.fromkeys(path.partition(".")[0] for path in paths)
    return f"; there are: {', '.join(parts)} and what is in them"


def _named(spec: Spec, path: str = "", position: Position = ()) -> Iterator[tuple[str, Position]]:
    """Every node with a name of its own, inner ones first: as their values come to exist."""
    if isinstance(spec, Graph):
        for index, node in enumerate(spec.nodes):
            here = join_path(path, node.name)
            yield from _named(node.spec, here, (*position, index))
            if here != path:
                yield here, (*position, index)


def _position(net: Spec, path: str) -> Position:
    nodes = dict(_named(net))
    if path not in nodes:
        raise ValueError(f"nothing is called {path!r}{suggestion(path, list(nodes))}")
    return nodes[path]


def _until(spec: Spec, position: Position) -> Spec:
    if not position or not isinstance(spec, Graph):
        return spec
    index, *rest = position
    node = spec.nodes[index]
    return Graph((*spec.nodes[:index], changed(node, spec=_until(node.spec, tuple(rest)))))


def _needed(spec: Spec) -> Spec:
    if not isinstance(spec, Graph):
        return spec
    needed = {spec.nodes[-1].name}
    for node in reversed(spec.nodes):
        needed |= set(node.inputs) if node.name in needed else set()
    return Graph(tuple(changed(node, spec=_needed(node.spec)) for node in spec.nodes if node.name in needed))
