"""Augmentations that change colors and erase: what they draw, and that an image's batch does not matter."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from jaxcnn.data.augment import Augmentation, Cutout, Erase, Jitter, Noise, SaltAndPepper, augment
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.ops.recolor import Recoloring

PHOTOGRAPHS = np.stack([image[100:340:2, 200:520:2] for image in load_sample_images().images])  # (2, 120, 160, 3)
RANDOM = np.random.default_rng(0)


def draws(augmentation: Augmentation, count: int, shape=(32, 40, 3)):
    keys = jax.random.split(jax.random.key(0), count)
    return jax.device_get(jax.jit(jax.vmap(lambda key: augmentation.sample(key, shape)))(keys))


def test_jitter_draws_even_factors_in_an_even_order():
    jitter = Jitter(0.4, 1.5, 0.2, 0.3)
    drawn = draws(jitter, 6000)
    orders, counts = np.unique(drawn["operations"], axis=0, return_counts=True)
    assert sorted(map(tuple, orders)) == sorted(itertools.permutations((1, 2, 3, 4)))
    assert (abs(counts - 250) < 5 * np.sqrt(250)).all()  # five standard deviations of a count
    ranges = {Recoloring.BRIGHTNESS: (0.6, 1.4), Recoloring.CONTRAST: (0, 2.5), Recoloring.SATURATION: (0.8, 1.2)}
    for name, (low, high) in (ranges | {Recoloring.HUE: (-0.3, 0.3)}).items():
        factors = np.sort(drawn["factors"][drawn["operations"] == name])
        assert len(factors) == 6000 and low <= factors[0] and factors[-1] <= high
        # Kolmogorov's distance to even ones; 1.95 / sqrt(n) is exceeded once in a thousand times
        assert abs((factors - low) / (high - low) - np.linspace(0, 1, 6000)).max() < 1.95 / np.sqrt(6000)


def test_jitter_leaves_out_what_is_zero():
    drawn = draws(Jitter(0, 0.5, 0, 0.1), 100)
    assert {tuple(line) for line in drawn["operations"]} == {(2, 4), (4, 2)}
    image = jnp.asarray(PHOTOGRAPHS[0])
    assert (Jitter(0, 0, 0, 0)(jax.random.key(0), image) == image).all()


def rectangles_by_rejection(count: int, height: int, width: int, scale, ratio) -> np.ndarray:
    """As torchvision draws them: again and again, ten times at most; (count, 2), 0 where none fits."""
    random, found = np.random.default_rng(1), np.zeros((count, 2))
    for n in range(count):
        for _ in range(10):
            area = height * width * random.uniform(*scale)
            shape = np.exp(random.uniform(*np.log(ratio)))
            h, w = round(np.sqrt(area * shape)), round(np.sqrt(area / shape))
            if h < height and w < width:
                found[n] = h, w
                break
    return found


@pytest.mark.parametrize("scale", [(0.02, 0.33), (0.5, 0.9)], ids=["usual", "seldom fits"])
def test_erased_rectangles_are_distributed_as_by_rejection(scale: tuple[float, float]):
    from scipy.stats import ks_2samp

    drawn = draws(Erase(1.0, scale=scale), 4000)
    expected = rectangles_by_rejection(4000, 32, 40, scale, (0.3, 3.3))
    for axis in (0, 1):
        assert ks_2samp(drawn["size"][:, axis], expected[:, axis]).pvalue > 0.001  # seeded on both sides
    assert abs((drawn["size"] == 0).mean() - (expected == 0).mean()) < 0.02
    ends = drawn["corner"] + drawn["size"]
    assert (drawn["corner"] >= 0).all() and (ends <= [32, 40]).all() and (drawn["size"] < [32, 40]).all()
    assert (drawn["corner"] == 0).any(0).all() and (ends == [32, 40]).any(0).all()


def test_where_no_rectangle_fits_nothing_is_erased():
    image = jnp.asarray(PHOTOGRAPHS[0])
    assert (
        Erase(1.0, "zeros", scale=(1.0, 1.0), ratio=(1.0, 1.0))(jax.random.key(0), image[:50, :50]) == image[:50, :50]
    ).all()


FILLED = {
    "mean": lambda image, _: np.floor(image.reshape(-1, 3).mean(0) + 0.5),
    "zeros": lambda image, _: 0,
    "noise": lambda _, inside: inside,
}


@pytest.mark.parametrize("kind", [Erase, partial(Cutout, 30)], ids=["erase", "cutout"])
@pytest.mark.parametrize("fill", FILLED)
def test_what_is_erased_is_filled_and_the_rest_stays(kind, fill: str):
    erase, image = kind(fill=fill, probability=1.0), PHOTOGRAPHS[0]
    key = jax.random.key(3)
    drawn = jax.device_get(erase.sample(key, image.shape) | {"key": 0})
    got = np.asarray(erase(key, jnp.asarray(image)))
    (top, left), (bottom, right) = np.maximum(drawn["corner"], 0), drawn["corner"] + drawn["size"]
    inside = np.zeros(image.shape[:2], bool)
    inside[top:bottom, left:right] = True
    assert (got[~inside] == image[~inside]).all() and 0 < inside.mean() < 0.5
    assert (got[inside] == FILLED[fill](image, got[inside])).all() and (got[inside] != image[inside]).any()
    if fill == "noise":  # five standard deviations of the mean of that many even numbers
        assert abs(got[inside].mean() - 127.5) < 5 * 74 / np.sqrt(got[inside].size)


def test_the_middle_of_a_cutout_is_any_pixel():
    drawn = draws(Cutout(5), 5000, (6, 7, 3))
    places, counts = np.unique(drawn["corner"] + 2, axis=0, return_counts=True)
    assert {tuple(place) for place in places} == set(itertools.product(range(6), range(7)))
    assert (abs(counts - 5000 / 42) < 5 * np.sqrt(5000 / 42)).all()


def test_noise_is_normal():
    gray = jnp.full((100, 100, 3), 128, jnp.uint8)
    difference = np.asarray(Noise(0.1)(jax.random.key(0), gray)).astype(int) - 128
    # of 30,000 numbers: five standard deviations of their mean and of their deviation, which rounding makes larger
    assert abs(difference.mean()) < 5 * 25.5 / np.sqrt(30000)
    assert abs(difference.std() - np.sqrt(25.5**2 + 1 / 12)) < 5 * 25.5 / np.sqrt(60000)
    floats = Noise(0.5)(jax.random.key(0), gray / 255)
    assert floats.min() == 0 and floats.max() == 1
    assert len(np.unique(difference[..., 0] - difference[..., 1])) > 50  # each channel has its own


def test_salt_and_pepper_change_their_share_of_the_pixels():
    image = jnp.asarray(RANDOM.integers(1, 255, (200, 200, 3), dtype=np.uint8))
    got = np.asarray(SaltAndPepper(0.1)(jax.random.key(0), image))
    white, black = (got == 255).all(-1), (got == 0).all(-1)
    for share in (white.mean(), black.mean()):
        assert abs(share - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 40000)  # standard deviations of a share
    assert (got[~white & ~black] == np.asarray(image)[~white & ~black]).all()


@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0])
def test_blur_is_scipys_gaussian(sigma: float):
    from scipy.ndimage import gaussian_filter

    (out_of_focus,) = Augmentation.parse(["blur", f"sigma={sigma},{sigma}", "size=13", "probability=1"])
    expected = gaussian_filter(PHOTOGRAPHS[0].astype(float), sigma, mode="mirror", radius=6, axes=(0, 1))
    floats = out_of_focus(jax.random.key(0), jnp.asarray(PHOTOGRAPHS[0] / 255, jnp.float32))
    np.testing.assert_allclose(floats, expected / 255, atol=2e-6)  # float32, 26 products of numbers up to 1
    got = np.asarray(out_of_focus(jax.random.key(0), jnp.asarray(PHOTOGRAPHS[0])))
    assert abs(got - expected).max() < 0.501  # the nearest level


DTYPES = ["uint8", pytest.param("float32", marks=pytest.mark.slow)]
ALL = [
    *("jitter", "grayscale=0.5", "solarize", "posterize", "equalize", "autocontrast", "invert", "sharpness"),
    *("noise", "salt_and_pepper", "blur", "erase", "erase fill=noise", "cutout"),
]


@pytest.mark.every(7)
@pytest.mark.parametrize("words", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_example_alone_is_what_it_is_in_a_batch(words: str, dtype: str):
    images = np.repeat(PHOTOGRAPHS[:, :24, :30], 4, 0)
    images = images if dtype == "uint8" else (images / 255).astype(dtype)
    chosen, ids = Augmentation.parse(words.split()), jnp.arange(8) * 7
    whole = augment(jnp.asarray(images), ids, epoch_key(0, 1), chosen)
    assert whole.dtype == dtype and whole.shape == images.shape and (whole != images).any()
    for one in (0, 5):
        part = augment(jnp.asarray(images[[one]]), ids[jnp.array([one])], epoch_key(0, 1), chosen)
        # of float32, sums may be added up in another order where there are other images
        np.testing.assert_allclose(part[0], whole[one], atol=0 if dtype == "uint8" else 2e-6)
    assert float(whole.min()) >= 0 and float(whole.max()) <= (255 if dtype == "uint8" else 1)


@pytest.mark.parametrize("words", ALL)
def test_with_probability_zero_nothing_happens(words: str):
    (never,) = Augmentation.parse([*words.replace("=0.5", "").split(), "probability=0"])
    image = jnp.asarray(PHOTOGRAPHS[0])
    assert (never(jax.random.key(0), image) == image).all()


@pytest.mark.parametrize("words", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_dtype_and_no_rank_is_promoted(words: str, dtype: str, float64):
    """It is seen when they are traced."""
    images = jnp.asarray((PHOTOGRAPHS[:, :14, :16] / (1 if dtype == "uint8" else 255)).astype(dtype))
    chosen = Augmentation.parse(words.split())
    with jax.numpy_rank_promotion("raise"):
        changed = jax.eval_shape(lambda images: augment(images, jnp.arange(2), epoch_key(0, 1), chosen), images)
    assert changed.dtype == dtype


WRONG = {
    "jitter hue=0.6": "at most 0.5",
    "jitter contrast=-1.0": "contrast must not be negative",
    "solarize=2": "threshold must be from 0 to 1",
    "posterize=0": "bits must be from 1 to 8",
    "sharpness=-1": "must not be negative",
    "noise=-0.1": "std must not be negative",
    "salt_and_pepper=1.5": "share must be from 0 to 1",
    "blur sigma=2,1": "smaller one first",
    "blur size=4": "odd number",
    "erase scale=0.5,0.2": "smaller first",
    "erase ratio=0,1": "positive",
    "erase fill=blue": "one of mean, zeros, noise",
    "cutout=0": "size must be positive",
}


@pytest.mark.parametrize("words", WRONG)
def test_settings_that_cannot_be_meant_are_refused(words: str):
    with pytest.raises(InputError, match=WRONG[words]):
        Augmentation.parse(words.split())


def test_blur_that_looks_further_than_the_image_is_refused():
    with pytest.raises(ValueError, match=r"6 pixels far.*6x8"):
        Augmentation.parse(["blur"])[0].check_shape((6, 8, 3))


@pytest.mark.parametrize("words", ["jitter", "grayscale", "equalize"])
@pytest.mark.parametrize("channels", [2, 4])
def test_colors_of_other_channels_are_refused(words: str, channels: int):
    with pytest.raises(ValueError, match=f"{words} is for images with 1 or 3 channels, not {channels}"):
        Augmentation.parse([words])[0].check_shape((4, 4, channels))
