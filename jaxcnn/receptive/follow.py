"""Carry values through the graph of a network, leaf by leaf and branch by branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from jaxcnn.layout import Shape, layer_named, leaf_layout, merge_shapes
from jaxcnn.spec import Graph, Leaf, Spec
from jaxcnn.spec import join_path as join

Value = TypeVar("Value")


class Followed(NamedTuple):
    """What was found on the way through a network: after every named node, after every leaf in the order of `walk`."""

    nodes: dict[str, tuple]
    leaves: list[tuple]
    merged: list[bool]  # of every leaf, whether its input was put together from several values


def follow(
    net: Spec, shape: Shape, values: tuple[Value, ...],
    step: Callable[[Leaf, Shape, tuple[Value, ...]], tuple[Value, ...]],
    union: Callable[[tuple[Value, ...]], Value],
) -> Followed:  # fmt: skip
    """Carry one value per dimension of the image through a network: `step` over a leaf, `union` where branches meet."""
    found = Followed({}, [], [])

    def visit(spec: Spec, path: str, shape: Shape, values: tuple, merged: bool) -> tuple[Shape, tuple]:
        if not isinstance(spec, Graph):
            with layer_named(path, spec):
                output, values = leaf_layout(spec, shape).output, step(spec, shape, values)
            found.leaves.append(values)
            found.merged.append(merged)
            return output, values
        known = {"in": (shape, values)}
        for node in spec.nodes:
            here = join(path, node.name)
            several = [known[name][1] for name in node.inputs]
            with layer_named(here, node.spec):
                together = merge_shapes(node.merge, [known[name][0] for name in node.inputs])
            joint = tuple(map(union, zip(*several, strict=True))) if len(several) > 1 else several[0]
            known[node.name] = visit(node.spec, here, together, joint, len(several) > 1)
            if here != path:
                found.nodes[here] = known[node.name][1]
        return known[spec.nodes[-1].name]

    found.nodes[""] = visit(net, "", tuple(shape), values, False)[1]
    return found
