"""The pure training step: against plain jax, masked padding, finite-number guard, devices."""

import dataclasses
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
from jaxcnn import optimizers
from jaxcnn.config import SGD, Constant, OptimizerConfig, Penalty
from jaxcnn.data.augment import MixUp
from jaxcnn.data.batches import Batch, Others
from jaxcnn.data.pixels import normalize
from jaxcnn.rewrite import ghost_batch_norm
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, seq
from jaxcnn.training.diagnosis import first_not_finite
from jaxcnn.training.steps import (
    Recipe,
    TrainState,
    empty_sums,
    eval_step,
    guarded_step,
    init_state,
    train_step,
    training_inputs,
)

NET = seq(conv=Conv(4, bias=True), bn=BatchNorm(), act=Act(), pool=GlobalPool(), fc=Dense(3))
PLAIN = optimizers.make(OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant()), 1, 1)
RECIPE = Recipe(NET, PLAIN, (0.5,), (0.25,))
IN_PARTS = dataclasses.replace(RECIPE, net=ghost_batch_norm(NET, 4))
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
    recipe = Recipe(NET, PLAIN, (0.5,), (0.25,), penalty=Penalty(l2=0.01))
    state, batch = init_state(recipe, jax.random.key(0), (6, 6, 1)), batch_of(5)

    def loss(params):
        x = normalize(batch.images, (0.5,), (0.25,))
        logits, _ = jaxcnn.apply(NET, params, state.batch_stats, x, train=True)
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels).mean()
        return entropy + 0.005 * sum(jnp.sum(params[path]["kernel"] ** 2) for path in ("conv", "fc"))

    value, gradients = jax.value_and_grad(loss)(state.params)
    after, metrics = train_step(state, batch, KEY, recipe=recipe)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradients)
    # the same float32 formulas in another order
    chex.assert_trees_all_close(after.params, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics.objective, value, rtol=1e-6)
    assert after.step == 1


def test_padding_a_batch_changes_neither_the_update_nor_the_statistics():
    state = init_state(RECIPE, jax.random.key(0), (6, 6, 1))
    short, metrics = train_step(state, batch_of(5), KEY, recipe=RECIPE)
    long, padded_metrics = train_step(state, batch_of(5, padding=3), KEY, recipe=RECIPE)
    # sums over 5 and over 5 + 3 masked examples round differently, no more
    chex.assert_trees_all_close(short.params, long.params, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(short.batch_stats, long.batch_stats, rtol=1e-5, atol=1e-6)
    assert metrics.sums["examples"] == padded_metrics.sums["examples"] == 5
    assert metrics.sums["accuracy"] == padded_metrics.sums["accuracy"]


def test_padding_does_not_count_in_evaluation():
    state = init_state(RECIPE, jax.random.key(0), (6, 6, 1))
    short = eval_step(state.params, state.batch_stats, batch_of(5), recipe=RECIPE)
    long = eval_step(state.params, state.batch_stats, batch_of(5, padding=3), recipe=RECIPE)
    np.testing.assert_allclose(short["loss"], long["loss"], rtol=1e-6)
    assert (short["confusion"] == long["confusion"]).all() and short["confusion"].sum() == 5


def test_dropout_differs_between_steps_and_repeats_for_the_same_step():
    recipe = Recipe(seq(pool=GlobalPool(), drop=Dropout(0.5), fc=Dense(3)), PLAIN, (0.5,), (0.25,))
    state = init_state(recipe, jax.random.key(0), (6, 6, 1))
    losses = [
        train_step(state.replace(step=jnp.int32(n)), batch_of(5), KEY, recipe=recipe)[1].objective for n in (0, 1, 2, 0)
    ]
    assert losses[0] == losses[3]
    assert len({float(loss) for loss in losses}) == 3


@chex.assert_max_traces(n=1)
def counted(state, sums, batch, key):
    return guarded_step(state, sums, batch, key, recipe=RECIPE)


def test_full_and_padded_batches_share_one_compilation():
    chex.clear_trace_counter()
    step = jax.jit(counted)
    state, sums = init_state(RECIPE, jax.random.key(0), (6, 6, 1)), empty_sums(RECIPE)
    for batch in batch_of(8), batch_of(5, padding=3), batch_of(8):
        state, sums = step(state, sums, batch, KEY)
    assert sums.sums["examples"] == 21 and state.step == 3


def test_after_a_step_that_is_not_finite_nothing_changes_any_more():
    step = jax.jit(partial(guarded_step, recipe=RECIPE))
    state, sums = init_state(RECIPE, jax.random.key(0), (6, 6, 1)), empty_sums(RECIPE)
    state, sums = step(state, sums, batch_of(8), KEY)
    poisoned = state.replace(params=state.params | {"fc": {"kernel": jnp.full((4, 3), jnp.inf), "bias": jnp.ones(3)}})
    after, stopped = step(poisoned, sums, batch_of(8), KEY)
    assert stopped.bad_step == 1 and stopped.sums["examples"] == 8
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
    state = init_state(RECIPE, jax.random.key(0), (6, 6, 1))
    if layer in state.params:
        changed = {name: jnp.full_like(state.params[layer][name], value) for name, value in values.items()}
        state = state.replace(params=state.params | {layer: state.params[layer] | changed})
    assert first_not_finite(RECIPE, state, batch_of(5), KEY) == expected


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, re, sys
sys.path.insert(0, "tests")
from test_steps import IN_PARTS, RECIPE, batch_of, KEY
from jaxcnn.ops import native
from jaxcnn.training.steps import init_state, empty_sums
from jaxcnn.training.devices import compiled
from jaxcnn.data import Split
assert jax.device_count() == 4
steps = compiled(RECIPE)
batch = batch_of(8)
fetch = steps.fetch(Split(np.asarray(batch.images), np.asarray(batch.labels)))
state, sums = jax.device_put((init_state(RECIPE, jax.random.key(0), (6, 6, 1)), empty_sums(RECIPE)), steps.everywhere)
ROW = np.arange(8, dtype=np.int32), np.ones(8, np.float32)
shares = next(fetch([ROW])).images.addressable_shards
assert len({share.device.id for share in shares}) == 4 and {share.data.shape for share in shares} == {(2, 6, 6, 1)}
whole = [x for x in jax.live_arrays() if x.shape == (8, 6, 6, 1) and len(x.devices()) > 1]
assert not any(x.is_fully_replicated for x in whole)  # no device has all
for _ in range(3):
    state, sums = steps.train(state, sums, next(fetch([ROW])), KEY)
numbers = [sums.sums["loss"], *state.params["fc"]["kernel"].ravel(), *state.batch_stats["bn"]["var"]]
print(" ".join(repr(float(number)) for number in numbers))
with native.switched("0"):  # a call of C++ is not cut up: XLA would gather the whole batch for it
    steps = compiled(IN_PARTS)
    begin = init_state(IN_PARTS, jax.random.key(0), (6, 6, 1)), empty_sums(IN_PARTS)
    state, sums = jax.device_put(begin, steps.everywhere)
    arguments = state, sums, next(fetch([ROW])), KEY
    step = jax.jit(steps.train).lower(*arguments).compile()
    print("|".join(line for line in step.as_text().splitlines() if re.search(r" (all-reduce|all-gather)\\(", line)))
    state, sums = step(*arguments)
    numbers = [*state.params["conv"]["kernel"].ravel(), *state.batch_stats["bn"]["var"]]
    print(" ".join(repr(float(number)) for number in numbers))
"""


@pytest.mark.thorough
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
    out, talk, of_parts = out.splitlines()
    step = jax.jit(partial(guarded_step, recipe=RECIPE))
    state, sums = init_state(RECIPE, jax.random.key(0), (6, 6, 1)), empty_sums(RECIPE)
    for _ in range(3):
        state, sums = step(state, sums, batch_of(8), KEY)
    expected = [sums.sums["loss"], *state.params["fc"]["kernel"].ravel(), *state.batch_stats["bn"]["var"]]
    # BatchNorm over a sharded batch is the mean over all devices; only the order of the sums differs
    np.testing.assert_allclose(np.array(out.split(), float), np.array(expected, float), rtol=1e-5, atol=1e-6)
    # where each device normalizes its part, none waits for the others but for the gradients, once
    of_channels = [line for line in talk.split("|") if "f32[4]" in line]
    assert len(of_channels) == 1 and "f32[1,3,3,4]" in of_channels[0] and "all-gather" not in talk
    one, _ = trained(IN_PARTS, steps=1)
    expected = [*one.params["conv"]["kernel"].ravel(), *one.batch_stats["bn"]["var"]]
    np.testing.assert_allclose(np.array(of_parts.split(), float), np.array(expected, float), rtol=1e-5, atol=1e-6)


def like(recipe: Recipe, **changes) -> Recipe:
    return dataclasses.replace(recipe, **changes)


UNNORMALIZED = like(RECIPE, net=seq(conv=Conv(4), act=Act(), pool=GlobalPool(), fc=Dense(3)))


def trained(recipe: Recipe, steps: int = 3, size: int = 8, padding: int = 0) -> tuple[TrainState, dict]:
    state, sums = init_state(recipe, jax.random.key(0), (6, 6, 1)), empty_sums(recipe)
    step = jax.jit(partial(guarded_step, recipe=recipe))
    for _ in range(steps):
        state, sums = step(state, sums, batch_of(size, padding=padding), KEY)
    return state, sums.sums


@pytest.mark.parametrize("padding", [0, 3])
def test_a_batch_in_parts_gives_the_update_of_the_whole(padding):
    whole, sums = trained(UNNORMALIZED, size=8 - padding, padding=padding)
    parts, of_parts = trained(like(UNNORMALIZED, parts=4), size=8 - padding, padding=padding)
    # the same float32 sums over examples, in another order
    chex.assert_trees_all_close(whole.params, parts.params, rtol=1e-5, atol=1e-6)
    assert sums["examples"] == of_parts["examples"] == 3 * (8 - padding)
    np.testing.assert_allclose(sums["loss"], of_parts["loss"], rtol=1e-5)


def test_parts_whose_examples_are_all_padding_move_no_statistics():
    state, _ = trained(like(RECIPE, parts=4), steps=1, size=1, padding=3)
    one, _ = trained(RECIPE, steps=1, size=1)
    chex.assert_trees_all_close(state.batch_stats, one.batch_stats, rtol=1e-5)


def test_averages_are_those_of_the_parameters_after_each_step():
    recipe = like(RECIPE, ema=0.5)
    step, state = jax.jit(partial(train_step, recipe=recipe)), init_state(recipe, jax.random.key(0), (6, 6, 1))
    expected = (state.params, state.batch_stats)
    for count in range(12):
        state, _ = step(state, batch_of(8), KEY)
        keep = min(0.5, (1 + count) / (10 + count))
        expected = jax.tree.map(
            lambda old, new, keep=keep: keep * old + (1 - keep) * new, expected, (state.params, state.batch_stats)
        )
    chex.assert_trees_all_close(state.average, expected, rtol=1e-5, atol=1e-7)  # float32 sums of twelve
    assert state.model is state.average


def test_in_bfloat16_parameters_statistics_and_losses_are_float32_and_the_step_is_near():
    narrow, sums = trained(like(RECIPE, dtype="bfloat16"), steps=1)
    wide, of_wide = trained(RECIPE, steps=1)
    kinds = {
        leaf.dtype for leaf in jax.tree.leaves((narrow.params, narrow.batch_stats, narrow.opt_state, sums["loss"]))
    }
    assert kinds <= {np.dtype("float32"), np.dtype("int32")}
    # bfloat16 rounds to 8 bits: 2^-9 a number, some ten roundings deep, times a rate of 0.1
    chex.assert_trees_all_close(narrow.params, wide.params, atol=0.02)
    chex.assert_trees_all_close(narrow.batch_stats, wide.batch_stats, atol=0.02)
    np.testing.assert_allclose(sums["loss"], of_wide["loss"], rtol=0.02)
    assert (narrow.params["conv"]["kernel"] != wide.params["conv"]["kernel"]).any()


def test_the_loss_of_mixtures_is_that_of_both_labels_by_their_shares():
    recipe = like(RECIPE, augment=(MixUp(1.0),))
    batch, other = batch_of(8), batch_of(8)
    order = np.roll(np.arange(8), -1)
    others = Others(other.images[order], other.labels[order], other.ids[order])
    state = init_state(recipe, jax.random.key(0), (6, 6, 1))
    images, mixed = training_inputs(recipe, batch._replace(others=others), KEY)
    assert mixed.others is not None and mixed.others.share is not None
    share = np.asarray(mixed.others.share)
    one, two = (np.asarray(normalize(part, recipe.mean, recipe.std)) for part in (batch.images, others.images))
    expected = share[:, None, None, None] * one + (1 - share)[:, None, None, None] * two
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)  # float32
    _, metrics = train_step(state, batch._replace(others=others), KEY, recipe=recipe)
    logits, _ = jaxcnn.apply(recipe.net, state.params, state.batch_stats, images, train=True)
    log_p = np.asarray(jax.nn.log_softmax(logits))
    rows = np.arange(8)
    losses = -share * log_p[rows, batch.labels] - (1 - share) * log_p[rows, others.labels]
    np.testing.assert_allclose(metrics.sums["loss"], losses.sum(), rtol=1e-5)
