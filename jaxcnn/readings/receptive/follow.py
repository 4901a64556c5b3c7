"""Carry values through the graph of a network, leaf by leaf and branch by branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from jaxcnn.layout import Shape, leaf_layout, merge_shapes
from jaxcnn.spec import Leaf, Spec, Step, interpret

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

    def leaf(at: Step, carried: tuple) -> tuple:
        shape, values, merged = carried
        output, values = leaf_layout(at.leaf, shape).output, step(at.leaf, shape, values)
        found.leaves.append(values)
        found.merged.append(merged)
        return output, values, False

    def merge(how: str, several: list[tuple]) -> tuple:
        shapes, values, _ = zip(*several, strict=True)
        return merge_shapes(how, list(shapes)), tuple(map(union, zip(*values, strict=True))), True

    def named(path: str, carried: tuple) -> tuple:
        found.nodes[path] = carried[1]
        return carried

    found.nodes[""] = interpret(net, (tuple(shape), values, False), leaf, merge, named=named)[1]
    return found
