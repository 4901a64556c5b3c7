"""Losses and metrics against closed forms and published values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import Forward
from jaxcnn.host.errors import InputError
from jaxcnn.tasks import Classification, Penalty, losses
from jaxcnn.tasks.task import masked_sum


@pytest.mark.parametrize(("probability", "nats"), [(0.1, 2.302585), (0.9, 0.105361), (1.0, 0.0), (0.0, np.inf)])
def test_cross_entropy_is_minus_log_p(probability, nats):
    logits = jnp.log(jnp.array([[probability, 1 - probability]]))
    logits = jnp.maximum(logits, -1e30) if probability == 1 else logits
    value = losses.cross_entropy(logits, jnp.array([0]))
    # float32 resolves values near 2 to 2.4e-7; the figures are given to 1e-6
    np.testing.assert_allclose(value, [nats], atol=1e-6)


def test_cross_entropy_does_not_overflow_for_large_logits():
    value = losses.cross_entropy(jnp.array([[1e4, -1e4]]), jnp.array([1]))
    np.testing.assert_allclose(value, [2e4], rtol=1e-6)  # exact but for float32's rounding


def test_label_smoothing_mixes_the_target_with_the_uniform_distribution():
    logits = jax.random.normal(jax.random.key(0), (5, 4))
    labels = jnp.array([0, 1, 2, 3, 1])
    log_p = np.asarray(jax.nn.log_softmax(logits), np.float64)
    expected = -(0.9 * log_p[np.arange(5), labels] + 0.1 * log_p.mean(1))
    np.testing.assert_allclose(
        losses.cross_entropy(logits, labels, 0.1), expected, rtol=1e-6
    )  # a few float32 roundings


def test_masked_sum_ignores_padding_even_if_it_is_not_finite():
    values, mask = jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0])
    assert masked_sum(values, mask) == 4.0


def test_penalties_count_kernels_and_nothing_else():
    params = {
        "a": {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([5.0])},
        "b": {"scale": jnp.array([7.0])},
    }
    assert Penalty(0.5, 0.0)(params) == 1.5
    assert Penalty(0.0, 0.5)(params) == 0.25 * 5
    assert Penalty()(params) == 0


def test_in_top_counts_how_many_classes_are_above():
    logits = jnp.array([[0.1, 0.5, 0.3, 0.2]] * 4)
    labels = jnp.arange(4)
    assert losses.in_top(logits, labels, 1).tolist() == [False, True, False, False]
    assert losses.in_top(logits, labels, 3).tolist() == [False, True, True, True]


def test_in_top_of_equal_logits_is_right_for_k_classes_only():
    assert losses.in_top(jnp.zeros((4, 4)), jnp.arange(4), 1).tolist() == [True, False, False, False]


def test_in_top_of_nan_is_never_right():
    assert not losses.in_top(jnp.full((2, 3), jnp.nan), jnp.array([0, 1]), 1).any()


def test_confusion_matrix_has_true_classes_in_rows_and_skips_padding():
    logits = jax.nn.one_hot(jnp.array([1, 1, 2, 0]), 3)
    matrix = losses.confusion_matrix(logits, jnp.array([0, 1, 2, 2]), jnp.array([1.0, 1.0, 1.0, 0.0]))
    assert matrix.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_binary_cross_entropy_is_pytorchs():
    torch = pytest.importorskip("torch")
    logits, labels = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 1, 2, 3, 1])
    targets = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits), torch.tensor(targets), reduction="none"
    ).mean(1)
    found = losses.binary_cross_entropy(jnp.asarray(logits), jnp.asarray(labels), 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_class_weights_multiply_the_losses_and_balance_by_the_training_images():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    batch = Batch(jnp.zeros((4, 1, 1, 1), jnp.uint8), jnp.array([0, 1, 2, 1]), jnp.ones(4), jnp.arange(4))
    run = Forward(logits, {}, {})
    plain = Classification().losses(run, batch.images, batch)
    weighted = Classification(class_weights=(1.0, 2.0, 0.5)).losses(run, batch.images, batch)
    np.testing.assert_allclose(weighted, plain * np.array([1, 2, 0.5, 2]), rtol=1e-6)
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    balanced = Classification(balanced=True).fitted(labels, ("a", "b", "c"))
    assert balanced.class_weights == pytest.approx((10 / 18, 10 / 9, 10 / 3)) and not balanced.balanced
    assert np.mean(np.array(balanced.class_weights)[labels]) == pytest.approx(1)
    with pytest.raises(ValueError, match="class_weights are 2 numbers, not one for each of 3"):
        Classification(class_weights=(1.0, 2.0)).fitted(labels, ("a", "b", "c"))
    with pytest.raises(InputError, match="class_weights must not be negative"):
        Classification(class_weights=(1.0, -2.0))
