"""Every layer through every reading: each one answers or refuses, and none guesses."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import layout, rewrite, spec
from jaxcnn.forward_pass import Mode, _leaf
from jaxcnn.readings import cost
from jaxcnn.readings.cost import layers, macs
from jaxcnn.readings.diagram import diagram
from jaxcnn.readings.picture import described, dot
from jaxcnn.readings.receptive import field, receptive_field
from jaxcnn.readings.receptive.places import places_read
from jaxcnn.readings.summary import summary, summary_csv, summary_json
from jaxcnn.spec import Graph, Leaf, Node, Spec, add, seq
from jaxcnn.spec.word import word
from jaxcnn.training.shares import kind_of
from jaxcnn.visualize.paths import makes_features
from jaxcnn.weights import order
from jaxcnn.weights.keras_order import keras_layers
from jaxcnn.weights.order import flattened_orders
from jaxcnn.weights.places import places

IMAGE, VECTOR = (6, 5, 4), (8,)

# One of each, with settings that are not the defaults where those would do nothing.
SAMPLES: dict[type, Leaf] = {type(leaf): leaf for leaf in (
    spec.Conv(6, (3, 2), (2, 1), groups=2, bias=True), spec.ConvTranspose(6, 3, 2, 1, 1, groups=2), spec.Dense(3),
    spec.BatchNorm(), spec.LayerNorm(), spec.LocalResponseNorm(3), spec.Act("tanh"), spec.Pool("max", 3, 2, 1),
    spec.AdaptivePool((2, 3)), spec.GlobalPool(), spec.Dropout(0.5), spec.StochasticDepth(0.5), spec.Shuffle(2),
    spec.Upsample(2, "bilinear"), spec.Pad(((1, 2), (0, -1)), 3.0), spec.Channels(1, 3), spec.Scale(0.5, True),
    spec.Bias(per_place=True), spec.RadialBasis(3), spec.Flatten(), spec.Identity(),
)}  # fmt: skip
FOR_VECTORS = (spec.Dense, spec.RadialBasis)


def input_of(leaf: Leaf) -> tuple[int, ...]:
    return VECTOR if isinstance(leaf, FOR_VECTORS) else IMAGE


def _applied(net: Spec, shape: tuple[int, ...], train: bool) -> Any:
    params, stats = jaxcnn.init(net, jax.random.key(0), shape)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), jnp.float32)
    return jaxcnn.apply(net, params, stats, x, train=train, rng=jax.random.key(1))


# What can be asked of a network; the test below it fails where the library has a reading that is not here.
READINGS: dict[str, Callable[[Spec, tuple[int, ...]], Any]] = {
    "walk": jaxcnn.walk,
    "output_shape": jaxcnn.output_shape,
    "abstract": jaxcnn.abstract,
    "init": lambda net, shape: jaxcnn.init(net, jax.random.key(0), shape),
    "apply": lambda net, shape: _applied(net, shape, train=True),
    "forward": lambda net, shape: _applied(net, shape, train=False),
    "features": lambda net, shape: _applied(net, shape, train=False),
    "macs": macs,
    "layers": layers,
    "summary": summary,
    "summary_csv": summary_csv,
    "summary_json": summary_json,
    "dot": dot,
    "diagram": diagram,
    "receptive_field": receptive_field,
    "fields": receptive_field,
    "boxes": lambda net, shape: receptive_field(net, shape, "", None if len(shape) > 3 else _first_unit(net, shape)),
    "flattened_orders": flattened_orders,
    "places": lambda net, shape: list(places(net, shape)),
    "keras_layers": keras_layers,
    "to_torch": lambda net, shape: jaxcnn.to_torch(net, *jaxcnn.init(net, jax.random.key(0), shape), shape),
    "map_leaves": lambda net, shape: rewrite.map_leaves(net, lambda path, leaf: leaf),
    "fold_batch_norm": lambda net, shape: rewrite.fold_batch_norm(net, *jaxcnn.init(net, jax.random.key(0), shape)),
    "freeze": lambda net, shape: rewrite.freeze(net, ["*"]),
    "described": lambda net, shape: [described(step.leaf) for step in spec.steps(net)],
    "places_read": lambda net, shape: [
        places_read(step.leaf, shape, axis) for step in spec.steps(net) for axis in range(len(shape) - 1)
    ],
    "has_arrays": lambda net, shape: [spec.has_arrays(step.leaf) for step in spec.steps(net)],
    "has_state": lambda net, shape: [spec.has_state(step.leaf) for step in spec.steps(net)],
    "is_random": lambda net, shape: [spec.is_random(step.leaf) for step in spec.steps(net)],
    "makes_features": lambda net, shape: [makes_features(step.leaf) for step in spec.steps(net)],
    "kind_of": lambda net, shape: [kind_of(step.leaf) for step in spec.steps(net)],
}
# What takes a network in those folders but no answer of a layer: it moves nodes, or asks one of the above.
NOT_OF_LEAVES = {
    "output_at",
    "cut", "replace", "exchange", "map_positions", "head", "replace_head", "follow", "leaf_layout", "parameter_count",
    "key_at", "row_macs", "place_at", "image_at", "stages", "before_activation", "last_hidden", "rewire", "in_blocks",
    "stochastic_depth", "ghost_batch_norm", "check_same_parameters",
}  # fmt: skip


def _first_unit(net: Spec, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (0,) * max(len(jaxcnn.output_shape(net, shape)) - 1, len(shape) - 1 if len(shape) > 1 else 0)


every_leaf = pytest.mark.parametrize("kind", get_args(Leaf), ids=lambda kind: kind.__name__)
every_reading = pytest.mark.parametrize("reading", READINGS)


def test_every_layer_has_a_sample():
    assert set(SAMPLES) == set(get_args(Leaf))


def test_every_reading_is_here():
    """Public functions of the heart, the readings and the rewritings whose first argument is a network or a leaf."""
    root, found = Path(jaxcnn.__file__).parent, set()
    files = [root / "layout.py", root / "forward_pass.py", *root.glob("readings/**/*.py"), *root.glob("rewrite/*.py")]
    files += [root / "weights" / name for name in ("order.py", "keras_order.py", "places.py")]
    files += [root / "spec" / "traits.py", root / "training" / "shares.py", root / "visualize" / "paths.py"]
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.args.args:
                first = node.args.args[0].annotation
                if first is not None and ast.unparse(first) in ("Spec", "Leaf", "spec.Spec", "spec.Leaf"):
                    found.add(node.name)
    assert found - NOT_OF_LEAVES <= set(READINGS)


@every_reading
@every_leaf
def test_every_reading_answers_for_every_layer(kind: type, reading: str):
    leaf = SAMPLES[kind]
    before = {"pool": spec.GlobalPool()} if isinstance(leaf, FOR_VECTORS) else {}
    assert READINGS[reading](seq(**before, layer=leaf), IMAGE) is not None


@every_reading
@every_leaf
def test_every_reading_answers_inside_a_network(kind: type, reading: str):
    """Between a convolution and a classifier, beside a shortcut: where a wrong guess would show."""
    leaf = SAMPLES[kind]
    if isinstance(leaf, FOR_VECTORS):
        net: Spec = seq(conv=spec.Conv(4), pool=spec.GlobalPool(), layer=leaf, act=spec.Act())
    else:
        net = seq(conv=spec.Conv(4), layer=leaf, act=spec.Act())
        if jaxcnn.output_shape(leaf, IMAGE) == IMAGE:
            net = add(net, spec.Identity(), then=spec.GlobalPool())
    assert READINGS[reading](net, IMAGE) is not None


@word
class Blur:
    """A layer that no reading knows: the mean of 3x3 places."""

    size: int = 3


@every_reading
def test_no_reading_guesses_what_an_unknown_layer_does(reading: str):
    """A default would be wrong in silence: two blurs after a 3x3 convolution had the field 3 instead of 7."""
    net = object.__new__(Graph)  # the words themselves refuse it
    nodes = (Node("conv", spec.Conv(4)), Node("layer", spec.Identity(), ("conv",)))
    object.__setattr__(nodes[1], "spec", Blur())
    object.__setattr__(net, "nodes", nodes)
    object.__setattr__(net, "_hash", 0)
    if reading in ("map_leaves", "fold_batch_norm", "freeze", "described"):  # what they do holds for any layer
        pytest.skip("answers for every layer alike")
    with pytest.raises(TypeError, match=r"Blur\(.*\) is not a layer of jaxcnn.spec"):
        READINGS[reading](net, IMAGE)


def test_an_unknown_layer_is_no_part_of_a_network():
    with pytest.raises(TypeError, match=r"Node.spec must be a layer or a graph, not Blur\(\)"):
        seq(blur=cast(Leaf, Blur()))


@every_leaf
def test_the_traits_are_what_the_layer_does(kind: type):
    """Perturb one place, or one channel, and look where the output changes; draw its arrays; run it twice."""
    leaf = SAMPLES[kind]
    shape = input_of(leaf)
    params, stats = jaxcnn.init(leaf, jax.random.key(0), shape)
    assert spec.has_arrays(leaf) == bool(params or stats)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), jnp.float32)

    def run(x: jax.Array, key: int = 0, train: bool = False) -> np.ndarray:
        return np.asarray(jaxcnn.apply(leaf, params, stats, x, train=train, rng=jax.random.key(key))[0])

    assert spec.is_random(leaf) == any((run(x, 0, True) != run(x, key, True)).any() for key in range(1, 9))
    new = jaxcnn.apply(leaf, params, stats, x, train=True, rng=jax.random.key(0))[1]
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(stats), strict=True)
    assert spec.has_state(leaf) == any(bool((after != before).any()) for after, before in pairs)
    if len(shape) == 3:
        moved = run(x.at[:, 3, 2].add(1.0)) != run(x)
        kept = moved.shape[1:3] == IMAGE[:2] and moved.ndim == 4
        alone = kept and {(int(i), int(j)) for _, i, j, _ in np.argwhere(moved)} <= {(3, 2)}
        assert isinstance(leaf, spec.KeepsPlaces) == alone
    shuffled = np.array([2, 0, 3, 1, *range(4, shape[-1])])
    try:
        permuted = jax.tree.map(lambda array: array[..., shuffled], (params, stats))
        y = jaxcnn.apply(leaf, *permuted, x[..., shuffled])[0]
        same = np.allclose(y, run(x)[..., shuffled], atol=1e-6)  # float32; another order of channels moves them by 0.1
    except (ValueError, IndexError, TypeError):  # arrays that have no channels to put into another order
        same = False
    if not isinstance(leaf, spec.Flatten):  # of an image it is another question: weights/order.py answers it
        assert isinstance(leaf, spec.KeepsChannels) == same


# The functions that say what one layer is to a reading. What only one of them does not know must not pass for known.
CLOSED: dict[str, Callable[[Any], Any]] = {
    "leaf_layout": lambda leaf: layout.leaf_layout(leaf, IMAGE),
    "forward": lambda leaf: _leaf(leaf, {}, {}, jnp.ones((1, *IMAGE)), Mode(), ""),
    "row_macs": lambda leaf: cost.row_macs(layout.Row("", leaf, IMAGE, layout.Layout(IMAGE))),
    "field": lambda leaf: field._after(leaf, IMAGE, (field.Field(), field.Field())),
    "places_read": lambda leaf: places_read(leaf, IMAGE, 0),
    "order": lambda leaf: order._after(leaf, order.Ordered(VECTOR, np.arange(8))),
    "has_arrays": spec.has_arrays,
    "has_state": spec.has_state,
    "is_random": spec.is_random,
    "kind_of": kind_of,
    "makes_features": makes_features,
}


@pytest.mark.parametrize("function", CLOSED)
def test_what_only_one_function_does_not_know_it_refuses(function: str):
    with pytest.raises(TypeError, match=r"Blur\(\) is not a layer of jaxcnn.spec"):
        CLOSED[function](Blur())


def test_every_closed_function_is_here():
    root = Path(jaxcnn.__file__).parent
    calls = [re.findall(r"\bunknown\((?:row\.)?leaf\)", file.read_text()) for file in root.rglob("*.py")]
    assert sum(map(len, calls)) == len(CLOSED)
