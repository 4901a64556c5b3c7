"""Batch normalization, its gradient in closed form, and dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from reference import agree, agree_all, central_difference, random

import jaxcnn
from jaxcnn import ops
from jaxcnn.ops import native
from jaxcnn.spec import BatchNorm

pytestmark = pytest.mark.usefixtures("float64")

EPS = 1e-3
SHAPES = [(6, 3), (4, 5, 2), (3, 4, 5, 2), (2, 2, 3, 2, 2)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["vectors", "1-D", "2-D", "3-D"])
masked = pytest.mark.parametrize("mask", [None, (1, 0, 1, 1)], ids=["all examples", "one is padding"])


def batch(*shape: int):
    """x, scale, bias, and a gradient of the loss by y; the channels differ in mean and spread."""
    channels = np.arange(1, shape[-1] + 1)
    return (
        3 * channels + channels * random(1, *shape),
        random(2, shape[-1]),
        random(3, shape[-1]),
        random(4, *shape),
    )


def plain(x, scale, bias, mask=None):
    """The formula without a rule of its own, for jax to differentiate."""
    weight = jnp.ones(len(x), x.dtype) if mask is None else jnp.asarray(mask, x.dtype)
    weight = jnp.broadcast_to(weight.reshape(-1, *[1] * (x.ndim - 1)), x.shape)
    axes = tuple(range(x.ndim - 1))
    mean = jnp.average(x, axes, weight)
    variance = jnp.average((x - mean) ** 2, axes, weight)
    return (x - mean) / jnp.sqrt(variance + EPS) * scale + bias


def normalized(x, scale, bias, mask=None, eps=EPS):
    """(y, mean, variance)."""
    mask = None if mask is None else jnp.asarray(mask)
    return ops.batch_norm(jnp.asarray(x), jnp.asarray(scale), jnp.asarray(bias), eps, mask)


def ours(x, scale, bias, mask=None):
    return normalized(x, scale, bias, mask)[0]


def gradients(f, arguments, mask=None):
    """(dx, dscale, dbias) for x, scale, bias and the gradient of the loss by y."""
    return jax.jit(lambda *a: jax.vjp(lambda *b: f(*b, mask), *a[:3])[1](a[3]))(*arguments)


@every_shape
def test_value_and_statistics_are_those_of_the_algorithm(shape):
    x, scale, bias, _ = batch(*shape)
    expected = reference.batch_norm(x, scale, bias, EPS, np.full(len(x), True))
    agree_all(normalized(x, scale, bias), expected)


@pytest.mark.parametrize("kind", [bool, int, float])
def test_masked_examples_do_not_count_in_the_statistics(kind):
    x, scale, bias, _ = batch(4, 3, 5, 2)
    mask = np.array([1, 0, 1, 0]).astype(kind)
    expected = reference.batch_norm(x, scale, bias, EPS, mask.astype(bool))
    agree_all(normalized(x, scale, bias, mask), expected)


@every_shape
def test_gradient_equals_that_of_the_plain_formula(shape):
    arguments = batch(*shape)
    agree_all(gradients(ours, arguments), gradients(plain, arguments))


def test_gradient_with_padding_equals_that_of_the_plain_formula():
    arguments, mask = batch(4, 3, 5, 2), (1, 0, 1, 1)
    agree_all(gradients(ours, arguments, mask), gradients(plain, arguments, mask))


@masked
def test_gradient_equals_central_differences(mask):
    x, scale, bias, gradient = batch(4, 3, 2)
    dx, dscale, dbias = gradients(ours, (x, scale, bias, gradient), mask)
    keep = np.full(4, True) if mask is None else np.array(mask, bool)

    def loss(x, scale, bias):
        return np.sum(reference.batch_norm(x, scale, bias, EPS, keep)[0] * gradient)

    # The truncation error of a step h is about h^2 = 1e-10, the rounding error 1e-15/h = 1e-10.
    agree(dx, central_difference(lambda x: loss(x, scale, bias), x, 1e-5), tolerance=1e-7)
    agree(dscale, central_difference(lambda s: loss(x, s, bias), scale, 1e-5), tolerance=1e-7)
    agree(dbias, central_difference(lambda b: loss(x, scale, b), bias, 1e-5), tolerance=1e-7)


def test_gradient_of_the_gradient_equals_that_of_the_plain_formula():
    x, scale, bias, gradient = batch(4, 3, 2)

    def curvature(f):
        def slope(x):
            return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(f(x, scale, bias)) * gradient))(x) ** 2)

        return jax.jit(jax.grad(slope))(x)

    agree(curvature(ours), curvature(plain))


def test_padding_changes_nothing_whatever_it_holds():
    x, scale, bias, gradient = batch(3, 4, 2)
    mask = (1, 1, 1, 0, 0)
    padded = np.concatenate([x, 1e3 * random(5, 2, 4, 2)])
    silent = np.concatenate([gradient, np.zeros((2, 4, 2))])  # the loss does not look at padding either
    agree(ours(padded, scale, bias, mask)[:3], ours(x, scale, bias))
    with_padding = gradients(ours, (padded, scale, bias, silent), mask)
    without = gradients(ours, (x, scale, bias, gradient))
    agree(with_padding[0], np.concatenate([without[0], np.zeros((2, 4, 2))]))
    agree(with_padding[1], without[1])
    agree(with_padding[2], without[2])


@pytest.fixture(params=["1", "0"], ids=["where there is a C++ program", "without"])
def both_ways(request: pytest.FixtureRequest):
    with native.switched(request.param):
        yield


@pytest.mark.parametrize("padding", [0.0, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3, 7])
def test_whatever_padding_holds_the_statistics_are_those_of_the_others(place, padding, both_ways):
    """In float32: values near 1000 are known to 6e-5 each, so their spread of 0.1 to one part in a thousand."""
    x = (1000 + 0.1 * random(1, 8, 5, 2, 3)).astype(np.float32)
    x[place] = padding
    counting = np.delete(x, place, 0).astype(np.float64)
    mask, (scale, bias) = jnp.arange(8) != place, jnp.asarray(random(2, 2, 3), jnp.float32)
    y, mean, variance = ops.batch_norm(jnp.asarray(x), scale, bias, 1e-5, mask, unbiased=False)
    np.testing.assert_allclose(mean, counting.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, counting.var((0, 1, 2)), rtol=2e-3)
    expected, *_ = reference.batch_norm(counting, np.float64(scale), np.float64(bias), 1e-5, np.full(7, True))
    np.testing.assert_allclose(np.delete(y, place, 0), expected, rtol=2e-3, atol=2e-3)


def test_a_mean_a_thousand_times_the_deviation_away_keeps_its_variance(both_ways):
    """Where the first places lie far from the others, too: here they are another kind of value altogether."""
    x = (1000 + random(1, 4, 16, 16, 2)).astype(np.float32)
    x[:, 0] += 50
    _, mean, variance = ops.batch_norm(jnp.asarray(x), None, jnp.zeros(2, jnp.float32), unbiased=False)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var((0, 1, 2)), rtol=1e-4)  # 32 roundings of 6e-8, and those of the sums


def test_a_batch_of_nothing_but_padding_stays_finite():
    x, scale, bias, gradient = batch(2, 3, 2)
    values = normalized(x, scale, bias, (0, 0))
    for array in (*values, *gradients(ours, (x, scale, bias, gradient), (0, 0))):
        assert np.isfinite(array).all()


def test_no_scale_stands_for_ones():
    x, _, bias, _ = map(jnp.asarray, batch(3, 4, 2))
    agree_all(ops.batch_norm(x, None, bias), ops.batch_norm(x, jnp.ones(2), bias))


def test_gradients_do_not_flow_through_the_running_statistics():
    x, scale, bias, _ = map(jnp.asarray, batch(3, 4, 2))
    agree(jax.grad(lambda x: sum(map(jnp.sum, ops.batch_norm(x, scale, bias)[1:])))(x), jnp.zeros_like(x))


def test_normalizing_by_the_batchs_own_statistics_is_batch_norm():
    x, scale, bias, _ = map(jnp.asarray, batch(3, 4, 2))
    y, mean, unbiased = ops.batch_norm(x, scale, bias, EPS)
    agree(ops.normalize(x, mean, unbiased * 11 / 12, scale, bias, EPS), y)  # 12 values a channel


def test_the_result_has_mean_bias_and_deviation_scale():
    x, scale, bias, _ = batch(8, 6, 6, 3)
    y = normalized(x, scale, bias, eps=0.0)[0]
    agree(y.mean((0, 1, 2)), bias)
    agree(y.std((0, 1, 2)), abs(scale))


def test_running_averages_move_by_one_tenth_and_keep_the_unbiased_variance():
    x = jnp.asarray(batch(3, 4, 5, 2)[0])
    params = {"": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}
    stats = {"": {"mean": jnp.array([1.0, -2.0]), "var": jnp.array([0.5, 2.0])}}
    _, new = jaxcnn.apply(BatchNorm(), params, stats, x, train=True)
    values = np.asarray(x).reshape(-1, 2)
    agree(new[""]["mean"], 0.9 * stats[""]["mean"] + 0.1 * values.mean(0))
    agree(new[""]["var"], 0.9 * stats[""]["var"] + 0.1 * values.var(0, ddof=1))


def test_evaluation_uses_the_running_averages_and_leaves_them_alone():
    x = jnp.asarray(batch(3, 4, 5, 2)[0])
    params = {"": {"scale": jnp.array([2.0, 3.0]), "bias": jnp.array([1.0, -1.0])}}
    stats = {"": {"mean": jnp.array([1.0, -2.0]), "var": jnp.array([0.5, 2.0])}}
    y, same = jaxcnn.apply(BatchNorm(eps=EPS), params, stats, x)
    expected = (np.asarray(x) - [1, -2]) / np.sqrt(np.array([0.5, 2.0]) + EPS) * [2, 3] + [1, -1]
    agree(y, expected)
    assert same == stats


def test_everything_equals_pytorch():
    torch = pytest.importorskip("torch")
    x, scale, bias, gradient = batch(3, 4, 5, 2)
    layer = torch.nn.BatchNorm2d(2, eps=EPS, momentum=0.1, dtype=torch.float64)
    layer.weight.data, layer.bias.data = torch.tensor(scale), torch.tensor(bias)
    images = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    y = layer(images)
    y.backward(torch.tensor(gradient.transpose(0, 3, 1, 2)))

    params = {"": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}}
    stats = {"": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}
    value, stats = jaxcnn.apply(BatchNorm(0.9, EPS), params, stats, jnp.asarray(x), train=True)
    agree(value, y.detach().numpy().transpose(0, 2, 3, 1))
    agree(stats[""]["mean"], layer.running_mean.numpy())
    agree(stats[""]["var"], layer.running_var.numpy())
    dx, dscale, dbias = gradients(ours, (x, scale, bias, gradient))
    agree(dx, images.grad.numpy().transpose(0, 2, 3, 1))
    agree(dscale, layer.weight.grad.numpy())
    agree(dbias, layer.bias.grad.numpy())

    layer.eval()
    evaluated, _ = jaxcnn.apply(BatchNorm(0.9, EPS), params, stats, jnp.asarray(x))
    agree(evaluated, layer(images).detach().numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(rate):
    x = jnp.asarray(2 + random(1, 40, 10, 10, 10))
    y = ops.dropout(x, rate, jax.random.key(0))
    dropped = float(jnp.mean(y == 0))
    # The share of 40,000 draws has a standard deviation of at most 0.0025; five of them are allowed. That of
    # the mean is sqrt(E[x^2] rate / (1-rate) / 40,000), at most 0.034.
    assert abs(dropped - rate) < 0.0125
    assert abs(float(y.mean()) - float(x.mean())) < 0.17
    survivors = y != 0
    np.testing.assert_allclose(y[survivors], x[survivors] / (1 - rate), rtol=1e-15)  # one division


def test_spatial_dropout_drops_whole_channels_of_single_examples():
    x = jnp.asarray(2 + random(2, 20, 4, 5, 16))
    alive = np.asarray(ops.dropout(x, 0.5, jax.random.key(0), spatial=True) != 0)
    assert (alive.all((1, 2)) | ~alive.any((1, 2))).all()
    per_example = alive[:, 0, 0]
    assert 0.3 < per_example.mean() < 0.7  # 320 draws: five deviations are 0.14
    assert not (per_example == per_example[0]).all()


def test_dropout_is_a_function_of_its_key():
    x = jnp.asarray(random(3, 10, 10))
    assert (ops.dropout(x, 0.5, jax.random.key(0)) == ops.dropout(x, 0.5, jax.random.key(0))).all()
    assert (ops.dropout(x, 0.5, jax.random.key(0)) != ops.dropout(x, 0.5, jax.random.key(1))).any()


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = jnp.asarray(2 + random(4, 10, 10))
    y, back = jax.vjp(lambda x: ops.dropout(x, 0.75, jax.random.key(0)), x)
    np.testing.assert_array_equal(back(jnp.ones_like(x))[0], np.where(y != 0, 4, 0))


def test_a_rate_of_zero_changes_nothing():
    x = jnp.asarray(random(5, 10, 10))
    np.testing.assert_array_equal(ops.dropout(x, 0.0, jax.random.key(0)), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_outside_zero_to_one_is_an_error(rate):
    with pytest.raises(ValueError, match=rf"rate must be in \[0, 1\), not {rate}"):
        ops.dropout(jnp.ones(3), rate, jax.random.key(0))
