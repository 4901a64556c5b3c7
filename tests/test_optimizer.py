"""Schedules and update rules against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import optimizer
from jaxcnn.config import OptimizerConfig
from jaxcnn.errors import InputError

PARAMS = {
    "conv": {"kernel": jnp.array([2.0, -4.0]), "bias": jnp.array([3.0])},
    "bn": {"scale": jnp.array([5.0])},
}
GRADIENTS = jax.tree.map(lambda x: 0.1 * x + 0.3, PARAMS)
# float32 arithmetic of a handful of operations
CLOSE = {"rtol": 1e-5}


def rates(config, steps=4, epochs=5):
    values = optimizer.schedule(config, steps, epochs)
    return np.array([float(values(step)) for step in range(steps * epochs)])


def test_constant_schedule():
    np.testing.assert_allclose(rates(OptimizerConfig(lr=0.5, schedule="constant")), 0.5)


def test_cosine_schedule_falls_from_lr_towards_zero():
    expected = 0.5 * 0.5 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose(rates(OptimizerConfig(lr=0.5, schedule="cosine")), expected, **CLOSE)


def test_warmup_rises_in_a_straight_line_and_learns_from_the_first_step_on():
    values = rates(OptimizerConfig(lr=0.5, schedule="cosine", warmup_epochs=1))
    np.testing.assert_allclose(values[:4], [0.125, 0.25, 0.375, 0.5], **CLOSE)
    np.testing.assert_allclose(values[4:], 0.25 * (1 + np.cos(np.pi * np.arange(16) / 16)), **CLOSE)


@pytest.mark.parametrize("warmup", [0, 1])
def test_step_schedule_falls_after_the_given_epochs(warmup):
    config = OptimizerConfig(lr=1.0, schedule="step", step_epochs=(2, 4), step_factor=0.1, warmup_epochs=warmup)
    values = rates(config)
    np.testing.assert_allclose(values[4:], [1.0] * 4 + [0.1] * 8 + [0.01] * 4, **CLOSE)


def one_update(config):
    rule = optimizer.make(config, 4, 5)
    return rule.update(GRADIENTS, rule.init(PARAMS), PARAMS)[0]


def test_sgd_with_nesterov_looks_ahead_along_the_momentum():
    updates = one_update(OptimizerConfig("sgd", lr=0.1, schedule="constant", momentum=0.9))
    # the first velocity is g, and Nesterov steps along g + 0.9 * velocity
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * 1.9 * g, **CLOSE), updates, GRADIENTS)


def test_sgd_without_nesterov_and_without_momentum():
    plain = one_update(OptimizerConfig("sgd", lr=0.1, schedule="constant", momentum=0.0))
    heavy = one_update(OptimizerConfig("sgd", lr=0.1, schedule="constant", nesterov=False))
    for updates in plain, heavy:
        jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * g, **CLOSE), updates, GRADIENTS)


def test_first_step_of_adam_is_the_learning_rate_in_the_direction_of_the_sign():
    updates = one_update(OptimizerConfig("adam", lr=0.1, schedule="constant"))
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * np.sign(g), **CLOSE), updates, GRADIENTS)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_decoupled_weight_decay_shrinks_kernels_alone_by_lr_times_decay(name):
    with_decay = one_update(OptimizerConfig(name, lr=0.1, schedule="constant", weight_decay=0.5))
    without = one_update(OptimizerConfig(name, lr=0.1, schedule="constant"))
    np.testing.assert_allclose(
        with_decay["conv"]["kernel"] - without["conv"]["kernel"],
        -0.1 * 0.5 * PARAMS["conv"]["kernel"],
        **CLOSE,
    )
    assert (with_decay["conv"]["bias"] == without["conv"]["bias"]).all()
    assert (with_decay["bn"]["scale"] == without["bn"]["scale"]).all()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"lr": 0.0}, "lr must be positive"),
        ({"name": "adam", "weight_decay": 0.1}, "use adamw"),
        ({"schedule": "step"}, "step_epochs"),
        ({"momentum": 1.0}, "momentum must be in"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        OptimizerConfig(**fields)


TREES = {
    "both": {"conv": {"kernel": np.ones((3, 2)), "bias": np.ones(2)}, "bn": {"scale": np.ones(5), "bias": np.ones(5)}},
    "kernels": {"conv": {"kernel": np.ones((3, 2))}},
    "vectors": {"bn": {"scale": np.ones(1), "bias": np.ones(4)}},
    "nothing": {},
}


@pytest.mark.parametrize("which", TREES)
def test_vectors_together_are_updated_as_each_alone(which):
    """Over several steps, with another gradient for every number; a vector's last numbers may be rounded otherwise."""
    numbers = np.random.default_rng(0)
    params = jax.tree.map(lambda array: jnp.asarray(numbers.normal(size=array.shape), "float32"), TREES[which])
    alone, joined = optax.adamw(0.1), optimizer.together(optax.adamw(0.1))
    states = alone.init(params), joined.init(params)
    for _ in range(3):
        gradients = jax.tree.map(lambda array: jnp.asarray(numbers.normal(size=array.shape), "float32"), params)
        expected, first = alone.update(gradients, states[0], params)
        got, second = joined.update(gradients, states[1], params)
        states = first, second
        assert jax.tree.structure(got) == jax.tree.structure(expected)
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, **CLOSE), got, expected)


def test_fewer_arrays_are_kept_of_vectors_together():
    state = optimizer.together(optax.trace(0.9)).init(TREES["both"])
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(3, 2), (12,)]
