"""A network as a module of Flax NNX computes, trains and keeps its arrays as the plain functions do."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxcnn
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Identity, add, seq
from jaxcnn.weights.bridge import Network

SHAPE = (6, 6, 2)
NET = seq(
    layer1=add(seq(conv=Conv(2), bn=BatchNorm()), Identity(), then=Act()),
    items=Conv(4),  # a name that dictionaries have a use for
    bn=BatchNorm(),
    pool=GlobalPool(),
    drop=Dropout(0.4),
    fc=Dense(3),
)
X = jax.random.normal(jax.random.key(1), (5, *SHAPE))
LABELS = jnp.array([0, 2, 1, 0, 2])
PARAMS, STATS = jaxcnn.init(NET, jax.random.key(0), SHAPE)
STATS = jax.tree.map(lambda leaf: leaf + 0.3, STATS)


def module(seed: int = 7) -> Network:
    return Network(NET, PARAMS, STATS, rngs=nnx.Rngs(seed))


def same(left, right) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


def close(left, right) -> None:
    # jitted and not, the same float32 formulas are fused, and so rounded, in another way
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), left, right)


def test_arrays_come_back_to_the_bit():
    same(module().arrays(), (PARAMS, STATS))


def test_parameters_and_statistics_are_of_the_kinds_that_nnx_filters_by():
    params, stats, rest = nnx.state(module(), nnx.Param, nnx.BatchStat, ...)
    assert jax.tree.structure(nnx.to_pure_dict(params)) == jax.tree.structure({"params": PARAMS})
    same(nnx.to_pure_dict(stats)["batch_stats"], STATS)
    assert set(nnx.to_pure_dict(rest)) == {"rngs"}


def test_a_state_restored_by_nnx_is_the_network_again():
    graph, state = nnx.split(module())
    other = jax.tree.map(lambda leaf: leaf + 1 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, state)
    params, _ = nnx.merge(graph, other).arrays()
    same(params, jax.tree.map(lambda leaf: leaf + 1, PARAMS))


def test_evaluation_is_that_of_apply_and_changes_nothing():
    network = module()
    network.eval()
    same(network(X), jaxcnn.apply(NET, PARAMS, STATS, X)[0])
    close(nnx.jit(lambda network, x: network(x))(network, X), jaxcnn.apply(NET, PARAMS, STATS, X)[0])
    same(network.arrays(), (PARAMS, STATS))


def test_training_is_that_of_apply_with_a_new_key_at_each_call():
    network, keys = module(), nnx.Rngs(7)
    stats = STATS
    for _ in range(2):
        expected, stats = jaxcnn.apply(NET, PARAMS, stats, X, train=True, rng=keys.dropout())
        same(network(X), expected)
        same(network.arrays(), (PARAMS, stats))


def test_dropout_and_running_averages_are_switched_one_by_one():
    network = module()
    network.eval()
    network.set_attributes(use_running_average=False)
    plain = jaxcnn.rewrite.replace(NET, "drop", Identity())
    expected, stats = jaxcnn.apply(plain, PARAMS, STATS, X, train=True)
    same(network(X), expected)
    same(network.arrays()[1], stats)
    network = module()
    network.set_attributes(use_running_average=True)
    expected, _ = jaxcnn.apply(
        jaxcnn.rewrite.freeze(NET, ("*",))[0], PARAMS, STATS, X, train=True, rng=nnx.Rngs(7).dropout()
    )
    same(network(X), expected)
    same(network.arrays(), (PARAMS, STATS))


def entropy(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()


def test_a_step_of_an_nnx_optimizer_is_the_step_of_optax():
    network = module()
    optimizer = nnx.Optimizer(network, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def step(network, optimizer, x):
        loss, gradients = nnx.value_and_grad(lambda network: entropy(network(x)))(network)
        optimizer.update(network, gradients)
        return loss

    loss = step(network, optimizer, X)

    @jax.jit
    def plain(params, stats, key):
        def objective(params):
            logits, new = jaxcnn.apply(NET, params, stats, X, train=True, rng=key)
            return entropy(logits), new

        (loss, new), gradients = jax.value_and_grad(objective, has_aux=True)(params)
        rule = optax.adam(1e-2)
        return loss, optax.apply_updates(params, rule.update(gradients, rule.init(params))[0]), new

    expected, params, stats = plain(PARAMS, STATS, nnx.Rngs(7).dropout())
    close((loss, network.arrays()), (expected, (params, stats)))
    assert not np.allclose(network.arrays()[0]["fc"]["kernel"], PARAMS["fc"]["kernel"], atol=1e-3)
    assert float(step(network, optimizer, X)) != float(loss)  # other parameters, another dropout


def test_a_network_with_dropout_needs_keys_to_train_and_none_to_evaluate():
    network = Network(NET, PARAMS, STATS)
    with pytest.raises(ValueError, match=r"dropout in training needs keys: .*rngs=nnx\.Rngs"):
        network(X)
    network.eval()
    same(network(X), jaxcnn.apply(NET, PARAMS, STATS, X)[0])


def test_a_network_without_dropout_trains_without_keys():
    net = seq(pool=GlobalPool(), bn=BatchNorm())
    params, stats = jaxcnn.init(net, jax.random.key(0), SHAPE)
    network = Network(net, params, stats)
    network(X)
    assert not np.array_equal(network.arrays()[1]["bn"]["mean"], stats["bn"]["mean"])


def test_importing_jaxcnn_does_not_import_nnx():
    program = "import sys, jaxcnn; assert 'flax.nnx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
