"""Schedules and update rules against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import optimizers
from jaxcnn.config import SGD, Adam, AdamW, Constant, Cosine, OptimizerConfig, Step
from jaxcnn.host.errors import InputError

PARAMS = {
    "conv": {"kernel": jnp.array([[2.0, -4.0]]), "bias": jnp.array([3.0])},
    "bn": {"scale": jnp.array([5.0])},
}
GRADIENTS = jax.tree.map(lambda x: 0.1 * x + 0.3, PARAMS)
# float32 arithmetic of a handful of operations
CLOSE = {"rtol": 1e-5}


def rates(config, steps=4, epochs=5):
    values = optimizers.learning_rate(config, steps, epochs)
    return np.array([float(values(step)) for step in range(steps * epochs)])


def test_constant_schedule():
    np.testing.assert_allclose(rates(OptimizerConfig(lr=0.5, schedule=Constant())), 0.5)


def test_cosine_schedule_falls_from_lr_towards_zero():
    expected = 0.5 * 0.5 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose(rates(OptimizerConfig(lr=0.5, schedule=Cosine())), expected, **CLOSE)


def test_warmup_rises_in_a_straight_line_and_learns_from_the_first_step_on():
    values = rates(OptimizerConfig(lr=0.5, schedule=Cosine(), warmup_epochs=1))
    np.testing.assert_allclose(values[:4], [0.125, 0.25, 0.375, 0.5], **CLOSE)
    np.testing.assert_allclose(values[4:], 0.25 * (1 + np.cos(np.pi * np.arange(16) / 16)), **CLOSE)


@pytest.mark.parametrize("warmup", [0, 1])
def test_step_schedule_falls_after_the_given_epochs(warmup):
    config = OptimizerConfig(lr=1.0, schedule=Step((2, 4), 0.1), warmup_epochs=warmup)
    values = rates(config)
    np.testing.assert_allclose(values[4:], [1.0] * 4 + [0.1] * 8 + [0.01] * 4, **CLOSE)


def one_update(config):
    rule = optimizers.make(config, 4, 5)
    return rule.update(GRADIENTS, rule.init(PARAMS), PARAMS)[0]


def test_sgd_with_nesterov_looks_ahead_along_the_momentum():
    updates = one_update(OptimizerConfig(SGD(), lr=0.1, schedule=Constant()))
    # the first velocity is g, and Nesterov steps along g + 0.9 * velocity
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * 1.9 * g, **CLOSE), updates, GRADIENTS)


def test_sgd_without_nesterov_and_without_momentum():
    plain = one_update(OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant()))
    heavy = one_update(OptimizerConfig(SGD(nesterov=False), lr=0.1, schedule=Constant()))
    for updates in plain, heavy:
        jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * g, **CLOSE), updates, GRADIENTS)


def test_first_step_of_adam_is_the_learning_rate_in_the_direction_of_the_sign():
    updates = one_update(OptimizerConfig(Adam(), lr=0.1, schedule=Constant()))
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.1 * np.sign(g), **CLOSE), updates, GRADIENTS)


@pytest.mark.parametrize("rule", [AdamW, SGD])
def test_decoupled_weight_decay_shrinks_kernels_alone_by_lr_times_decay(rule):
    with_decay = one_update(OptimizerConfig(rule(weight_decay=0.5), lr=0.1, schedule=Constant()))
    without = one_update(OptimizerConfig(rule(weight_decay=0.0), lr=0.1, schedule=Constant()))
    np.testing.assert_allclose(
        with_decay["conv"]["kernel"] - without["conv"]["kernel"],
        -0.1 * 0.5 * PARAMS["conv"]["kernel"],
        **CLOSE,
    )
    assert (with_decay["conv"]["bias"] == without["conv"]["bias"]).all()
    assert (with_decay["bn"]["scale"] == without["bn"]["scale"]).all()


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: OptimizerConfig(lr=0.0), "lr must be positive"),
        (lambda: OptimizerConfig("sgd"), "optimizer.rule must be Rule, not 'sgd'"),
        (lambda: Step(), "needs at least one of its epochs"),
        (lambda: SGD(momentum=1.0), "momentum must be in"),
        (lambda: SGD(momentum="much"), "optimizer sgd: momentum must be float, not 'much'"),
        (lambda: Adam(b2=1.0), r"adam's b2 must be in \[0, 1\), not 1.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(build, sentence):
    with pytest.raises(InputError, match=sentence):
        build()


@pytest.mark.parametrize("name", optimizers.RULES)
def test_every_rule_moves_against_the_gradient(name):
    updates = one_update(OptimizerConfig(optimizers.RULES[name](), lr=0.1, schedule=Constant()))
    assert all(map(lambda u, g: (u * g).sum() < 0, jax.tree.leaves(updates), jax.tree.leaves(GRADIENTS)))
