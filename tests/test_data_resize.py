"""Crop, pad and squash, against a float64 loop over the antialiased triangle and against torchvision's presets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_folders import SHARED, encoded, load
from PIL import Image

from jaxcnn.commands.predict import Predict
from jaxcnn.config import DataConfig, TrainConfig
from jaxcnn.data.images import decode
from jaxcnn.data.resize import Fit, center, covers, fit, resize
from jaxcnn.host.errors import InputError
from jaxcnn.training.run_folder import Facts
from jaxcnn.training.trained import Trained
from jaxcnn.weights.preprocessing import Preprocessing
from jaxcnn.zoo import create

RNG = np.random.default_rng(0)
# Pillow rounds to whole levels after each of the two directions; the last bits of the loop in float64 come on top.
LEVEL = 1 + 1e-9


def photograph(height: int, width: int, channels: int = 3) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, channels)).astype(np.uint8)


def triangle(old: int, new: int) -> np.ndarray:
    """The weights (new, old) of linear interpolation along one axis, widened over all the pixels it shrinks."""
    scale = old / new
    reach = max(scale, 1.0)
    centers = (np.arange(new)[:, None] + 0.5) * scale
    weights = np.maximum(1 - np.abs(np.arange(old) + 0.5 - centers) / reach, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A float64 (*size, C) of what `resize` rounds."""
    rows, columns = triangle(image.shape[0], size[0]), triangle(image.shape[1], size[1])
    return np.einsum("hi,wj,ijc->hwc", rows, columns, image.astype(np.float64))


@pytest.mark.parametrize(
    ("old", "new"), [((40, 61), (20, 30)), ((31, 17), (9, 33)), ((8, 8), (28, 28)), ((5, 7), (5, 3))]
)
def test_resize_is_the_antialiased_triangle(old: tuple[int, int], new: tuple[int, int]):
    image = photograph(*old)
    assert np.abs(resize(image, new) - resized(image, new)).max() <= LEVEL


@pytest.mark.every(4)
@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (41, 77), (300, 33), (33, 300)])
@pytest.mark.parametrize("size", [(24, 24), (20, 32), (32, 20)])
def test_crop_keeps_the_middle_of_the_proportions(shape: tuple[int, int], size: tuple[int, int]):
    image = photograph(*shape)
    scale = max(size[0] / shape[0], size[1] / shape[1])
    whole = [int(side * scale + 1e-9) for side in shape]  # a fraction of a pixel is cut off
    assert covers(image, size) == tuple(whole) and whole[0] >= size[0] and whole[1] >= size[1]
    top, left = (round((side - wanted) / 2) for side, wanted in zip(whole, size, strict=True))
    expected = resized(image, (whole[0], whole[1]))[top : top + size[0], left : left + size[1]]
    assert np.abs(fit(image, size, how="crop") - expected).max() <= LEVEL


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (300, 33), (2, 300)])
@pytest.mark.parametrize("size", [(24, 24), (20, 32)])
def test_pad_shows_the_whole_image_between_black(shape: tuple[int, int], size: tuple[int, int]):
    image = np.maximum(photograph(*shape), 100)
    scale = min(size[0] / shape[0], size[1] / shape[1])
    whole = [max(round(side * scale), 1) for side in shape]
    padded = fit(image, size, how="pad")
    top, left = (-round((side - wanted) / 2) for side, wanted in zip(whole, size, strict=True))
    inside = (slice(top, top + whole[0]), slice(left, left + whole[1]))
    assert padded.shape == (*size, 3)
    assert np.abs(padded[inside] - resized(image, (whole[0], whole[1]))).max() <= LEVEL
    black = np.ones(size, bool)
    black[inside] = False
    assert (padded[black] == 0).all() and (padded[~black] > 0).all()


def as_torchvision_shows(image: np.ndarray, shorter: int, size: tuple[int, int]) -> np.ndarray:
    """Resize and CenterCrop by Pillow: a fraction of a pixel is cut off, half a pixel goes to the even side."""
    height, width = image.shape[:2]
    long = int(shorter * max(height, width) / min(height, width))
    whole = (shorter, long) if height <= width else (long, shorter)
    picture = Image.fromarray(image).resize((whole[1], whole[0]), Image.Resampling.BILINEAR)
    top, left = (round((side - wanted) / 2.0) for side, wanted in zip(whole, size, strict=True))
    return np.asarray(picture.crop((left, top, left + size[1], top + size[0])))


@pytest.mark.parametrize("shape", [(40, 61), (61, 40), (45, 45), (20, 30), (300, 33), (24, 24)])
@pytest.mark.parametrize(("shorter", "size"), [(32, (28, 28)), (31, (24, 24)), (24, (24, 24)), (32, (20, 31))])
def test_the_middle_of_a_larger_image_is_that_of_torchvisions_presets(
    shape: tuple[int, int], shorter: int, size: tuple[int, int]
):
    image = photograph(*shape)
    np.testing.assert_array_equal(fit(image, size, shorter=shorter), as_torchvision_shows(image, shorter, size))


def test_squash_lets_the_proportions_go():
    image = photograph(30, 50)
    np.testing.assert_array_equal(fit(image, (20, 20), how="squash"), resize(image, (20, 20)))


@pytest.mark.parametrize("how", ["crop", "pad", "squash"])
def test_of_the_same_proportions_nothing_is_cut_or_added(how: Fit):
    for shape, size in (((8, 8), (28, 28)), ((28, 28), (32, 32)), ((30, 20), (15, 10)), ((33, 77), (3, 7))):
        image = photograph(*shape, 1)
        np.testing.assert_array_equal(fit(image, size, how=how), resize(image, size))


def test_the_middle_of_a_smaller_image_stands_between_black():
    image = photograph(4, 7)
    result = center(image, (6, 4))
    np.testing.assert_array_equal(result[1:5], image[:, 2:6])
    assert not result[[0, 5]].any()


@pytest.mark.parametrize(("how", "shorter"), [("crop", None), ("pad", None), ("squash", None), ("crop", 19)])
def test_training_shows_what_predict_shows(tmp_path: Path, how: Fit, shorter: int | None):
    for label in ("a", "b"):
        for number in range(3):
            (tmp_path / "x" / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph(15 + number, 33 - 17 * (number % 2))).save(
                tmp_path / "x" / label / f"{number}.png"
            )
    dataset = load(tmp_path / "x", size=(16, 16), fit=how, resize=shorter)
    shown = {image.tobytes() for image in (*dataset.train.images, *dataset.test.images)}
    files = sorted((tmp_path / "x").rglob("*.png"))
    expected = [decode(file.read_bytes(), "x.png", (16, 16), how=how, shorter=shorter) for file in files]
    assert shown == {image.tobytes() for image in expected}
    assert len(shown) == 6


@pytest.mark.parametrize(("how", "shorter"), [("squash", None), ("crop", None), ("crop", 40)])
def test_predict_reads_a_file_as_its_run_did(tmp_path: Path, monkeypatch, how: Fit, shorter: int | None):
    config = TrainConfig(data=DataConfig(size=(28, 28), fit=how, resize=shorter))
    run = Trained(config, Facts(("a", "b"), (28, 28, 1), (0.5,), (0.5,)), create("lenet5"), {}, {}, "last")
    monkeypatch.setattr(Predict, "restored", lambda self, folder: run)
    file = tmp_path / "x.png"
    Image.fromarray(photograph(50, 61, 1)[..., 0]).save(file)
    shown = Predict(folder=tmp_path)._of_run().read(file)
    np.testing.assert_array_equal(shown, decode(file.read_bytes(), "x.png", (28, 28), 1, how, shorter))


# what published weights want


def test_a_turned_photograph_is_the_upright_one_for_published_weights(tmp_path: Path):
    picture, exif = Image.fromarray(photograph(300, 260)), Image.Exif()
    exif[0x0112] = 6  # EXIF 2.32, section 4.6.4: to be turned a quarter to the right
    picture.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    picture.save(tmp_path / "upright.png")
    np.testing.assert_array_equal(Preprocessing()(tmp_path / "turned.png"), Preprocessing()(tmp_path / "upright.png"))


def test_gray_of_16_bits_is_not_white_for_published_weights(tmp_path: Path):
    levels = photograph(256, 256, 1)[..., 0]
    Image.fromarray(levels).save(tmp_path / "8.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "16.png")
    np.testing.assert_array_equal(Preprocessing()(tmp_path / "16.png"), Preprocessing()(tmp_path / "8.png"))


@pytest.mark.parametrize("mode", ["P", "L", "1", "CMYK", "RGBA", "LA"])
def test_every_color_is_that_of_training_for_published_weights(tmp_path: Path, mode: str):
    file = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    file.write_bytes(encoded(Image.fromarray(photograph(64, 64)).convert(mode), "TIFF" if mode == "CMYK" else "PNG"))
    plain = Preprocessing(64, 64, mean=(0, 0, 0), std=(1, 1, 1), high=255.0)
    np.testing.assert_array_equal(plain(file), decode(file.read_bytes(), "x.png", channels=3))


def test_a_resize_below_the_crop_is_refused():
    with pytest.raises(ValueError, match="resize 200 is less than the crop of 224"):
        Preprocessing(200)


def test_a_line_of_pixels_is_named(tmp_path: Path):
    Image.new("L", (10_000_000, 1)).save(tmp_path / "line.png")
    with pytest.raises(InputError, match=r"line\.png: 1x10000000 is too long and thin"):
        Preprocessing()(tmp_path / "line.png")


def test_photographs_are_those_of_torchvisions_presets():
    transforms = pytest.importorskip("torchvision.transforms.functional", reason="torchvision is not installed")
    photographs = sorted(SHARED.glob("imagenet-sample/*/*"))[::25]
    if not photographs:
        pytest.skip(f"{SHARED}/imagenet-sample is absent: set JAXCNN_SHARED_DATA")
    for file in photographs:
        picture = transforms.center_crop(transforms.resize(Image.open(file).convert("RGB"), [256]), [224])
        plain = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), high=255.0)
        np.testing.assert_array_equal(plain(file), np.asarray(picture))
