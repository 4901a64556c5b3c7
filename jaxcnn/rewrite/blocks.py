"""The blocks of a network: parts that may be computed as one, with nothing inside of interest to others."""

from __future__ import annotations

from dataclasses import replace as changed

from jaxcnn.spec import Conv, ConvTranspose, Dense, Graph, Node, Position, Spec


def in_blocks(net: Spec) -> tuple[Spec, frozenset[Position]]:
    """The network, its layers between blocks gathered into runs, and the positions of all blocks and runs.

    A block is a graph in which values meet once, as in a residual block or an inception module; among graphs whose
    values meet more often (a dense block, a cell), one without inner graphs too. A run is a convolution or dense layer
    and the layers behind it, up to the next. All layers keep their paths.
    """
    found: set[Position] = set()
    return (_gathered(net, (), found), frozenset(found)) if isinstance(net, Graph) else (net, frozenset())


def _gathered(graph: Graph, position: Position, found: set[Position]) -> Graph:
    meetings = sum(len(node.inputs) > 1 for node in graph.nodes)
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    taken = {node.name for node in graph.nodes}
    for run in _runs(graph):
        here = (*position, len(nodes))
        sources = tuple(renamed.get(name, name) for name in run[0].inputs)
        if len(run) > 1:
            inner = (changed(run[0], inputs=("in",)), *run[1:])
            name = f"_{run[-1].name}"  # anonymous: it leaves no trace in paths
            while name in taken:
                name = f"_{name}"
            taken.add(name)
            renamed[run[-1].name] = name
            nodes.append(Node(name, Graph(inner), sources, run[0].merge))
            found.add(here)
            continue
        node = changed(run[0], inputs=sources)
        if isinstance(node.spec, Graph):
            if _meets_once(node.spec) or (meetings > 1 and _is_flat(node.spec)):
                found.add(here)
            else:
                node = changed(node, spec=_gathered(node.spec, here, found))
        nodes.append(node)
    return Graph(tuple(nodes))


def _meets_once(graph: Graph) -> bool:
    return sum(len(node.inputs) > 1 for node in graph.nodes) == 1


def _is_flat(graph: Graph) -> bool:
    return len(graph.nodes) > 1 and not any(isinstance(node.spec, Graph) for node in graph.nodes)


def _runs(graph: Graph) -> list[list[Node]]:
    """The nodes, those together that are layers one behind the other, the inner ones of which nothing else reads."""
    readers = [name for node in graph.nodes for name in node.inputs]
    runs: list[list[Node]] = []
    for node in graph.nodes:
        before = runs[-1][-1] if runs else None
        goes_on = (
            before is not None
            and not isinstance(before.spec, Graph)
            and not isinstance(node.spec, Graph | Conv | ConvTranspose | Dense)
            and node.inputs == (before.name,)
            and readers.count(before.name) == 1
        )
        if goes_on:
            runs[-1].append(node)
        else:
            runs.append([node])
    return runs
