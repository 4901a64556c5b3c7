"""Images that a network makes much of, is fooled by, or holds for alike: closed forms, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.spec import Act, Conv, Dense, Flatten, Pool, seq
from jaxcnn.visualize import adversarial, maximize, nearest, strongest
from jaxcnn.visualize.attack import perturb, smallest_epsilon
from jaxcnn.visualize.neighbors import ALIKE, difference, hidden
from jaxcnn.visualize.pictures import saved
from jaxcnn.visualize.scores import Total

SHAPE = (5, 4, 2)
LINEAR = seq(flatten=Flatten(), fc=Dense(3))
SMALL = seq(
    conv1=Conv(3, bias=True), act1=Act(), pool=Pool("max", 2), flatten=Flatten(), fc=Dense(4), act=Act(), out=Dense(3)
)

pytestmark = pytest.mark.usefixtures("float64")


def drawn(net, shape=SHAPE):
    rng = np.random.default_rng(3)
    params, stats = jaxcnn.abstract(net, shape)
    return jax.tree.map(lambda of: jnp.asarray(rng.normal(0, 0.5, of.shape)), params), stats


def bytes_of(count: int, shape=SHAPE, low=60, high=196) -> np.ndarray:
    return np.random.default_rng(5).integers(low, high, (count, *shape), dtype=np.uint8)


def linear(images):
    """Logits of the linear network, by NumPy."""
    params, _ = drawn(LINEAR)
    return images.reshape(len(images), -1) @ np.asarray(params["fc"]["kernel"]) + np.asarray(params["fc"]["bias"])


def test_the_image_that_maximizes_a_linear_filter_is_white_where_its_weights_are_above_the_price_of_ink():
    net, shape = seq(conv=Conv(2, 3, padding=0)), (6, 5, 1)
    params, stats = drawn(net, shape)
    kernel = np.asarray(params["conv"]["kernel"])
    fed = np.zeros((2, 6, 5))  # the weights that every pixel feeds
    for row, column in np.ndindex(4, 3):
        fed[:, row : row + 3, column : column + 3] += np.moveaxis(kernel[:, :, 0], -1, 0)
    assert abs(fed).min() > 1e-3 < abs(fed - 0.6).min()
    with jax.numpy_dtype_promotion("standard"):  # optax divides by an integer
        for ink in 0.0, 0.6:
            found = maximize(
                net, params, stats, Total("conv", np.arange(2)), shape, jax.random.key(0), 60, ink, rate=0.1
            )
            white = fed > ink
            assert (np.asarray(found.images)[..., 0] == white).all() and white.any() and not white.all()
            assert np.abs(found.values - (fed * white).sum((1, 2))).max() < 1e-12
        one = maximize(net, params, stats, Total("conv", 1), shape, jax.random.key(0), 3)
        both = maximize(net, params, stats, Total("conv", np.array([1, 0])), shape, jax.random.key(0), 3)
        assert (one.images[0] == both.images[0]).all()  # an image does not depend on the others


def test_a_sign_step_raises_the_margin_of_a_linear_network_by_the_norm_of_its_slope():
    params, stats = drawn(LINEAR)
    kernel = np.asarray(params["fc"]["kernel"])
    images, eps = bytes_of(4) / 255, 0.01
    labels = linear(images).argmax(1)
    others = (labels + 1) % 3
    two = {
        "fc": {name: array[..., :2] for name, array in params["fc"].items()}
    }  # of two classes the loss is their margin
    changed, flat = perturb(
        seq(flatten=Flatten(), fc=Dense(2)), two, stats, jnp.asarray(images), np.zeros(4, int), eps, steps=1
    )
    slope = kernel[:, 1] - kernel[:, 0]
    before, after = (each.reshape(4, -1) @ slope for each in (images, np.asarray(changed)))
    assert np.abs(after - before - eps * abs(slope).sum()).max() < 1e-12 and not flat.any()
    random = np.random.default_rng(0).uniform(-eps, eps, (1000, slope.size))
    assert (random @ slope).max() < eps * abs(slope).sum()
    towards, _ = perturb(LINEAR, params, stats, jnp.asarray(images), labels, eps, others, 3)
    picked = np.arange(4)
    assert (linear(np.asarray(towards))[picked, others] > linear(images)[picked, others]).all()


@pytest.mark.slow
def test_one_step_is_the_sign_method_targets_are_the_opposite_and_pixels_stay_legal():
    params, stats = drawn(SMALL)
    images = bytes_of(3, low=0, high=256) / 255
    labels = np.array([0, 1, 2])
    eps = 8 / 255

    @jax.jit
    def loss(x):
        logits = jaxcnn.apply(SMALL, params, stats, x)[0]
        return -jax.nn.log_softmax(logits)[jnp.arange(3), labels].sum()

    x = jnp.asarray(images)
    sign = np.sign(np.asarray(jax.jit(jax.grad(loss))(x)))
    one, _ = perturb(SMALL, params, stats, x, labels, 8, steps=1)
    assert (np.asarray(one) == np.clip(images + eps * sign, 0, 1)).all()
    towards, _ = perturb(SMALL, params, stats, x, labels, 8, labels, 1)
    assert (np.asarray(towards) == np.clip(images - eps * sign, 0, 1)).all()
    for key in None, jax.random.key(1):
        many, _ = perturb(SMALL, params, stats, x, labels, 8, steps=6, key=key)
        assert abs(np.asarray(many) - images).max() <= eps + 1e-15 and many.min() >= 0 and many.max() <= 1
        assert loss(many) > loss(x)


def test_what_is_left_after_8_bits_is_a_whole_number_of_steps():
    params, stats = drawn(LINEAR)
    images = bytes_of(4)
    labels = linear(images / 255).argmax(1)
    for epsilon, steps in (0.005, 1), (0.49 / 255, 0), (2.6 / 255, 3), (3, 3):
        found = adversarial(LINEAR, params, stats, images, labels, epsilon, steps=1)
        assert abs(found.images.astype(int) - images).max() == steps
        assert np.abs(found.logits - linear(found.images / 255)).max() < 1e-12  # of the rounded images


def test_the_smallest_epsilon_of_two_classes_is_the_margin_over_the_norm():
    net = seq(flatten=Flatten(), fc=Dense(2))
    params, stats = drawn(net)
    kernel, bias = np.asarray(params["fc"]["kernel"]), np.asarray(params["fc"]["bias"])
    images = bytes_of(12)
    logits = images.reshape(12, -1) / 255 @ kernel + bias
    labels = logits.argmax(1)
    labels[0] = 1 - labels[0]  # wrong already
    needed = 255 * abs(logits[:, 0] - logits[:, 1]) / abs(kernel[:, 0] - kernel[:, 1]).sum()
    found = smallest_epsilon(net, params, stats, images, labels, most=24, steps=1)
    assert found[0] == 0 and (found[1:] == np.minimum(np.floor(needed[1:]) + 1, 25)).all()
    assert len(set(found.tolist())) > 3


@pytest.mark.slow
def test_a_network_without_a_gradient_is_told_from_a_strong_one():
    params, stats = drawn(SMALL)
    dead = params | {"conv1": {"kernel": params["conv1"]["kernel"], "bias": jnp.full(3, -100.0)}}
    assert adversarial(SMALL, dead, stats, bytes_of(2), np.array([0, 1]), 8).flat.all()
    assert not adversarial(SMALL, params, stats, bytes_of(2), np.array([0, 1]), 8).flat.any()


REFUSED = {
    "floats": ({"images": bytes_of(2) / 255}, "images are uint8"),
    "a large epsilon": ({"epsilon": 1.5}, "0 to 255 steps of 8 bits, or a share from 0.0 to 1.0, not 1.5"),
    "no such class": ({"target": 3}, "there is no class 3"),
    "too few labels": ({"labels": np.array([0])}, "2 images have as many labels, not 1"),
    "no step": ({"steps": 0}, "at least 1 step"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_attack_that_cannot_be_gets_a_sentence(what):
    changed, sentence = REFUSED[what]
    params, stats = drawn(LINEAR)
    options = {"images": bytes_of(2), "labels": np.array([0, 1]), "epsilon": 1} | changed
    with pytest.raises(ValueError, match=sentence):
        adversarial(LINEAR, params, stats, **options)


def test_the_strongest_images_are_those_of_a_sort_over_all():
    params, stats = drawn(SMALL)
    images = np.random.default_rng(1).normal(size=(11, *SHAPE))
    images[7] = images[2]  # of equal ones the first
    maps = np.asarray(jaxcnn.features(SMALL, params, stats, jnp.asarray(images), "act1")["act1"])
    peaks = maps.reshape(11, -1, 3)
    found = strongest(SMALL, params, stats, images, "act1", 4, batch_size=4)
    for channel in range(3):
        order = np.argsort(-peaks[..., channel].max(1), kind="stable")[:4]
        assert found.images[channel].tolist() == order.tolist()
        assert np.abs(found.values[channel] - peaks[order, :, channel].max(1)).max() < 1e-12
        assert [
            maps[n, r, c, channel] for n, (r, c) in zip(order, found.places[channel], strict=True)
        ] == pytest.approx(found.values[channel].tolist(), abs=1e-12)
    assert strongest(SMALL, params, stats, images[:3], "act1", 9, batch_size=4).values.shape == (3, 3)


def test_neighbors_are_exact_and_equal_ones_come_in_their_order():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(60, 5)) + 100  # far from zero, where products lose digits
    vectors[40] = vectors[11]
    found = nearest(vectors[[11, 3]], vectors, 6)
    assert found.indices[:, 0].tolist() == [11, 3] and found.indices[0, 1] == 40 and (found.distances[:, 0] == 0).all()
    queries = rng.normal(size=(4, 5)) + 100
    found = nearest(queries, vectors, 7)
    distances = np.sqrt(((queries[:, None] - vectors) ** 2).sum(-1))
    order = np.argsort(distances, 1, kind="stable")[:, :7]
    assert (found.indices == order).all() and (found.distances == np.take_along_axis(distances, order, 1)).all()
    assert nearest(queries, vectors[:2]).indices.shape == (4, 2)
    with pytest.raises(ValueError, match=r"not \(4, 5\) and \(60, 4\)"):
        nearest(queries, vectors[:, :4])


@pytest.mark.slow
def test_the_vector_of_an_image_is_what_the_head_reads():
    params, stats = drawn(SMALL)
    images = np.random.default_rng(1).normal(size=(5, *SHAPE))
    found = hidden(SMALL, params, stats, images, batch_size=2)
    expected = jaxcnn.features(SMALL, params, stats, jnp.asarray(images), "act")["act"]
    assert found.shape == (5, 4) and np.abs(found - np.asarray(expected)).max() < 1e-12
    with pytest.raises(ValueError, match="ends this network"):
        hidden(seq(conv=Conv(2)), {}, {}, images)


def test_images_of_one_photograph_are_nearly_the_same_after_jpeg_and_others_are_not():
    """8 levels, root mean square: JPEG of quality 90 of a smooth image stays below, another image does not."""
    from PIL import Image

    rng = np.random.default_rng(0)
    smooth = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
        )
        for _ in range(2)
    ]
    kept = saved(smooth[0], 90)
    found = difference(np.stack([smooth[0], kept, smooth[1]]), smooth[0])
    by_hand = [np.sqrt(np.mean((np.asarray(one, float) - smooth[0]) ** 2)) for one in (smooth[0], kept, smooth[1])]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)  # float32
    assert found[0] == 0 < found[1] < ALIKE < found[2]
