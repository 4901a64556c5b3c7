"""Images seen through a homography, by the C++ program and by jax: against a float64 loop and PyTorch's grid_sample."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler

from jaxcnn.ops import native
from jaxcnn.ops.warp import plain_warp, warp

IDENTITY = np.eye(3, dtype=np.float32)
SIZES = [(37, 53, 3), (16, 16, 1), (1, 40, 2), (29, 1, 4), (33, 47, 7)]  # whole vectors of pixels, and not
# float32 coordinates up to 100 are wrong by 1e-5 each time they are rounded, and neighbors differ by 255 levels
ROUNDING = 0.02


@cache
def photograph() -> np.ndarray:
    """uint8 (224, 224, 3), of scikit-learn's flower."""
    from sklearn.datasets import load_sample_image

    return np.ascontiguousarray(load_sample_image("flower.jpg")[100:324, 200:424])


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def homography(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A rotation, scaling, shear, shift and perspective about the middle, all at random."""
    numbers = np.random.default_rng(seed)
    to_middle, back = np.eye(3), np.eye(3)
    to_middle[:2, 2], back[:2, 2] = (-shape[1] / 2, -shape[0] / 2), (shape[1] / 2, shape[0] / 2)
    about = np.eye(3)
    angle = numbers.uniform(-np.pi, np.pi)
    about[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    about[:2, :2] += numbers.uniform(-0.3, 0.3, (2, 2))
    about[:2, 2] = numbers.uniform(-0.2, 0.2, 2) * shape[1::-1]
    about[2, :2] = numbers.uniform(-0.3, 0.3, 2) / max(shape[:2])
    return (back @ about @ to_middle).astype(np.float32)


def looked(matrix: np.ndarray, y: int, x: int) -> tuple[float, float]:
    """Column and row, in pixels of the image, at which pixel (y, x) of the result looks."""
    u, v, w = matrix.astype(np.float64) @ (x + 0.5, y + 0.5, 1)
    return u / w - 0.5, v / w - 0.5


def in_float64(image: np.ndarray, matrix: np.ndarray, fill: np.ndarray, nearest: bool) -> np.ndarray:
    def pixel(row: int, column: int) -> np.ndarray:
        inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
        return (image[row, column] if inside else fill).astype(np.float64)

    result = np.empty(image.shape)
    for y, x in np.ndindex(*image.shape[:2]):
        column, row = looked(matrix, y, x)
        if nearest:
            result[y, x] = pixel(round(row), round(column))
            continue
        i, j = int(np.floor(row)), int(np.floor(column))
        down, right = row - i, column - j
        upper = (1 - right) * pixel(i, j) + right * pixel(i, j + 1)
        lower = (1 - right) * pixel(i + 1, j) + right * pixel(i + 1, j + 1)
        result[y, x] = (1 - down) * upper + down * lower
    return result


WAYS = {"program": warp, "jax": plain_warp}
both_ways = pytest.mark.parametrize("way", [pytest.param("program", marks=needs_a_compiler), "jax"])


@pytest.mark.every(2)
@both_ways
@pytest.mark.parametrize("shape", SIZES)
def test_every_pixel_is_the_mean_of_four_of_the_image_or_the_fill(way: str, shape: tuple[int, ...]):
    image, fill = noise(shape), noise(shape[2:], 1)
    for seed in range(3):
        matrix = homography(shape, seed)
        got = np.asarray(WAYS[way](jnp.asarray(image), jnp.asarray(matrix), jnp.asarray(fill), nearest=False))
        # rounded to whole levels
        assert np.abs(got - in_float64(image, matrix, fill, nearest=False)).max() <= 0.5 + ROUNDING
        assert got.dtype == np.uint8


@pytest.mark.every(2)
@both_ways
@pytest.mark.parametrize("shape", SIZES)
def test_the_nearest_pixel_is_the_nearest(way: str, shape: tuple[int, ...]):
    image, fill = noise(shape), noise(shape[2:], 1)
    for seed in range(3):
        matrix = homography(shape, seed)
        got = np.asarray(WAYS[way](jnp.asarray(image), jnp.asarray(matrix), jnp.asarray(fill), nearest=True))
        expected = in_float64(image, matrix, fill, nearest=True)
        places = np.array([looked(matrix, y, x) for y, x in np.ndindex(*shape[:2])]).reshape(*shape[:2], 2)
        clear = (np.abs(places % 1 - 0.5) > 1e-3).all(axis=-1)  # elsewhere the last bits decide
        assert clear.mean() > 0.95
        np.testing.assert_array_equal(got[clear], expected[clear])


@both_ways
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_photograph_is_that_of_grid_sample(way: str, nearest: bool, seed: int):
    """Which torchvision uses for all its warps of tensors. Around is black, as it is there."""
    torch = pytest.importorskip("torch")
    image = photograph()
    matrix = homography(image.shape, seed)
    got = WAYS[way](jnp.asarray(image), jnp.asarray(matrix), jnp.zeros(3, jnp.uint8), nearest=nearest)
    height, width = image.shape[:2]
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    u, v, w = np.einsum("ij,jhw->ihw", matrix.astype(np.float64), np.stack([across, down, np.ones_like(across)]))
    grid = torch.tensor(np.stack([u / w / (width / 2) - 1, v / w / (height / 2) - 1], axis=-1)[None])
    pixels = torch.tensor(image.transpose(2, 0, 1)[None].astype(np.float64))
    mode = "nearest" if nearest else "bilinear"
    sampled = torch.nn.functional.grid_sample(pixels, grid, mode, "zeros", align_corners=False)
    expected = sampled.round()[0].numpy().transpose(1, 2, 0)
    if nearest:  # of the 50,176 some look so near to the middle between two that the last bits decide
        assert (np.asarray(got) == expected).all(axis=-1).mean() > 0.999
    else:  # one level, where a half is rounded to either side
        assert np.abs(np.asarray(got) - expected).max() <= 1
        assert (np.asarray(got) == expected).mean() > 0.999


@both_ways
@pytest.mark.parametrize("nearest", [False, True])
def test_what_moves_whole_pixels_changes_none(way: str, nearest: bool):
    image, fill = noise((20, 20, 3)), jnp.array([9, 8, 7], jnp.uint8)
    run = partial(WAYS[way], jnp.asarray(image), fill=fill, nearest=nearest)
    np.testing.assert_array_equal(run(jnp.asarray(IDENTITY)), image)
    turned = np.array([[0, -1, 20], [1, 0, 0], [0, 0, 1]], np.float32)  # column 20 - y and row x
    np.testing.assert_array_equal(run(jnp.asarray(turned)), np.rot90(image))
    shifted = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1]], np.float32)  # column x + 3 and row y - 2
    expected = np.empty_like(image)
    expected[:] = np.asarray(fill)
    expected[2:, :17] = image[:-2, 3:]
    np.testing.assert_array_equal(run(jnp.asarray(shifted)), expected)


@both_ways
@pytest.mark.parametrize("nearest", [False, True])
def test_halfway_between_two_pixels_nearest_takes_the_even_one(way: str, nearest: bool):
    """As PyTorch does; a mean of two levels whose half is odd is rounded to the even one too."""
    image = np.array([[[10], [13], [20], [21]]], np.uint8)  # places 1/2, 3/2, 5/2 and, beyond the last one, 7/2
    half = np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]], np.float32)
    got = WAYS[way](jnp.asarray(image), jnp.asarray(half), jnp.zeros(1, jnp.uint8), nearest=nearest)
    assert np.asarray(got).ravel().tolist() == ([10, 20, 20, 0] if nearest else [12, 16, 20, 10])


@both_ways
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1e30])
def test_places_that_are_nowhere_have_the_color_of_the_fill(way: str, nearest: bool, value: float):
    fill = jnp.array([1, 2, 3], jnp.uint8)
    matrix = jnp.full((3, 3), value, jnp.float32).at[0, 0].set(1.0)
    got = WAYS[way](jnp.asarray(noise((9, 17, 3))), matrix.at[2].set(0.0), fill, nearest=nearest)
    assert (np.asarray(got) == np.asarray(fill)).all()


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("nearest", [False, True])
def test_the_program_differs_from_jax_by_one_level_at_most(nearest: bool):
    image, fill = jnp.asarray(photograph()), jnp.array([200, 100, 0], jnp.uint8)
    matrices = jnp.stack([jnp.asarray(homography(image.shape, seed)) for seed in range(8)])
    run = jax.vmap(partial(warp, nearest=nearest), (None, 0, None))
    fast = np.asarray(run(image, matrices, fill)).astype(int)
    with native.switched("0"):
        plain = np.asarray(run(image, matrices, fill)).astype(int)
    assert 0 < (fast != plain).mean() < 1e-3 or nearest
    if nearest:
        assert (fast != plain).any(axis=-1).mean() < 1e-3
    else:
        assert np.abs(fast - plain).max() == 1


@needs_a_compiler
@pytest.mark.parametrize("nearest", [False, True])
def test_a_batch_is_one_call_and_has_the_bits_of_its_images_whatever_the_threads(nearest: bool):
    images, fills = jnp.asarray(noise((37, 30, 33, 3))), jnp.asarray(noise((37, 3), 1))
    matrices = jnp.stack([jnp.asarray(homography((30, 33), seed)) for seed in range(37)])
    run = jax.jit(jax.vmap(partial(warp, nearest=nearest)))
    assert run.lower(images, matrices, fills).as_text().count("stablehlo.custom_call @jaxcnn_warp") == 1
    whole = np.asarray(run(images, matrices, fills))
    for threads in (1, 2, 3, 16):
        with native.cut_for(threads):
            np.testing.assert_array_equal(run(images, matrices, fills), whole)
    for n in (0, 17, 36):
        np.testing.assert_array_equal(warp(images[n], matrices[n], fills[n], nearest=nearest), whole[n])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-5), ("bfloat16", 4e-3)])
def test_floating_point_images_are_not_rounded(dtype: str, tolerance: float):
    """Numbers up to 1, at places right to 1e-5 pixels; bfloat16 has 8 bits."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_dtype_promotion("strict"):
        image = jnp.asarray(noise((12, 15, 3)) / np.float32(255), dtype)
        matrix, fill = homography(image.shape, 4), jnp.array([0.5, 0.0, 1.0], dtype)
        got = warp(image, jnp.asarray(matrix), fill)
        assert got.dtype == dtype
        expected = in_float64(np.asarray(image, np.float64), matrix, np.asarray(fill, np.float64), nearest=False)
        np.testing.assert_allclose(np.asarray(got, np.float64), expected, atol=tolerance)


def test_numbers_of_any_dtype_move_to_the_nearest():
    mask = np.random.default_rng(0).integers(-(2**30), 2**30, (14, 14, 1)).astype(np.int32)
    turned = jnp.array([[0, -1, 14], [1, 0, 0], [0, 0, 1]], jnp.float32)
    np.testing.assert_array_equal(warp(jnp.asarray(mask), turned, jnp.array([-1]), nearest=True), np.rot90(mask))
