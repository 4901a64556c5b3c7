"""Changes of colors, against Pillow and float64; and that the C++ program and jax compute the same."""

from __future__ import annotations

import colorsys
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from jaxcnn.ops import native
from jaxcnn.ops.blur import blur, plain_blur
from jaxcnn.ops.recolor import Recoloring, mean_color, recolor

PHOTOGRAPHS = np.stack([image[100:340:2, 200:520:2] for image in load_sample_images().images])  # (2, 120, 160, 3)
RANDOM = np.random.default_rng(0)


def recolored(images, *operations, among=()):
    """Each of the images (N, H, W, C) with the same pairs of an operation and its factor."""
    numbers = jnp.array([int(name) for name, _ in operations], jnp.int32)
    factors = jnp.array([factor for _, factor in operations], jnp.float32)
    among = (*among, *(name for name, _ in operations))
    return np.asarray(jax.vmap(lambda image: recolor(image, numbers, factors, among))(jnp.asarray(images)))


FACTORS = {
    Recoloring.NOTHING: (0,),
    Recoloring.BRIGHTNESS: (0, 0.37, 0.73, 1, 1.27, 1.9),
    Recoloring.CONTRAST: (0, 0.37, 0.73, 1, 1.27, 1.9),
    Recoloring.SATURATION: (0, 0.37, 0.73, 1, 1.27, 1.9),
    Recoloring.SHARPNESS: (0, 0.37, 0.73, 1, 1.27, 1.9),
    Recoloring.HUE: (-0.5, -0.13, 0, 0.29, 0.5),
    Recoloring.SOLARIZE: (0, 0.5, 0.7, 100 / 255, 153 / 255, 1),
    Recoloring.SOLARIZE_ADD: (0, 99 / 255, 1),
    Recoloring.POSTERIZE: (1, 4, 7, 8),
    Recoloring.INVERT: (0,),
    Recoloring.AUTOCONTRAST: (0,),
    Recoloring.EQUALIZE: (0,),
    Recoloring.GRAYSCALE: (0,),
}
CASES = [(name, factor) for name, factors in FACTORS.items() for factor in factors]
each_case = pytest.mark.parametrize(("name", "factor"), CASES, ids=lambda value: getattr(value, "name", None))


def by_pillow(image: Image.Image, name: Recoloring, factor: float) -> Image.Image:
    match name:
        case Recoloring.BRIGHTNESS:
            return ImageEnhance.Brightness(image).enhance(factor)
        case Recoloring.CONTRAST:
            return ImageEnhance.Contrast(image).enhance(factor)
        case Recoloring.SATURATION:
            return ImageEnhance.Color(image).enhance(factor)
        case Recoloring.SHARPNESS:
            return ImageEnhance.Sharpness(image).enhance(factor)
        case Recoloring.SOLARIZE:
            return ImageOps.solarize(image, round(factor * 255, 6))  # type: ignore[arg-type]  # as torchvision gives it
        case Recoloring.SOLARIZE_ADD:
            return image.point(
                [min(v + round(255 * factor), 255) if v < 128 else v for v in range(256)] * len(image.mode)
            )
        case Recoloring.POSTERIZE:
            return ImageOps.posterize(image, int(factor))
        case Recoloring.INVERT:
            return ImageOps.invert(image)
        case Recoloring.AUTOCONTRAST:
            return ImageOps.autocontrast(image)
        case Recoloring.EQUALIZE:
            return ImageOps.equalize(image)
        case Recoloring.GRAYSCALE:
            return image.convert("L").convert(image.mode)
    return image


def turned(image: np.ndarray, turns: float) -> np.ndarray:
    """Another hue by the standard library, in float64, of an image from 0 to 1."""
    pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3).tolist()]
    return np.array([colorsys.hsv_to_rgb((h + turns) % 1, s, v) for h, s, v in pixels]).reshape(image.shape)


@each_case
def test_an_operation_on_bytes_is_pillows_within_one_level(name: Recoloring, factor: float):
    """One: Pillow multiplies by float32 and cuts off. Autocontrast's is float64 there, of whole numbers here."""
    images = PHOTOGRAPHS[:, ::3, ::3] if name is Recoloring.HUE else PHOTOGRAPHS
    got = recolored(images, (name, factor)).astype(int)
    if name is Recoloring.HUE:  # Pillow's own has 256 hues: here the level that is nearest to the exact one
        expected = np.stack([np.round(255 * turned(image / 255, factor)) for image in images])
    else:
        expected = np.stack([np.asarray(by_pillow(Image.fromarray(image), name, factor)) for image in images])
    difference = abs(got - expected.astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.98


GRAY = [case for case in CASES if case[0] not in (Recoloring.HUE, Recoloring.GRAYSCALE)]


@pytest.mark.parametrize(("name", "factor"), GRAY, ids=lambda value: getattr(value, "name", None))
def test_of_one_channel_it_is_pillows_of_a_gray_image(name: Recoloring, factor: float):
    images = PHOTOGRAPHS[..., :1]
    expected = [np.asarray(by_pillow(Image.fromarray(image[..., 0]), name, factor)) for image in images]
    assert abs(recolored(images, (name, factor))[..., 0].astype(int) - np.stack(expected)).max() <= 1


def blended(other, value, factor):
    return np.clip(other + factor * (value - other), 0, 1)


def in_float64(image: np.ndarray, name: Recoloring, factor: float) -> np.ndarray:
    """The definition, of an image from 0 to 1 whose values are 255ths."""
    gray = (image @ [0.299, 0.587, 0.114])[..., None]
    low, high = image.min((0, 1)), image.max((0, 1))
    match name:
        case Recoloring.BRIGHTNESS:
            return blended(0, image, factor)
        case Recoloring.CONTRAST:
            return blended(gray.mean(), image, factor)
        case Recoloring.SATURATION:
            return blended(gray, image, factor)
        case Recoloring.HUE:
            return turned(image, factor)
        case Recoloring.SHARPNESS:
            smooth = image.copy()
            for y, x in itertools.product(range(1, image.shape[0] - 1), range(1, image.shape[1] - 1)):
                smooth[y, x] = (image[y - 1 : y + 2, x - 1 : x + 2].sum((0, 1)) + 4 * image[y, x]) / 13
            return blended(smooth, image, factor)
        case Recoloring.SOLARIZE:
            return np.where(image < factor, image, 1 - image)
        case Recoloring.SOLARIZE_ADD:
            return np.minimum(np.where(image < 0.5, image + factor, image), 1)
        case Recoloring.POSTERIZE:
            return (np.round(image * 255).astype(int) >> (8 - int(factor)) << (8 - int(factor))) / 255
        case Recoloring.INVERT:
            return 1 - image
        case Recoloring.AUTOCONTRAST:
            return (image - low) / (high - low)
        case Recoloring.EQUALIZE:
            return np.asarray(ImageOps.equalize(Image.fromarray(np.round(image * 255).astype(np.uint8)))) / 255
        case Recoloring.GRAYSCALE:
            return np.repeat(gray, 3, -1)
    return image


@pytest.mark.every(2)
@each_case
def test_of_floats_it_is_the_definition_without_rounding(name: Recoloring, factor: float):
    images = PHOTOGRAPHS[:, ::3, ::3] / 255
    expected = np.stack([in_float64(image, name, factor) for image in images])
    # a dozen float32 operations on numbers up to 1; hue and contrast add up 2,000 values or multiply by 6
    np.testing.assert_allclose(recolored(images.astype(np.float32), (name, factor)), expected, atol=3e-6)


NEUTRAL = [
    *((name, 1) for name in (*list(Recoloring)[1:4], Recoloring.SHARPNESS)),
    *((Recoloring.HUE, 0), (Recoloring.HUE, 1), (Recoloring.SOLARIZE, 256 / 255), (Recoloring.POSTERIZE, 8)),
    *((Recoloring.NOTHING, 5), (Recoloring.SOLARIZE_ADD, 0)),
]


@pytest.mark.parametrize(("name", "factor"), NEUTRAL, ids=lambda value: getattr(value, "name", None))
def test_neutral_factors_change_nothing(name: Recoloring, factor: float):
    assert (recolored(PHOTOGRAPHS, (name, factor)) == PHOTOGRAPHS).all()
    floats = (PHOTOGRAPHS[:, ::4, ::4] / 255).astype(np.float32)
    np.testing.assert_allclose(recolored(floats, (name, factor)), floats, atol=1e-6)  # hue's sums of numbers up to 6


LISTS = np.array([[(first + step) % len(Recoloring) for step in (0, 5, 9)] for first in Recoloring], np.int32)
AMOUNTS = RANDOM.uniform(-0.5, 2, LISTS.shape).astype(np.float32)
AMOUNTS = np.where(LISTS == Recoloring.POSTERIZE, RANDOM.integers(0, 9, LISTS.shape), AMOUNTS).astype(np.float32)


@pytest.mark.every(3)
@needs_a_compiler
@pytest.mark.parametrize("shape", [(40, 53, 3), (40, 53, 1), (3, 3, 3), (2, 5, 3), (1, 1, 3), (1, 70, 1)])
def test_the_program_and_jax_compute_the_same_bits(shape: tuple[int, int, int]):
    images = RANDOM.integers(0, 256, (len(LISTS), *shape), dtype=np.uint8)
    images[:2] //= 8  # dark ones, of few levels

    def run():
        of_one = jax.jit(jax.vmap(lambda x, which, by: (recolor(x, which, by, Recoloring), mean_color(x))))
        return jax.device_get(of_one(images, LISTS, AMOUNTS))

    fast, (lowered,) = run(), [jax.jit(jax.vmap(mean_color)).lower(images).as_text()]
    with native.switched("0"):
        plain = run()
    assert lowered.count("@jaxcnn_mean_color") == 1
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_a_compiler
def test_a_batch_is_one_call_and_threads_change_no_bit():
    run = jax.jit(jax.vmap(lambda x, which, by: recolor(x, which, by, Recoloring)))
    images = jnp.asarray(np.repeat(PHOTOGRAPHS[:, :30, :40], 7, 0)[: len(LISTS)])
    assert run.lower(images, LISTS, AMOUNTS).as_text().count("@jaxcnn_recolor") == 1
    results = []
    for threads in (1, 3, 16):
        with native.cut_for(threads):
            results.append(np.asarray(run(images, LISTS, AMOUNTS)))
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()
    alone = [np.asarray(recolor(*one, Recoloring)) for one in zip(images[:3], LISTS[:3], AMOUNTS[:3], strict=True)]
    assert (np.stack(alone) == results[0][:3]).all()


def test_a_list_is_done_in_its_order():
    both = [(Recoloring.BRIGHTNESS, 1.6), (Recoloring.SOLARIZE, 0.5)]
    there = recolored(recolored(PHOTOGRAPHS, both[0]), both[1])
    back = recolored(recolored(PHOTOGRAPHS, both[1]), both[0])
    assert (recolored(PHOTOGRAPHS, *both) == there).all()
    assert (recolored(PHOTOGRAPHS, *both[::-1]) == back).all()
    assert (there != back).any()


def test_the_mean_color_is_that_of_float64():
    expected = np.floor(PHOTOGRAPHS.mean((1, 2)) + 0.5)
    assert (np.asarray(jax.vmap(mean_color)(jnp.asarray(PHOTOGRAPHS))) == expected).all()
    floats = jnp.asarray(PHOTOGRAPHS[0] / 255, jnp.float32)
    np.testing.assert_allclose(mean_color(floats), (PHOTOGRAPHS[0] / 255).mean((0, 1)), rtol=1e-5)  # 19,200 float32


@pytest.mark.parametrize("channels", [2, 4])
def test_colors_of_other_channels_are_refused(channels: int):
    with pytest.raises(ValueError, match=f"1 or 3 channels, not {channels}"):
        recolor(jnp.zeros((4, 4, channels), jnp.uint8), jnp.array([1]), jnp.ones(1), [Recoloring.BRIGHTNESS])


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("shape", [(40, 53, 3), (7, 8, 1), (9, 7, 5)])
def test_the_program_blurs_as_jax_within_one_level_of_rounding(shape: tuple[int, int, int]):
    images = jnp.asarray(RANDOM.integers(0, 256, (6, *shape), dtype=np.uint8))
    weights = jnp.asarray(RANDOM.dirichlet(np.ones(11), 6), jnp.float32).at[0, :3].set(0).at[0, -3:].set(0)
    run = jax.jit(jax.vmap(blur))
    assert run.lower(images, weights).as_text().count("@jaxcnn_blur") == 1
    difference = abs(np.asarray(run(images, weights)).astype(int) - jax.vmap(plain_blur)(images, weights))
    assert difference.max() <= 1 and (difference == 0).mean() > 0.99
