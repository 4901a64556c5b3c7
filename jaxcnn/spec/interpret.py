"""The one walk over a network: every reading of a spec is this function with a `leaf` and a `merge` of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

from jaxcnn.spec.graph import Graph, Spec, join_path
from jaxcnn.spec.leaves import Leaf

Value = TypeVar("Value")
Position = tuple[int, ...]  # a node's number in the network, then in the graph there, and so on


class Step(NamedTuple):
    """A leaf on the way through a network.

    Its `position`, unlike its path, is no other leaf's.
    """

    path: str
    leaf: Leaf
    position: Position


def interpret(
    spec: Spec,
    value: Value,
    leaf: Callable[[Step, Value], Value],
    merge: Callable[[str, list[Value]], Value],
    *,
    named: Callable[[str, Value], Value] | None = None,
    part: Callable[[str], AbstractContextManager] = nullcontext,
    whole: Callable[[Graph, str, Position], Callable[[Value], Value] | None] | None = None,
    path: str = "",
    position: Position = (),
) -> Value:
    """Carry a value through a network: shapes, arrays, receptive fields, names in a picture, whatever a reading needs.

    Args:
      spec: the network.
      value: what enters it.
      leaf: `leaf(step, value)` is what a layer makes of a value.
      merge: `merge(how, values)` makes one value of several that meet; how is "sum", "mul" or "concat".
      named: `named(path, value)` is called with what comes out of every node with a name of its own, inner ones first,
        and returns what goes on.
      part: `part(path)` is a context in which the inside of every graph with a name of its own is walked.
      whole: `whole(graph, path, position)` is a function to be called with what enters an inner graph, in place of a
        walk through it; None walks.
      path, position: where `spec` stands in a larger network.

    Returns:
      What leaves the network. An exception of `leaf` or `merge` gets a note that names the layer.
    """
    if not isinstance(spec, Graph):
        try:
            return leaf(Step(path, spec, position), value)
        except Exception as error:
            name_layer(error, path, spec)
            raise
    values = {"in": value}
    for index, node in enumerate(spec.nodes):
        here = join_path(path, node.name)
        several = [values[name] for name in node.inputs]
        if len(several) == 1:
            given = several[0]
        else:
            try:
                given = merge(node.merge, several)
            except Exception as error:
                name_layer(error, here, node.spec)
                raise
        options: dict[str, Any] = {"named": named, "part": part, "whole": whole}
        options |= {"path": here, "position": (*position, index)}
        at_once = whole(node.spec, here, (*position, index)) if whole and isinstance(node.spec, Graph) else None
        if at_once is not None:
            result = at_once(given)
        elif isinstance(node.spec, Graph) and here != path:
            with part(here):
                result = interpret(node.spec, given, leaf, merge, **options)
        else:
            result = interpret(node.spec, given, leaf, merge, **options)
        values[node.name] = result if named is None or here == path else named(here, result)
    return values[spec.nodes[-1].name]


def name_layer(error: Exception, path: str, spec: Spec) -> None:
    """Note on an exception in which layer it was raised, if nothing has been noted yet."""
    if not getattr(error, "__notes__", None):
        what = "a graph" if isinstance(spec, Graph) else repr(spec)
        error.add_note(f"in layer {path or 'the network'!r}: {what}")


def steps(spec: Spec, path: str = "", position: Position = ()) -> list[Step]:
    """Every leaf of a network, or of a part of one that stands there, in order of execution."""
    found: list[Step] = []
    interpret(spec, None, lambda step, _: found.append(step), lambda *_: None, path=path, position=position)
    return found
