"""Rotated, sheared, scaled, shifted, seen from another side, cropped and resized: against torchvision's formulas."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler
from PIL import Image
from scipy import stats
from test_warp import photograph

from jaxcnn.config import DataConfig, TrainConfig
from jaxcnn.data import augment as wing
from jaxcnn.data.augment import Affine, Augmentation, CenterCrop, Crop, Perspective, ResizedCrop, Rotate, augment
from jaxcnn.data.augment.warp import Warp
from jaxcnn.host.errors import InputError
from jaxcnn.ops import native
from jaxcnn.training.plan import prepare

EVERYTHING = Affine(30.0, translate=(0.1, 0.2), scale=(0.7, 1.4), shear=(20.0, 10.0), fill=(0, 90, 255))
KINDS: list[Augmentation] = [
    Rotate(40.0, fill=(7,)), EVERYTHING, Perspective(0.6, probability=1.0), ResizedCrop(), ResizedCrop(size=(20, 30)),
    CenterCrop(0.7), CenterCrop(0.5, size=(15, 40)), Rotate(90.0, interpolation="nearest", probability=0.5),
]  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "_".join(kind.words()))


def drawn(kind: Augmentation, shape: tuple[int, ...], seed: int = 0):
    return jax.jit(lambda key: kind.draw(key, shape))(jax.random.key(seed))


def looking(matrix: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The image seen through a float64 matrix of places in pixels, by PyTorch as torchvision does; black around."""
    torch = pytest.importorskip("torch")
    height, width = image.shape[:2]
    across, down = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    u, v, w = np.einsum("ij,jhw->ihw", matrix, np.stack([across, down, np.ones_like(across)]))
    grid = torch.tensor(np.stack([2 * u / w / width - 1, 2 * v / w / height - 1], axis=-1)[None])
    pixels = torch.tensor(image.transpose(2, 0, 1)[None].astype(np.float64))
    sampled = torch.nn.functional.grid_sample(pixels, grid, "bilinear", "zeros", align_corners=False)
    return sampled.round()[0].numpy().transpose(1, 2, 0)


def rotated(degrees: float) -> np.ndarray:
    """Clockwise, as y is down."""
    angle = math.radians(degrees)
    return np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])


def moved(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])


def sheared(along_x: float, along_y: float) -> np.ndarray:
    """Along the width first: torchvision's R(angle) S(scale) SHy(y) SHx(x), with -tan off the diagonal."""
    x, y = (-math.tan(math.radians(angle)) for angle in (along_x, along_y))
    return np.array([[1, 0, 0], [y, 1, 0], [0, 0, 1]]) @ np.array([[1, x, 0], [0, 1, 0], [0, 0, 1]])


def within_a_level(got, expected: np.ndarray) -> None:
    """One, where the last bits decide how a half is rounded: float32 places are wrong by some 1e-4 pixels."""
    different = np.abs(np.asarray(got).astype(int) - expected)
    assert different.max() <= 1 and (different > 0).mean() < 2e-3


@pytest.mark.parametrize("angle", [-77.0, 12.5, 180.0])
def test_rotate_is_torchvisions_and_counterclockwise(angle: float):
    image = photograph()[:180]
    about = moved(112, 90) @ rotated(-angle) @ moved(-112, -90)
    got = jax.jit(Rotate(180.0).change)(jnp.asarray(image), {"angle": jnp.float32(angle)})
    within_a_level(got, looking(np.linalg.inv(about), image))
    quarter = jax.jit(Rotate(90.0).change)(jnp.asarray(photograph()), {"angle": jnp.float32(90)})
    np.testing.assert_array_equal(quarter, np.rot90(photograph()))  # NumPy's, too, is counterclockwise


@pytest.mark.parametrize("seed", range(3))
def test_affine_is_torchvisions(seed: int):
    image = photograph()[:180]
    numbers = jax.tree.map(np.asarray, drawn(EVERYTHING, image.shape, seed))
    linear = rotated(numbers["angle"]) @ np.diag([numbers["scale"], numbers["scale"], 1]) @ sheared(*numbers["shear"])
    about = moved(*numbers["shift"]) @ moved(112, 90) @ linear @ moved(-112, -90)
    got = jax.jit(Affine(1.0).change)(jnp.asarray(image), numbers)
    within_a_level(got, looking(np.linalg.inv(about), image))


@pytest.mark.parametrize("seed", range(3))
def test_perspective_is_torchvisions(seed: int):
    """Whose matrix solves eight equations: from where the corners lie to where they were, at pixels' numbers."""
    image, kind = photograph()[:180], Perspective(0.6)
    numbers = drawn(kind, image.shape, seed)
    rows, numbers_there = [], [(0, 0), (223, 0), (223, 179), (0, 179)]
    for (x, y), (u, v) in zip(np.asarray(numbers["corners"]).tolist(), numbers_there, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = np.linalg.solve(np.array(rows, float), np.ravel(numbers_there))
    within_a_level(
        jax.jit(kind.change)(jnp.asarray(image), numbers), looking(np.append(solved, 1).reshape(3, 3), image)
    )


NEUTRAL = {
    "rotate": (Rotate(30.0), {"angle": 0.0}),
    "affine": (EVERYTHING, {"angle": 0.0, "shift": [0.0, 0.0], "scale": 1.0, "shear": [0.0, 0.0]}),
    "perspective": (Perspective(), {"corners": [[0, 0], [40, 0], [40, 29], [0, 29]]}),
    "resized_crop": (ResizedCrop(), {"box": [0, 0, 30, 41]}),
    "center_crop": (CenterCrop(1.0), {"box": [0, 0, 30, 41]}),
}
both_ways = pytest.mark.parametrize("program", [pytest.param("1", marks=needs_a_compiler), "0"])


@pytest.mark.thorough
@both_ways
@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_numbers_change_nothing(name: str, program: str):
    kind, numbers = NEUTRAL[name]
    image = photograph()[:30, :41]
    with native.switched(program):
        same = jax.jit(kind.change)(jnp.asarray(image), {name: jnp.asarray(value) for name, value in numbers.items()})
    np.testing.assert_array_equal(same, image)


@pytest.mark.every(4)
@both_ways
@pytest.mark.parametrize(
    "kind", [EVERYTHING, ResizedCrop(size=(20, 30), scale=(0.3, 0.8))], ids=lambda kind: kind.kind()
)
def test_an_example_has_the_same_bits_alone_and_in_a_batch(kind: Augmentation, program: str):
    images = jnp.asarray(np.stack([photograph()[i : i + 40, i : i + 50] for i in range(12)]))
    with native.switched(program):
        run = jax.jit(lambda some: augment(images[some], some, jax.random.key(3), (kind,)))
        whole = run(jnp.arange(12))
        assert whole.shape[1:] == kind.shape_after(images.shape[1:]) and whole.dtype == jnp.uint8
        for some in ([7], [11, 2]):
            np.testing.assert_array_equal(run(jnp.array(some)), whole[jnp.array(some)])


def test_inside_shard_map_it_is_the_same():
    images, ids = jnp.asarray(photograph()[None, :40, :50]), jnp.arange(1)
    run = partial(augment, rng=jax.random.key(3), augmentations=(EVERYTHING, ResizedCrop()))
    part = jax.sharding.PartitionSpec("devices")
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("devices",))
    mapped = jax.shard_map(run, mesh=mesh, in_specs=(part, part), out_specs=part)
    # jax computes there, and rounds other halves than the program: up to twice, as the one resizes what the other warps
    assert np.abs(np.asarray(jax.jit(mapped)(images, ids)).astype(int) - jax.jit(run)(images, ids)).max() <= 2


@pytest.mark.every(4)
@every_kind
def test_floating_point_images_are_changed_alike(kind: Augmentation):
    """Up to the rounding of bytes: half a level, and after the first direction of resizing another half."""
    images = jnp.asarray(np.stack([photograph()[i : i + 40, i : i + 50] for i in range(4)]))
    run = jax.jit(lambda images: augment(images, jnp.arange(4), jax.random.key(0), (kind,)))
    of_bytes, of_floats = run(images), run(images / 255)
    assert of_bytes.dtype == jnp.uint8 and of_floats.dtype == jnp.float32
    assert (of_bytes[0] != of_bytes[1]).any()
    assert np.abs(np.asarray(of_floats) * 255 - np.asarray(of_bytes)).max() <= 1


@pytest.mark.every(2)
@every_kind
def test_masks_and_boxes_follow_their_images(kind: Augmentation):
    """Of a white rectangle: the mask is 1 where the image stays white, 0 where it is black, also around it."""
    kind = replace(kind, fill=(0,)) if isinstance(kind, Warp) else kind
    box, size, count = (12, 20, 26, 37), (40, 50), 16
    mask = np.zeros((count, *size), np.int32)
    mask[:, box[0] : box[2], box[1] : box[3]] = 1
    images = jnp.asarray(255 * mask[..., None], jnp.uint8)
    given = jnp.broadcast_to(jnp.array([box, (5, 5, 5, 9)], jnp.float32), (count, 2, 4))

    @jax.jit
    def run():
        numbers = wing.sample((*size, 1), jnp.arange(count), jax.random.key(1), (kind,))
        masks = wing.replay_masks(jnp.asarray(mask), numbers, (kind,))
        return wing.replay(images, numbers, (kind,)), masks, wing.replay_boxes(given, (*size, 1), numbers, (kind,))

    shown, masks, boxes = (np.asarray(array) for array in run())
    shown = shown[..., 0]
    assert masks.shape == shown.shape and masks.dtype == np.int32
    assert (masks[shown == 255] == 1).all() and (masks[shown == 0] == 0).all()
    assert (shown == 255).sum() > 0.1 * mask.sum() and (shown == 0).any()
    assert (boxes[:, 1, 0] >= boxes[:, 1, 2]).all()  # what is empty stays so
    for one, (top, left, bottom, right) in zip(shown, boxes[:, 0], strict=True):
        rows, columns = np.nonzero(one.max(1) > 127)[0], np.nonzero(one.max(0) > 127)[0]
        if not len(rows):
            continue
        # pixels whose middle is inside; a corner may reach further than its last such pixel
        assert top <= rows[0] + 0.5 and left <= columns[0] + 0.5
        assert bottom >= rows[-1] + 0.5 and right >= columns[-1] + 0.5
        assert rows[0] - top < 4 and columns[0] - left < 4 and bottom - rows[-1] < 5 and right - columns[-1] < 5


@pytest.mark.parametrize("box", [(0, 0, 40, 50), (3, 7, 11, 29), (20, 1, 1, 3)])
def test_a_mask_is_resized_as_by_pillow(box: tuple[int, int, int, int]):
    mask = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    top, left, height, width = box
    for size in ((40, 50), (17, 23), (80, 91)):
        got = jax.jit(ResizedCrop(size=size).change_mask)(jnp.asarray(mask), {"box": jnp.array(box)})
        picture = Image.fromarray(mask).crop((left, top, left + width, top + height))
        np.testing.assert_array_equal(got, picture.resize((size[1], size[0]), Image.Resampling.NEAREST))


# what is drawn


def draws(kind: Augmentation, shape: tuple[int, ...], count: int = 10_000) -> dict[str, np.ndarray]:
    keys = jax.random.split(jax.random.key(5), count)
    found = jax.jit(jax.vmap(lambda key: kind.draw(key, shape)))(keys)
    return {name: np.asarray(numbers) for name, numbers in found.items()}


def torchvisions_box(numbers: np.random.Generator, height: int, width: int, scale, ratio) -> tuple[int, int, int, int]:
    """One draw of its RandomResizedCrop, as a loop: top, left, height, width."""
    for _ in range(10):
        area = height * width * numbers.uniform(*scale)
        proportions = math.exp(numbers.uniform(math.log(ratio[0]), math.log(ratio[1])))
        wide, high = round(math.sqrt(area * proportions)), round(math.sqrt(area / proportions))
        if 0 < wide <= width and 0 < high <= height:
            return numbers.integers(height - high + 1), numbers.integers(width - wide + 1), high, wide
    high, wide = height, width
    if width / height < ratio[0]:
        high = round(width / ratio[0])
    elif width / height > ratio[1]:
        wide = round(height * ratio[1])
    return (height - high) // 2, (width - wide) // 2, high, wide


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shape", "scale", "ratio"),
    [
        ((224, 224), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((120, 300), (0.08, 1.0), (3 / 4, 4 / 3)),  # wide: many do not fit, and one in ten thousand times ten none
        ((300, 90), (0.5, 1.0), (3 / 4, 4 / 3)),  # too high: it is always the middle
        ((70, 211), (0.5, 1.0), (3 / 4, 4 / 3)),  # too wide
        ((90, 100), (0.9, 1.0), (0.5, 2.0)),  # often none fits, and then it is the whole image
    ],
)
def test_boxes_are_distributed_as_torchvisions(shape: tuple[int, int], scale, ratio):
    """By the test of Kolmogorov and Smirnov, on its area, proportions and place; with a fixed seed."""
    numbers = np.random.default_rng(0)
    expected = np.array([torchvisions_box(numbers, *shape, scale, ratio) for _ in range(10_000)])
    got = draws(ResizedCrop(scale=scale, ratio=ratio), (*shape, 3))["box"]
    assert got.dtype == np.int32
    assert (got[:, :2] >= 0).all() and (got[:, :2] + got[:, 2:] <= shape).all()
    of = {"area": lambda box: box[:, 2] * box[:, 3], "proportions": lambda box: box[:, 3] / box[:, 2],
          "top": lambda box: box[:, 0], "left": lambda box: box[:, 1]}  # fmt: skip
    for name, number in of.items():
        assert stats.ks_2samp(number(got), number(expected)).pvalue > 0.01, name


def test_angles_scales_shears_and_shifts_are_uniform():
    """Seven tests, of which the least probable has one in a thousand; with a fixed seed."""
    found = draws(EVERYTHING, (100, 200, 3))
    ranges = {"angle": [(-30, 30)], "scale": [(0.7, 1.4)], "shear": [(-20, 20), (-10, 10)]}
    for name, bounds in ranges.items():
        for (low, high), values in zip(bounds, found[name].reshape(len(found[name]), -1).T, strict=True):
            assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.001, name
    for values, largest in zip(found["shift"].T, (20, 20), strict=True):  # a tenth of the width, a fifth of the height
        whole, counts = np.unique(values, return_counts=True)
        np.testing.assert_array_equal(whole, np.arange(-largest, largest + 1))
        expected = np.full(len(whole), 10_000 / (2 * largest))
        expected[[0, -1]] /= 2  # what is rounded to the ends comes from one side only
        assert stats.chisquare(counts, expected).pvalue > 0.001
    angles = draws(Rotate(15.0), (8, 8, 1))["angle"]
    assert stats.kstest(angles, stats.uniform(-15, 30).cdf).pvalue > 0.001


def test_corners_move_inwards_by_any_whole_number_up_to_the_furthest():
    corners = draws(Perspective(0.5), (41, 60, 3))["corners"]  # by int(0.5 * 30) and int(0.5 * 20) at most
    for corner, (x, y) in zip(corners.transpose(1, 2, 0), [(0, 0), (59, 0), (59, 40), (0, 40)], strict=True):
        for values, start, furthest in ((corner[0], x, 15), (corner[1], y, 10)):
            whole, counts = np.unique(np.abs(values - start), return_counts=True)
            np.testing.assert_array_equal(whole, np.arange(furthest + 1))
            assert ((values - start) * (1 if start == 0 else -1) >= 0).all()
            assert stats.chisquare(counts).pvalue > 0.001  # of eight such tests, the least


@pytest.mark.parametrize(("fraction", "box"), [(0.875, (16, 16, 224, 224)), (0.5, (64, 64, 128, 128))])
def test_the_middle_is_cut_out_without_resizing_where_it_has_the_size(fraction: float, box: tuple[int, ...]):
    image = jnp.asarray(np.tile(photograph(), (2, 2, 1))[:256, :256])
    crop = CenterCrop(fraction, size=(box[2], box[3]))
    assert tuple(crop.draw(jax.random.key(0), image.shape)["box"].tolist()) == box
    top, left, height, width = box
    np.testing.assert_array_equal(crop(jax.random.key(0), image), image[top : top + height, left : left + width])


# settings


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("rotate=20 fill=128", Rotate(20.0, fill=(128,))),
        ("affine=0 scale=0.5,2 interpolation=nearest", Affine(0.0, scale=(0.5, 2), interpolation="nearest")),
        ("perspective=0.3 probability=1", Perspective(0.3, probability=1.0)),
        ("resized_crop size=20,30", ResizedCrop(size=(20, 30))),
        ("resized_crop ratio=1,1", ResizedCrop(ratio=(1, 1))),
        ("center_crop=0.5", CenterCrop(0.5)),
    ],
)
def test_words_and_values_are_the_same(words: str, value: Augmentation):
    assert Augmentation.parse(words.split()) == (value,)
    assert Augmentation.parse(value.words()) == (value,)
    assert Augmentation.from_json(value.to_json()) == value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("rotate fill=256", "rotate's fill must be levels from 0 to 255, not (256,)"),
        ("affine=0", "affine of 0 degrees changes nothing without translate, scale or shear"),
        ("affine translate=0.1,2", "affine's translate must be shares of the width and height in [0, 1], not (0.1, 2)"),
        ("affine scale=2,1", "affine's scale must be a smallest and a largest factor above 0, not (2, 1)"),
        ("affine shear=0,90", "affine's shear must be less than 90 degrees, not (0, 90)"),
        ("perspective=1.5", "perspective's distortion must be in [0, 1], not 1.5"),
        (
            "resized_crop scale=0,1",
            "resized_crop's scale must be a smallest and a largest share of the area in (0, 1], ",
        ),
        (
            "resized_crop ratio=2,1",
            "resized_crop's ratio must be a smallest and a largest width over height, not (2, 1)",
        ),
        ("resized_crop size=0,3", "resized_crop's size must be a height and width above 0, not (0, 3)"),
        ("center_crop size=3,3 probability=0.5", "center_crop with a size must have probability 1: "),
        ("center_crop=0", "center_crop's fraction must be in (0, 1], not 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, sentence: str):
    with pytest.raises(InputError, match=re.escape(sentence)):
        Augmentation.parse(words.split())


def test_a_line_of_pixels_has_no_four_corners():
    with pytest.raises(ValueError, match="perspective needs images of 2x2 pixels or more, not 1x9"):
        Perspective().check_shape((1, 9, 3))
    Perspective().check_shape((2, 2, 3))


def test_one_color_or_one_for_every_channel():
    with pytest.raises(ValueError, match="rotate's fill has 2 levels, but the images have 3 channels"):
        Rotate(fill=(1, 2)).check_shape((8, 8, 3))
    Rotate(fill=(1,)).check_shape((8, 8, 3))
    Rotate(fill=(1, 2, 3)).check_shape((8, 8, 3))


def test_the_next_augmentation_works_with_the_size_that_the_one_before_gives():
    chain = (CenterCrop(0.5, size=(10, 12)), Crop(9), ResizedCrop(size=(31, 20)))
    assert wing.shape_after((40, 50, 3), chain) == (31, 20, 3)
    with pytest.raises(ValueError, match="crop's padding 9 must be less than the images' 8x12"):
        wing.shape_after((40, 50, 3), (CenterCrop(size=(8, 12)), *chain[1:]))

    @jax.jit
    def run(images, boxes):
        numbers = wing.sample((40, 50, 3), jnp.arange(1), jax.random.key(0), chain)
        masks = wing.replay_masks(images[..., 0], numbers, chain)
        return wing.replay(images, numbers, chain), masks, wing.replay_boxes(boxes, (40, 50, 3), numbers, chain)

    images, masks, boxes = run(jnp.asarray(photograph()[None, :40, :50]), jnp.array([[[0.0, 0, 40, 50]]]))
    assert images.shape == (1, 31, 20, 3) and masks.shape == (1, 31, 20)
    assert (boxes >= 0).all() and (boxes <= jnp.array([31, 20, 31, 20])).all()


def test_a_run_is_trained_and_tested_at_one_size():
    def plan(*augmentations: Augmentation):
        return prepare(TrainConfig(data=DataConfig("digits", size=(28, 28), augment=augmentations)))

    sentence = "data.augment: the images end as 20x20x1, but the network is laid out for 28x28x1"
    with pytest.raises(InputError, match=sentence):
        plan(ResizedCrop(size=(20, 20)))
    assert plan(ResizedCrop(size=(20, 20)), ResizedCrop(size=(28, 28))).recipe.augment
