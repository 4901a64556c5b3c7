"""In training, one network of each family has torchvision's loss, gradients and running statistics, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import rule
from test_goldens import HASTY, of_torchvision

import jaxcnn
from jaxcnn.bench.networks import without_dropout
from jaxcnn.zoo import NETWORKS

# float64 rounds at 1e-16; up to a million roundings meet in a gradient, and BatchNorm over the three values of a
# channel whose places have shrunk to one magnifies them. PyTorch's hard sigmoid has 1/6 as a float32 number, 3e-8 off,
# in its gradient, even that of float64.
TOLERANCE = 1e-9
TOLERANCES = {"mobilenet_v3_small": 1e-7}
HEADS = {"googlenet": ("aux2", "aux1"), "inception_v3": ("AuxLogits",)}
FAST = {"resnet18", "squeezenet1_1"}  # under 5 s each


@pytest.mark.every(2)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in rule.TRAINED]
)
def test_loss_gradients_and_running_statistics_are_torchvisions(name: str, float64):
    golden = np.load(Path(__file__).with_name("goldens") / "training.npz")
    net = jaxcnn.create(name, **({"aux": True} if name in rule.AUXILIARY else {}))
    net = without_dropout(net)
    x = jnp.asarray(rule.images(name), jnp.float64)
    # the weights are those of the network's own size: a dense layer after a pool to fixed sizes has the same
    params, stats = jax.tree.map(lambda a: a.astype(jnp.float64), of_torchvision(name, net, NETWORKS[name].input))

    def objective(params):
        result = jaxcnn.forward(net, params, stats, x, train=True)
        heads = [result.output, *(result.activations[path] for path in HEADS.get(name, ()))]
        losses = [-jax.nn.log_softmax(logits)[jnp.arange(len(x)), rule.LABELS].mean() for logits in heads]
        return losses[0] + rule.AUXILIARY.get(name, 0.0) * sum(losses[1:], jnp.zeros(())), result.batch_stats

    compiled = jax.jit(jax.value_and_grad(objective, has_aux=True), compiler_options=HASTY)
    (loss, new), gradients = compiled(params)
    np.testing.assert_allclose(loss, golden[f"{name}/loss"], rtol=TOLERANCE)
    found = jaxcnn.to_torch(net, gradients, new, NETWORKS[name].input)
    names = json.loads(str(golden[f"{name}/names"]))
    expected = dict(zip(names, golden[f"{name}/numbers"], strict=True))
    assert found.keys() == expected.keys()
    norms = [expected[key][0] for key in found if not key.endswith(("running_mean", "running_var"))]
    least = 1e-3 * float(np.median(norms))  # some gradients are nothing but rounding: a bias before a BatchNorm
    tolerance = TOLERANCES.get(name, TOLERANCE)
    for key, (size, product) in expected.items():
        values = found[key]
        directed = (values * rule.direction(key, values.shape)).sum()
        if key.endswith(("running_mean", "running_var")):
            np.testing.assert_allclose((values.mean(), directed), (size, product), rtol=TOLERANCE, atol=TOLERANCE)
        else:
            allowed = tolerance * max(size, least)
            assert abs(np.linalg.norm(values) - size) < allowed, key
            assert abs(directed - product) < allowed * np.sqrt(values.size), key
