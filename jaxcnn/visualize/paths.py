"""What can be looked at in a network: its paths, where it still has an image, what stands before an activation."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import lru_cache
from typing import NamedTuple

from jaxcnn import rewrite, spec
from jaxcnn.layout import Shape, leaf_layout, merge_shapes, output_shape, times
from jaxcnn.rewrite.edit import suggestion
from jaxcnn.spec import Graph, Identity, Leaf, Spec, Step, interpret


class Place(NamedTuple):
    """A named activation: its shape, (H, W, C), and whether a layer with features of its own makes it."""

    shape: Shape
    made: bool


class _Value(NamedTuple):
    shape: Shape
    made: bool
    paths: frozenset[str]  # of what it is computed from


def places(net: Spec, shape: Shape, *, used: bool = False) -> dict[str, Place]:
    """Every named activation of a network over images of `shape`, in order; `used`: those that its output needs."""
    found, needed = _walked(net, tuple(shape))
    return {path: place for path, place in found if path in needed or not used}


def output_at(net: Spec, shape: Shape) -> Shape:
    """The shape of a network's output for one image of `shape`."""
    return _output(net, tuple(shape))


@lru_cache(64)  # asked several times of every explanation, which may take no longer than the walk
def _output(net: Spec, shape: Shape) -> Shape:
    return output_shape(net, shape)


@lru_cache(64)
def _walked(net: Spec, shape: Shape) -> tuple[tuple[tuple[str, Place], ...], frozenset[str]]:
    """Every named activation in order, and the paths of those that the output is computed from."""
    found: dict[str, Place] = {}

    def leaf(step: Step, value: _Value) -> _Value:
        made = value.made if isinstance(step.leaf, Identity) else makes_features(step.leaf)
        return _Value(leaf_layout(step.leaf, value.shape).output, made, value.paths)

    def merge(how: str, values: list[_Value]) -> _Value:
        return _Value(merge_shapes(how, [value.shape for value in values]), True, frozenset().union(*_paths(values)))

    def named(path: str, value: _Value) -> _Value:
        found[path] = Place(value.shape, value.made)
        return value._replace(paths=value.paths | {path})

    end = interpret(net, _Value(shape, False, frozenset()), leaf, merge, named=named)
    return tuple(found.items()), end.paths


def makes_features(leaf: Leaf) -> bool:
    """Whether a layer makes features of its own: the map at one that does not is the map before it, or coarser."""
    match leaf:
        case (
            spec.AdaptivePool() | spec.Dropout() | spec.GlobalPool() | spec.Identity() | spec.Pad() | spec.Pool()
            | spec.StochasticDepth() | spec.Upsample()
        ):  # fmt: skip
            return False
        case (
            spec.Act() | spec.BatchNorm() | spec.Bias() | spec.Channels() | spec.Conv() | spec.ConvTranspose()
            | spec.Dense() | spec.Flatten() | spec.LayerNorm() | spec.LocalResponseNorm() | spec.RadialBasis()
            | spec.Scale() | spec.Shuffle()
        ):  # fmt: skip
            return True
        case _:
            spec.unknown(leaf)


def _paths(values: list[_Value]) -> list[frozenset[str]]:
    return [value.paths for value in values]


def place_at(net: Spec, shape: Shape, path: str) -> Place:
    """The named activation at a path. Raises ValueError for a path that the network does not have."""
    found = places(net, shape)
    if path not in found:
        raise ValueError(f"no layer is called {path!r}{suggestion(path, list(found))}")
    return found[path]


def image_at(net: Spec, shape: Shape, path: str) -> Shape:
    """The shape at a path where the network has an image still. Raises ValueError for another path."""
    place = place_at(net, shape, path).shape
    if len(place) != 3 or place[0] * place[1] == 1:
        raise ValueError(f"layer {path!r} has no map, but {times(place)}: choose one before the places are pooled away")
    return place


def stages(net: Spec, shape: Shape) -> list[str]:
    """For every size of image inside a network its last features, from the largest to the smallest.

    Only what the output is computed from counts: no auxiliary heads. Raises ValueError for a network that has no image
    inside.
    """
    last: dict[Shape, str] = {}
    for path, (size, made) in places(net, shape, used=True).items():
        if made and len(size) == 3 and size[0] * size[1] > 1:
            last[size[:-1]] = path
    if not last:
        raise ValueError("this network has no layer whose output is an image of more than one place")
    return list(last.values())


def before_activation(net: Spec, path: str) -> Spec:
    """The network up to a path, without the activation that stands last there, if one does.

    A unit that an activation has silenced has no gradient; what comes into that activation has one. Raises ValueError
    for a path that the network does not have.
    """
    return _without_activation(rewrite.cut(net, path))


def _without_activation(net: Spec) -> Spec:
    if isinstance(net, spec.Act):
        return Identity()
    if not isinstance(net, Graph):
        return net
    *nodes, last = net.nodes
    return Graph((*nodes, changed(last, spec=_without_activation(last.spec))))


def last_hidden(net: Spec) -> Spec:
    """The network up to what its head reads: the vector of an image. Raises ValueError where it has no head."""
    head = rewrite.head(net)
    return rewrite.cut(rewrite.replace(net, head, Identity()), head) if head else Identity()


def rewire(net: Spec, rule: str) -> Spec:
    """The network whose rectifiers send back what a rule makes of a gradient: "guided" or "deconvnet".

    "guided" (Springenberg et al. 2015) lets through what is positive where the rectifier's input was; "deconvnet"
    (Zeiler and Fergus 2014) lets through what is positive, wherever. Raises ValueError, naming the layer, for another
    activation than relu: there the rules say nothing.
    """

    def rewired(path: str, leaf: Leaf) -> Leaf:
        if not isinstance(leaf, spec.Act):
            return leaf
        if leaf.name != "relu":
            raise ValueError(
                f"{rule} is defined for relu, but {path!r} is {leaf.name}: gradcam, saliency, integrated_gradients and "
                "occlusion take any network"
            )
        return spec.Act("relu", rule)  # type: ignore[arg-type]

    return rewrite.map_leaves(net, rewired)
