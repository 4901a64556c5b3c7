"""The pure training step: against plain jax, masked padding, finite-number guard, devices."""

import subprocess
import sys
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxcnn
from jaxcnn import optimizer
from jaxcnn.config import LossConfig, OptimizerConfig
from jaxcnn.data.augment import normalize
from jaxcnn.data.batches import Batch
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, seq
from jaxcnn.steps import Task, empty_sums, eval_step, first_not_finite, guarded_step, init_state, train_step

NET = seq(conv=Conv(4, bias=True), bn=BatchNorm(), act=Act(), pool=GlobalPool(), fc=Dense(3))
SGD = optimizer.make(OptimizerConfig("sgd", lr=0.1, schedule="constant", momentum=0.0), 1, 1)
TASK = Task(NET, SGD, (0.5,), (0.25,))
KEY = jax.random.key(5)


def batch_of(count, padding=0):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)
    labels = rng.integers(0, 3, count, dtype=np.int32)
    garbage = rng.integers(0, 256, (padding, 6, 6, 1), dtype=np.uint8)
    return Batch(
        jnp.asarray(np.concatenate([images, garbage])),
        jnp.asarray(np.concatenate([labels, np.zeros(padding, np.int32)])),
        jnp.asarray([1.0] * count + [0.0] * padding),
        jnp.arange(count + padding, dtype=jnp.int32),
    )


def test_a_step_is_the_gradient_of_the_mean_cross_entropy_plus_penalties():
    task = Task(NET, SGD, (0.5,), (0.25,), LossConfig(l2=0.01))
    state, batch = init_state(task, jax.random.key(0), (6, 6, 1)), batch_of(5)

    def loss(params):
        x = normalize(batch.images, (0.5,), (0.25,))
        logits, _ = jaxcnn.apply(NET, params, state.batch_stats, x, train=True)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean()
        return entropy + 0.005 * sum(jnp.sum(params[path]["kernel"] ** 2) for path in ("conv", "fc"))

    value, gradients = jax.value_and_grad(loss)(state.params)
    after, metrics = train_step(state, batch, KEY, task=task)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradients)
    # the same float32 formulas in another order
    chex.assert_trees_all_close(after.params, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics.loss, value, rtol=1e-6)
    assert after.step == 1


def test_padding_a_batch_changes_neither_the_update_nor_the_statistics():
    state = init_state(TASK, jax.random.key(0), (6, 6, 1))
    short, metrics = train_step(state, batch_of(5), KEY, task=TASK)
    long, padded_metrics = train_step(state, batch_of(5, padding=3), KEY, task=TASK)
    # sums over 5 and over 5 + 3 masked examples round differently, no more
    chex.assert_trees_all_close(short.params, long.params, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(short.batch_stats, long.batch_stats, rtol=1e-5, atol=1e-6)
    assert metrics.examples == padded_metrics.examples == 5
    assert metrics.correct == padded_metrics.correct


def test_padding_does_not_count_in_evaluation():
    state = init_state(TASK, jax.random.key(0), (6, 6, 1))
    short = eval_step(state.params, state.batch_stats, batch_of(5), task=TASK)
    long = eval_step(state.params, state.batch_stats, batch_of(5, padding=3), task=TASK)
    np.testing.assert_allclose(short.loss, long.loss, rtol=1e-6)
    assert (short.confusion == long.confusion).all() and short.confusion.sum() == 5


def test_dropout_differs_between_steps_and_repeats_for_the_same_step():
    task = Task(seq(pool=GlobalPool(), drop=Dropout(0.5), fc=Dense(3)), SGD, (0.5,), (0.25,))
    state = init_state(task, jax.random.key(0), (6, 6, 1))
    losses = [train_step(state.replace(step=jnp.int32(n)), batch_of(5), KEY, task=task)[1].loss for n in (0, 1, 2, 0)]
    assert losses[0] == losses[3]
    assert len({float(loss) for loss in losses}) == 3


@chex.assert_max_traces(n=1)
def counted(state, sums, batch, key):
    return guarded_step(state, sums, batch, key, task=TASK)


def test_full_and_padded_batches_share_one_compilation():
    chex.clear_trace_counter()
    step = jax.jit(counted)
    state, sums = init_state(TASK, jax.random.key(0), (6, 6, 1)), empty_sums()
    for batch in batch_of(8), batch_of(5, padding=3), batch_of(8):
        state, sums = step(state, sums, batch, KEY)
    assert sums.examples == 21 and state.step == 3


def test_after_a_step_that_is_not_finite_nothing_changes_any_more():
    step = jax.jit(partial(guarded_step, task=TASK))
    state, sums = init_state(TASK, jax.random.key(0), (6, 6, 1)), empty_sums()
    state, sums = step(state, sums, batch_of(8), KEY)
    poisoned = state.replace(params=state.params | {"fc": {"kernel": jnp.full((4, 3), jnp.inf), "bias": jnp.ones(3)}})
    after, stopped = step(poisoned, sums, batch_of(8), KEY)
    assert stopped.bad_step == 1 and stopped.examples == 8
    chex.assert_trees_all_equal(after, poisoned)
    healthy, still = step(state, stopped, batch_of(8), KEY)
    assert still.bad_step == 1
    chex.assert_trees_all_equal(healthy, state)


@pytest.mark.parametrize(
    ("layer", "values", "expected"),
    [
        ("fc", {"kernel": jnp.inf}, "the parameters of layer 'fc'"),
        ("conv", {"kernel": 3e38}, "the output of layer 'conv'"),
        ("fc", {"kernel": 3e38}, "the output of layer 'fc'"),
        ("none", {}, "the update"),
    ],
)
def test_the_first_layer_that_is_not_finite_is_named(layer, values, expected):
    state = init_state(TASK, jax.random.key(0), (6, 6, 1))
    if layer in state.params:
        changed = {name: jnp.full_like(state.params[layer][name], value) for name, value in values.items()}
        state = state.replace(params=state.params | {layer: state.params[layer] | changed})
    assert first_not_finite(TASK, state, batch_of(5), KEY) == expected


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, sys
sys.path.insert(0, "tests")
from test_steps import TASK, batch_of, KEY
from jaxcnn.steps import init_state, empty_sums
from jaxcnn.devices import compiled
from jaxcnn.data import Split
assert jax.device_count() == 4
steps = compiled(TASK)
batch = batch_of(8)
fetch = steps.fetch(Split(np.asarray(batch.images), np.asarray(batch.labels)))
state, sums = jax.device_put((init_state(TASK, jax.random.key(0), (6, 6, 1)), empty_sums()), steps.everywhere)
assert len(fetch(np.arange(8), np.ones(8, np.float32)).images.sharding.device_set) == 4
for _ in range(3):
    state, sums = steps.train(state, sums, fetch(np.arange(8, dtype=np.int32), np.ones(8, np.float32)), KEY)
numbers = [sums.loss, *state.params["fc"]["kernel"].ravel(), *state.batch_stats["bn"]["var"]]
print(" ".join(repr(float(number)) for number in numbers))
"""


def test_four_devices_train_as_one_does():
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    import os

    out = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    step = jax.jit(partial(guarded_step, task=TASK))
    state, sums = init_state(TASK, jax.random.key(0), (6, 6, 1)), empty_sums()
    for _ in range(3):
        state, sums = step(state, sums, batch_of(8), KEY)
    expected = [sums.loss, *state.params["fc"]["kernel"].ravel(), *state.batch_stats["bn"]["var"]]
    # BatchNorm over a sharded batch is the mean over all devices; only the order of the sums differs
    np.testing.assert_allclose(np.array(out.split(), float), np.array(expected, float), rtol=1e-5, atol=1e-6)
