"""Given the same weights, every network computes the logits of torchvision's or Keras's implementation.

`goldens/` holds what those computed, with weights and images that `goldens/rule.py` draws from names and shapes: at the
network's own size and at another one that is not square.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import rule

import jaxcnn
from jaxcnn import rewrite
from jaxcnn.spec import Act, BatchNorm, Conv, Leaf, Pool, Spec
from jaxcnn.weights.places import places
from jaxcnn.zoo import NETWORKS

FOLDER = Path(__file__).with_name("goldens")
KERAS = sorted({key.partition("/")[0] for key in np.load(FOLDER / "keras.npz")})
# float32 through 20 to 500 layers in another order of summation; slips cost more than 20 times as much (see SLIPS)
TOLERANCE = 3.5e-5  # of the logits' standard deviation
# compiled in haste: these programs run once
HASTY: dict[str, str | bool] = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}
HEAVY = 2_000_000_000  # multiply-accumulates: seconds each
MANY = {"nasnet_mobile"}  # layers, too
SIBLINGS = {  # of smaller ones
    "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
    "mobilenet_v3_large", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_y_800mf", "regnet_y_1_6gf",
    "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0",
}  # fmt: skip
LARGE = {"alexnet"}  # in parameters


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    heavy = name in MANY | SIBLINGS | LARGE or jaxcnn.macs(jaxcnn.create(name), NETWORKS[name].input) > HEAVY
    return [pytest.mark.slow] if heavy else []


def marked(names: list[str]) -> list:
    return [pytest.param(name, marks=marks_of(name)) for name in names]


@cache
def goldens(peer: str) -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / f"{peer}.npz"))


def of_torchvision(name: str, net: Spec, shape: tuple[int, int, int]):
    """Parameters and statistics by the rule, through the importer."""
    shapes = {place.key: place.shape for place in places(net, shape)}
    return jaxcnn.from_torch(net, rule.torch_weights(shapes, name), shape)


def of_keras(name: str, net: Spec, shape: tuple[int, ...], number: int):
    """Parameters and statistics by the rule, through the importer; `number` of the size."""
    variables = json.loads(str(goldens("keras")[f"{name}/variables{number}"]))
    arrays = rule.keras_weights([(variable, tuple(sizes)) for variable, sizes in variables])
    return jaxcnn.from_keras(net, arrays, shape)


def error_of(ours, theirs: np.ndarray) -> float:
    """The largest difference of the logits, in their standard deviations."""
    return np.abs(np.asarray(ours)[0].astype(np.float64) - theirs).max() / theirs.astype(np.float64).std()


def assert_same_logits(ours, theirs: np.ndarray) -> None:
    assert error_of(ours, theirs) < TOLERANCE


def forward(net: Spec, params, stats, shape):
    run = jax.jit(lambda params, stats, x: jaxcnn.forward(net, params, stats, x), compiler_options=HASTY)
    return run(params, stats, jnp.asarray(rule.image(shape)))


OF_TORCHVISION = [name for name, entry in NETWORKS.items() if entry.peer == "torchvision"]


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_names_and_shapes_are_those_of_torchvisions_state_dict(name: str):
    shapes = {place.key: place.shape for place in places(jaxcnn.create(name), NETWORKS[name].input)}
    assert rule.state_digest(shapes) == goldens("torchvision")[f"{name}/state"]


@pytest.mark.every(3)
@pytest.mark.parametrize("name", marked(OF_TORCHVISION))
def test_logits_and_inner_activations_are_torchvisions(name: str):
    golden, net = goldens("torchvision"), jaxcnn.create(name)
    own, other = rule.sizes(name, NETWORKS[name].input, "torchvision")
    params, stats = of_torchvision(name, net, own)
    result = forward(net, params, stats, own)
    assert_same_logits(result.output, golden[f"{name}/logits0"])
    prefix = f"{name}/inner/"
    inner = {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}
    assert inner
    for path, expected in inner.items():
        values = np.asarray(result.activations[path], np.float64).reshape(-1)
        found = values[0], values[len(values) // 2], values[-1], values.mean(), values.std()
        assert np.abs(found - expected).max() / values.std() < TOLERANCE, path
    assert_same_logits(forward(net, params, stats, other).output, golden[f"{name}/logits1"])


@pytest.mark.parametrize("name", marked(KERAS))
def test_logits_are_those_of_keras(name: str):
    golden = goldens("keras")
    net = jaxcnn.create(name, **({} if NETWORKS[name].peer == "keras" else {"variant": "keras"}))
    for number, shape in enumerate(rule.sizes(name, NETWORKS[name].input, "keras")):
        params, stats = of_keras(name, net, shape, number)
        assert_same_logits(forward(net, params, stats, shape).output, golden[f"{name}/logits{number}"])


def test_every_network_with_a_peer_has_its_goldens():
    for peer in "torchvision", "keras":
        wanted = {name for name, entry in NETWORKS.items() if entry.peer == peer}
        assert wanted <= {key.partition("/")[0] for key in goldens(peer)}
    assert sum(file.stat().st_size for file in FOLDER.glob("*.npz")) < 1_000_000  # bytes


SLIPS = {  # what is most easily got wrong, and a network that has it: leaf, right value, wrong value
    "Keras's eps": ("mobilenet_v2", BatchNorm, {"eps": 1e-5}, {"eps": 1e-3}),
    "an eps ten times too large": ("mobilenet_v2", BatchNorm, {"eps": 1e-5}, {"eps": 1e-4}),
    "ReLU for ReLU6": ("mobilenet_v2", Act, {"name": "relu6"}, {"name": "relu"}),
    "TensorFlow's padding": ("shufflenet_v2_x0_5", Conv, {"stride": 2}, {"padding": "same"}),
    "PyTorch's padding": ("mobilenet", Conv, {"stride": 2}, {"padding": "half"}),
    "pools rounded down": ("googlenet", Pool, {"ceil_mode": True}, {"ceil_mode": False}),
    "pools rounded up": ("resnet18", Pool, {"ceil_mode": False}, {"ceil_mode": True}),
    "the padding averaged too": ("nasnet_mobile", Pool, {"count_include_pad": False}, {"count_include_pad": True}),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("slip", [pytest.param(slip, marks=marks_of(name)) for slip, (name, *_) in SLIPS.items()])
def test_a_slip_is_seen(slip: str):
    name, kind, right, wrong = SLIPS[slip]

    def change(_: str, leaf: Leaf) -> Leaf:
        same = isinstance(leaf, kind) and all(getattr(leaf, field) == value for field, value in right.items())
        return replace(leaf, **wrong) if same else leaf

    net = jaxcnn.create(name)
    slipped = rewrite.map_leaves(net, change)
    assert slipped != net
    peer, own = NETWORKS[name].peer, NETWORKS[name].input
    assert peer
    params, stats = of_torchvision(name, net, own) if peer == "torchvision" else of_keras(name, net, own, 0)
    output = forward(slipped, params, stats, own).output
    assert error_of(output, goldens(peer)[f"{name}/logits0"]) > 20 * TOLERANCE
