"""Stochastic depth for every network with residual sums."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace as changed

from jaxcnn.rewrite.edit import map_leaves
from jaxcnn.spec import Act, Graph, Identity, Leaf, Node, Spec, StochasticDepth, join_path, steps

NAME = "stochastic_depth"


def stochastic_depth(net: Spec, rate: float) -> Spec:
    """The network whose residual blocks are left out at random in training, each example by itself.

    Of L blocks, number l in the order of execution, from 1, is left out with probability rate * l / L (Huang, Sun, Liu,
    Sedra and Weinberger 2016, Deep Networks with Stochastic Depth, equation 4), so the last one with `rate`. A residual
    block is a sum of two values that are made of one, or one of them of the other: the branch through an activation,
    and for nothing else, the shortcut without. At the end of each branch stands a StochasticDepth: its own, or a new
    layer "stochastic_depth". One that stands elsewhere counts as a block, too. Parameters keep their paths.

    Raises ValueError for a network without residual sums, and unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"the rate of stochastic depth must be in [0, 1), not {rate}")
    net = _with_leaves(net, "", set(_paths(net)))
    blocks = sum(isinstance(step.leaf, StochasticDepth) for step in steps(net))
    if not blocks:
        raise ValueError("there is no residual sum, x + f(x), whose f could be left out")
    number = itertools.count(1)

    def with_rate(_: str, leaf: Leaf) -> Leaf:
        return changed(leaf, rate=rate * next(number) / blocks) if isinstance(leaf, StochasticDepth) else leaf

    return map_leaves(net, with_rate)


def _paths(spec: Spec, path: str = "") -> Iterator[str]:
    if isinstance(spec, Graph):
        for node in spec.nodes:
            here = join_path(path, node.name)
            yield here
            yield from _paths(node.spec, here)


def _with_leaves(spec: Spec, path: str, taken: set[str]) -> Spec:
    """With a StochasticDepth, that drops nothing yet, at the end of every branch that has none; `taken` are paths."""
    if not isinstance(spec, Graph):
        return spec
    nodes: list[Node] = []
    for node in spec.nodes:
        branch = _branch(spec, node)
        if branch is not None and not _drops(spec, branch):
            name = next(name for name in _names() if join_path(path, name) not in taken)
            taken.add(join_path(path, name))
            nodes.append(Node(name, StochasticDepth(0.0), (branch,)))
            node = changed(node, inputs=tuple(name if each == branch else each for each in node.inputs))
        nodes.append(changed(node, spec=_with_leaves(node.spec, join_path(path, node.name), taken)))
    return Graph(tuple(nodes))


def _names() -> Iterator[str]:
    return itertools.chain([NAME], (f"{NAME}{number}" for number in itertools.count(2)))


def _branch(graph: Graph, node: Node) -> str | None:
    """Which of the two values that a node adds up is the branch of a residual sum; None where it is no such sum."""
    if node.merge != "sum" or len(node.inputs) != 2:
        return None
    one, other = node.inputs
    found = [branch for branch, shortcut in ((one, other), (other, one)) if _bypassed(graph, node, branch, shortcut)]
    return found[0] if len(found) == 1 else None


def _bypassed(graph: Graph, total: Node, branch: str, shortcut: str) -> bool:
    """Whether a shortcut without activation begins where a branch with one does, which serves nothing else."""
    nodes = {node.name: node for node in graph.nodes}
    begins = {shortcut}
    while shortcut in nodes and len(nodes[shortcut].inputs) == 1 and not _activates(nodes[shortcut].spec):
        shortcut = nodes[shortcut].inputs[0]
        begins.add(shortcut)
    inside, waiting = set(), [branch]
    while waiting:
        name = waiting.pop()
        if name not in begins | inside | {"in"}:
            inside.add(name)
            waiting += nodes[name].inputs
    ends = {name for part in inside for name in nodes[part].inputs} - inside
    read = {name for node in graph.nodes if node.name not in inside | {total.name} for name in node.inputs}
    return inside.isdisjoint(read) and bool(ends & begins) and any(_activates(nodes[name].spec) for name in inside)


def _activates(spec: Spec) -> bool:
    return any(isinstance(step.leaf, Act) for step in steps(spec))


def _drops(graph: Graph, name: str) -> bool:
    """Whether the last layer that makes a value of a graph is a StochasticDepth."""
    node = next((node for node in graph.nodes if node.name == name), None)
    if node is None:
        return False
    if isinstance(node.spec, Identity) and len(node.inputs) == 1:
        return _drops(graph, node.inputs[0])
    if isinstance(node.spec, Graph):
        return _drops(node.spec, node.spec.nodes[-1].name)
    return isinstance(node.spec, StochasticDepth)
