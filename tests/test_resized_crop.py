"""Boxes of images, resized with antialias, by the C++ program and by jax: against a loop over integers and Pillow."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler
from PIL import Image

from jaxcnn.ops import native
from jaxcnn.ops.resized_crop import plain_resized_crop, resized_crop

# an image, a box (top, left, height, width) and a size: enlarged, shrunk, in one direction only, whole vectors and not
CASES = [
    ((30, 41, 3), (3, 5, 20, 30), (45, 64)),
    ((60, 90, 1), (1, 2, 57, 80), (17, 23)),
    ((50, 40, 3), (0, 0, 50, 40), (20, 77)),
    ((50, 40, 4), (10, 20, 7, 11), (70, 5)),
    ((300, 20, 3), (0, 19, 300, 1), (3, 16)),
    ((21, 33, 7), (4, 4, 16, 16), (16, 16)),
    ((9, 9, 2), (8, 8, 1, 1), (12, 19)),
]
WAYS = {"program": resized_crop, "jax": jax.jit(plain_resized_crop, static_argnames="size")}
both_ways = pytest.mark.parametrize("way", [pytest.param("program", marks=needs_a_compiler), "jax"])


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@cache
def photograph(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(name)


def triangle(old: int, new: int) -> np.ndarray:
    """Shares float64 (new, old): a triangle as wide as the pixels, or as those of the result if these are wider."""
    scale = old / new
    centers = (np.arange(new)[:, None] + 0.5) * scale
    shares = np.maximum(1 - np.abs(np.arange(old) + 0.5 - centers) / max(scale, 1.0), 0)
    return shares / shares.sum(axis=1, keepdims=True)


def cut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    top, left, height, width = box
    return image[top : top + height, left : left + width]


def in_integers(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shares of 22 bits, rounded halves up, and whole levels after each direction: along the rows first."""

    def along(axis: int, pixels: np.ndarray) -> np.ndarray:
        shares = np.floor(triangle(pixels.shape[axis], size[axis]) * 2**22 + 0.5).astype(np.int64)
        sums = np.moveaxis(np.tensordot(shares, pixels.astype(np.int64), (1, axis)), 0, axis)
        return np.minimum((sums + 2**21) >> 22, 255)

    return along(0, along(1, image))


@both_ways
@pytest.mark.parametrize(("shape", "box", "size"), CASES)
def test_the_bits_are_those_of_two_passes_in_integers(way: str, shape, box, size):
    image = noise(shape)
    got = np.asarray(WAYS[way](jnp.asarray(image), jnp.array(box), size=size))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, in_integers(cut(image, box), size))


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("box", [(0, 0, 427, 640), (50, 60, 300, 300), (7, 11, 100, 130), (200, 300, 224, 224)])
@both_ways
def test_a_photograph_is_that_of_pillow(way: str, name: str, box: tuple[int, int, int, int]):
    """The same bits, where Pillow goes along the rows first: all but its version 13, for what becomes much lower."""
    image, (top, left, height, width) = photograph(name), box
    for size in ((224, 224), (150, 101)):
        picture = Image.fromarray(image).crop((left, top, left + width, top + height))
        expected = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)).astype(int)
        got = np.asarray(WAYS[way](jnp.asarray(image), jnp.array(box), size=size)).astype(int)
        assert np.abs(got - expected).max() <= 1
        if height / size[0] <= width / size[1]:
            np.testing.assert_array_equal(got, expected)


@both_ways
def test_a_box_of_the_wanted_size_is_cut_out(way: str):
    image = noise((40, 50, 3))
    got = WAYS[way](jnp.asarray(image), jnp.array([7, 9, 32, 24]), size=(32, 24))
    np.testing.assert_array_equal(got, image[7:39, 9:33])


@needs_a_compiler
def test_a_batch_is_one_call_and_has_the_bits_of_its_images_whatever_the_threads():
    numbers = np.random.default_rng(0)
    sides = numbers.integers(1, 30, (37, 2))
    boxes = jnp.asarray(np.concatenate([numbers.integers(0, [30, 40] - sides + 1), sides], axis=1), jnp.int32)
    images = jnp.asarray(noise((37, 30, 40, 3)))
    run = jax.jit(jax.vmap(partial(resized_crop, size=(20, 33))))
    assert run.lower(images, boxes).as_text().count("stablehlo.custom_call @jaxcnn_resized_crop") == 1
    whole = np.asarray(run(images, boxes))
    for threads in (1, 2, 3, 16):
        with native.cut_for(threads):
            np.testing.assert_array_equal(run(images, boxes), whole)
    for n in (0, 17, 36):
        np.testing.assert_array_equal(resized_crop(images[n], boxes[n], (20, 33)), whole[n])
    with native.switched("0"):  # jax counts in the same integers
        np.testing.assert_array_equal(run(images, boxes), whole)


@pytest.mark.every(2)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-5), ("bfloat16", 4e-3)])
def test_floating_point_images_are_not_rounded(dtype: str, tolerance: float):
    """Numbers up to 1, by shares in float32; bfloat16 has 8 bits."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_dtype_promotion("strict"):
        image = jnp.asarray(noise((40, 31, 3)) / np.float32(255), dtype)
        got = resized_crop(image, jnp.array([2, 3, 30, 21]), (17, 40))
        assert got.dtype == dtype
        pixels = cut(np.asarray(image, np.float64), (2, 3, 30, 21))
        expected = np.einsum("yi,xj,ijc->yxc", triangle(30, 17), triangle(21, 40), pixels)
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, atol=tolerance)


@needs_a_compiler
@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 0, 5), (6, 0, 5, 5), (0, 8, 5, 5), (0, 0, 5, 2**31 - 1)])
def test_a_box_that_leaves_its_image_is_an_error(box: tuple[int, int, int, int]):
    with pytest.raises(jax.errors.JaxRuntimeError, match="must lie in its image"):
        jax.block_until_ready(resized_crop(jnp.asarray(noise((10, 12, 3))), jnp.array(box), (4, 4)))
