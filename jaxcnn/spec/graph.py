"""Layers in a graph: named nodes, and the small functions that build the usual arrangements of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from jaxcnn.spec.leaves import Identity, Leaf
from jaxcnn.spec.notation import text
from jaxcnn.spec.traits import has_arrays, is_random
from jaxcnn.spec.word import word


@word
class Node:
    """One named step of a `Graph`: merge the values called `inputs`, then apply `spec`.

    `"in"` is the graph's own input. A name that begins with `_` is anonymous: it leaves no trace in paths.
    """

    name: str
    spec: Spec
    inputs: tuple[str, ...] = ("in",)
    merge: Literal["sum", "mul", "concat"] = "sum"


@word
class Graph:
    """Nodes in order of execution; the last one is the output.

    Raises ValueError where a name or an input is wrong, and where two nodes would have the same path: their
    activations, parameters or random numbers could not be told apart.
    """

    nodes: tuple[Node, ...]

    def check(self) -> None:
        if not self.nodes:
            raise ValueError("a graph needs at least one node")
        known = {"in"}
        for node in self.nodes:
            if not node.name or "." in node.name or node.name in known:
                raise ValueError(
                    f"node name {node.name!r} must be new, not empty and without dots; known: {sorted(known)}"
                )
            if not node.inputs:
                raise ValueError(f"node {node.name!r} needs at least one input, for example 'in'")
            if missing := [name for name in node.inputs if name not in known]:
                raise ValueError(f"node {node.name!r} reads {missing}, but only {sorted(known)} come before it")
            known.add(node.name)
        for what, paths in ("nodes", _named(self)), ("layers with parameters or randomness", _owners(self)):
            if repeated := _repeated(paths):
                raise ValueError(f"two {what} share the path {repeated[0]!r}: name one of the branches")
        object.__setattr__(self, "_hash", hash(self.nodes))  # of a whole network, asked for by every call of jit

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        """Whether all nodes are equal, however deep they are nested: that of tuples asks itself, and has a limit."""
        if not isinstance(other, Graph):
            return NotImplemented
        pairs: list[tuple[Graph, Graph]] = [(self, other)]
        while pairs:
            one, two = pairs.pop()
            if one is two:
                continue
            if hash(one) != hash(two) or len(one.nodes) != len(two.nodes):
                return False
            for a, b in zip(one.nodes, two.nodes, strict=True):
                if (a.name, a.inputs, a.merge) != (b.name, b.inputs, b.merge):
                    return False
                if isinstance(a.spec, Graph) and isinstance(b.spec, Graph):
                    pairs.append((a.spec, b.spec))
                elif a.spec != b.spec:
                    return False
        return True

    def __repr__(self) -> str:
        return text(self)

    def __reduce__(self):
        return Graph, (self.nodes,)  # a string has another hash in another process


Spec = Leaf | Graph


def join_path(path: str, name: str) -> str:
    """The path of a node called `name` inside `path`: dotted, and anonymous names leave no trace."""
    if name.startswith("_"):
        return path
    return f"{path}.{name}" if path else name


def _repeated(paths: Iterator[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({path for path in paths if path in seen or seen.add(path)})


def _named(spec: Spec, path: str = "") -> Iterator[str]:
    """The path of every node with a name of its own."""
    if isinstance(spec, Graph):
        for node in spec.nodes:
            here = join_path(path, node.name)
            if here != path:
                yield here
            yield from _named(node.spec, here)


def _owners(spec: Spec, path: str = "") -> Iterator[str]:
    """The path of every layer to which arrays or random numbers belong."""
    if isinstance(spec, Graph):
        for node in spec.nodes:
            yield from _owners(node.spec, join_path(path, node.name))
    elif has_arrays(spec) or is_random(spec):
        yield path


def seq(*specs: Spec, **named: Spec) -> Graph:
    """One spec after the other; positional ones are called 0, 1, 2, ... and come first."""
    names = [*map(str, range(len(specs))), *named]
    steps = zip(names, (*specs, *named.values()), ["in", *names][: len(names)], strict=True)
    return Graph(tuple(Node(name, spec, (source,)) for name, spec, source in steps))


def _branches(merge: Literal["sum", "mul", "concat"], specs: tuple, named: dict[str, Spec], then: Spec) -> Graph:
    branches = {f"_{index}": spec for index, spec in enumerate(specs)} | named
    return Graph((*(Node(name, spec) for name, spec in branches.items()), Node("_out", then, tuple(branches), merge)))


def add(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """The sum of several branches of one input, followed by `then`. Positional branches are anonymous."""
    return _branches("sum", specs, named, then)


def mul(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """The product of several branches of one input (broadcasting single places), followed by `then`."""
    return _branches("mul", specs, named, then)


def concat(*specs: Spec, then: Spec = Identity(), **named: Spec) -> Graph:
    """Several branches of one input, side by side along the channels, followed by `then`."""
    return _branches("concat", specs, named, then)
