"""Find the layer that makes the class scores, and make it anew for another number of classes."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import NamedTuple

from jaxcnn.rewrite.edit import exchange
from jaxcnn.spec import (
    Act,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    Pool,
    Position,
    RadialBasis,
    Scale,
    Spec,
    join_path,
)


class _Head(NamedTuple):
    path: str
    leaf: Dense | Conv | RadialBasis
    position: Position


def head(net: Spec) -> str:
    """The path of the layer that makes the class scores: the last Dense or RadialBasis, or a final 1x1 Conv.

    Only layers without parameters that keep the number of channels may follow it. Auxiliary heads do not count.

    Raises ValueError, naming the layer that is in the way, where there is none.
    """
    return _head(net).path


def replace_head(net: Spec, classes: int) -> Spec:
    """The network with so many outputs: its `head` made anew, to be given new parameters; the rest stays.

    Raises ValueError for a network without a head, and for a number of classes that is not a whole one from 1.
    """
    if not isinstance(classes, int) or classes < 1:
        raise ValueError(f"a head needs at least one class, not {classes}")
    found = _head(net)
    return exchange(net, found.position, changed(found.leaf, width=classes))


_NONE = "no Dense layer and no 1x1 convolution ends this network"


def _head(net: Spec) -> _Head:
    found = _find(net, "", ())
    if found is None:
        raise ValueError(f"{_NONE}: from input to output nothing changes the channels")
    return found


def _find(spec: Spec, path: str, position: Position) -> _Head | None:
    """The head, or None where all from input to output keeps the channels."""
    match spec:
        case Graph(nodes):
            places = {node.name: index for index, node in enumerate(nodes)}
            name = nodes[-1].name
            while name != "in":
                node, here = nodes[places[name]], join_path(path, name)
                if found := _find(node.spec, here, (*position, places[name])):
                    return found
                name, *others = node.inputs
                if others:
                    raise ValueError(f"{_NONE}: at {here or 'the output'!r} several values meet")
            return None
        case Dense() | RadialBasis():
            return _Head(path, spec, position)
        case Conv(kernel=kernel, groups=1) if kernel == 1 or (isinstance(kernel, tuple) and set(kernel) == {1}):
            return _Head(path, spec, position)
        case (
            Act() | Pool() | AdaptivePool() | GlobalPool() | Flatten() | Dropout() | Identity() | Scale(trainable=False)
        ):
            return None
    raise ValueError(f"{_NONE}: at {path!r} is {spec}")
