"""What the checks say of explanations of which it is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from jaxcnn.spec import Act, Conv, Dense, Flatten, GlobalPool, seq
from jaxcnn.visualize import check, explain
from jaxcnn.visualize.checks import correlation, sobel
from jaxcnn.visualize.scores import Unit

SHAPE = (8, 7, 1)
LINEAR = seq(flatten=Flatten(), fc=Dense(2))

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def linear():
    rng = np.random.default_rng(3)
    params = {"fc": {"kernel": jnp.asarray(rng.normal(size=(56, 2))), "bias": jnp.zeros(2)}}
    return params, {}, jnp.asarray(rng.normal(size=(6, *SHAPE)))


def test_the_exact_ranking_of_a_linear_network_is_the_best_of_all(linear):
    params, stats, x = linear
    gray = x.mean((1, 2), keepdims=True)
    exact = explain(LINEAR, params, stats, x, 0, "integrated_gradients", baseline=gray, steps=1)
    checks = check(LINEAR, params, stats, x, exact, jax.random.key(0), steps=56)
    share = np.sort(np.asarray((x - gray)[..., 0] * params["fc"]["kernel"][:, 0].reshape(8, 7)).reshape(6, -1), 1)
    kept = np.asarray(gray[:, 0, 0, 0]) * np.asarray(params["fc"]["kernel"])[:, 0].sum()
    for curve, order in (checks.insertion, share[:, ::-1]), (checks.deletion, share):
        # the score after every pixel, by a sum; covering the best first leaves the rest, so its order is the other one
        values = kept[:, None] + np.concatenate([np.zeros((6, 1)), np.cumsum(order, 1)], 1)
        assert np.abs(curve.by_map - np.trapezoid(values, dx=1 / 56, axis=1)).max() < 1e-12
    assert (checks.insertion.by_map > np.maximum(checks.insertion.by_chance, checks.insertion.by_edges)).all()
    assert (checks.deletion.by_map < np.minimum(checks.deletion.by_chance, checks.deletion.by_edges)).all()
    assert np.abs(checks.completeness).max() < 1e-12 and checks.warnings(0) == []


@pytest.mark.slow
def test_the_map_of_a_network_drawn_anew_is_another_and_that_of_edges_is_the_same(linear):
    params, stats, x = linear
    real = explain(LINEAR, params, stats, jnp.tile(x, (5, 1, 1, 1)), 0, "saliency")
    checks = check(LINEAR, params, stats, jnp.tile(x, (5, 1, 1, 1)), real, jax.random.key(1), steps=1)
    # one other row of 56 normal weights: a rank correlation of deviation 1 / sqrt(55) = 0.13; three of them are allowed
    assert abs(checks.randomization).max() < 0.4 and checks.completeness is None
    edges = real._replace(map=sobel(np.asarray(jnp.tile(x, (5, 1, 1, 1)))))
    assert check(
        LINEAR, params, stats, jnp.tile(x, (5, 1, 1, 1)), edges, jax.random.key(1), steps=1
    ).edge_similarity == (pytest.approx(np.ones(30)))


@pytest.mark.slow
def test_a_map_that_weights_do_not_change_is_warned_of():
    """One channel and a mean of all places: whatever the weights, Grad-CAM is the feature, and this one is an edge."""
    net = seq(conv=Conv(1), act=Act(), gap=GlobalPool(), fc=Dense(2))
    rng = np.random.default_rng(0)
    params = {"conv": {"kernel": jnp.asarray(rng.normal(size=(3, 3, 1, 1)))}}
    params["fc"] = {"kernel": jnp.asarray([[1.0, 1.0]]), "bias": jnp.zeros(2)}
    x = jnp.asarray(rng.normal(size=(2, *SHAPE)))
    made = explain(net, params, {}, x, 0, "gradcam")
    found = check(net, params, {}, x, made, jax.random.key(2), shares=(0.5, 1.0), steps=4)
    assert abs(found.randomization[0]) == pytest.approx(np.ones(2))  # only the head is drawn anew: the sign at most
    assert (abs(found.randomization[1]) < 0.99).all()
    same = found._replace(randomization=np.ones((1, 2)))
    assert "hardly depends on what was learned: 1.00" in same.warnings(0)[0]
    lacking = found._replace(completeness=np.array([0.2, 0.0]))
    assert any("off by 20.0%" in word for word in lacking.warnings(0))
    assert not any("off by" in word for word in lacking.warnings(1))


@pytest.mark.slow
def test_a_map_of_one_class_is_compared_with_that_of_the_next_probable_one():
    rng, net = np.random.default_rng(3), seq(flatten=Flatten(), fc=Dense(3))
    kernel = rng.normal(size=(56, 3))
    kernel[:, 2] = 2 * kernel[:, 0]  # a map of the same ranks
    params, x = {"fc": {"kernel": kernel, "bias": np.array([0.0, 50.0, 25.0])}}, rng.normal(size=(2, *SHAPE))
    same = np.abs(kernel[:, 0])

    def found(classes, bias=(0.0, 50.0, 25.0)):
        arrays = params | {"fc": params["fc"] | {"bias": np.array(bias)}}
        made = explain(net, arrays, {}, x, classes, "saliency")
        return check(net, arrays, {}, x, made, jax.random.key(0), steps=1)

    other = spearmanr(same, np.abs(kernel[:, 1])).statistic
    assert found(0).class_similarity == pytest.approx([other, other])  # class 1 is the most probable one
    assert found([1, 0]).class_similarity == pytest.approx([other, other])  # of class 1 it is 2, of class 0 it is 1
    alike = found(0, (0.0, -50.0, 25.0))  # it is 2
    assert alike.class_similarity == pytest.approx([1, 1])
    assert "hardly tells the class from others: 1.00" in alike.warnings(1)[1 if "random" in alike.warnings(1)[0] else 0]
    assert not any("tells the class" in word for word in found(0).warnings(0))
    unit = explain(net, params, {}, x, Unit("fc", 0), "saliency")
    assert check(net, params, {}, x, unit, jax.random.key(0), steps=1).class_similarity is None


@pytest.mark.slow
def test_a_constant_map_is_ranked_by_chance_and_its_correlation_is_none(linear):
    params, stats, x = linear
    made = explain(LINEAR, params, stats, x, 0, "saliency")
    constant = made._replace(map=np.ones_like(made.map))
    one, other = (check(LINEAR, params, stats, x, constant, jax.random.key(n), steps=5) for n in (0, 1))
    assert np.isnan(one.edge_similarity).all()
    assert (one.deletion.by_map != other.deletion.by_map).all()  # not the order of rows and columns
    with pytest.raises(ValueError, match="shares of the layers"):
        check(LINEAR, params, stats, x, made, jax.random.key(0), shares=(0.0,))


def test_rank_correlation_and_edges_are_scipys_and_a_loops():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 3, 4, 5)).astype(float)  # with ties
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    assert correlation(one, other) == pytest.approx(expected, abs=1e-12)
    image = rng.normal(size=(1, 4, 5, 3))
    gray = np.pad(image[0].mean(-1), 1, mode="edge")
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    for row, column in np.ndindex(4, 5):
        window = gray[row : row + 3, column : column + 3]
        found = np.hypot((window * kernel).sum(), (window * kernel.T).sum())
        assert sobel(image)[0, row, column] == pytest.approx(found, abs=1e-12)
