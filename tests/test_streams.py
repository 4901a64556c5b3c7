"""Streamed images: the same pixels as in memory, the same training to the bit, and no more of them than are needed."""

from __future__ import annotations

import io
import itertools
import math
import os
import signal
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_folders import CLASSES, encoded, load, packed, pixels, refused, write
from PIL import Image
from rich.console import Console

from jaxcnn import data
from jaxcnn.config import (
    SGD,
    AlternatingFlip,
    Crop,
    DataConfig,
    Flip,
    MixUp,
    OptimizerConfig,
    ResizedCrop,
    TrainConfig,
    Views,
)
from jaxcnn.data.augment.from_files import box, from_files
from jaxcnn.data.images import decode, decode_box
from jaxcnn.data.read_ahead import AHEAD, read_ahead
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.errors import InputError
from jaxcnn.training import loop
from jaxcnn.training import run as runs
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run

QUIET = Console(quiet=True)


def photographs(folder: Path, classes: int = 2, each: int = 20, size: tuple[int, int] = (20, 24)) -> Path:
    """JPEGs of smooth noise in class folders, as `train/` and `test/`."""
    for split, count in ("train", each), ("test", 4):
        for label in range(classes):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for number in range(count):
                rng = np.random.default_rng([label, number, len(split)])
                small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8))
                small.resize(size[::-1], Image.Resampling.BICUBIC).save(place / f"{number:03}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return photographs(tmp_path_factory.mktemp("photographs") / "all")


def config(folder: Path, **options) -> TrainConfig:
    given = {"size": (16, 16), "channels": 3, "stream": True, "augment": (AlternatingFlip(), Crop(1), MixUp(0.5))}
    return TrainConfig(
        name="streamed", network="mlp", network_options={"width": 16}, epochs=2, batch_size=16,
        data=DataConfig(f"folder:{folder}", **(given | options)), optimizer=OptimizerConfig(SGD(), lr=0.05),
    )  # fmt: skip


def run(given: TrainConfig, results: Path, **options) -> dict:
    return fit(given, results=results, console=QUIET, **options)


@pytest.mark.parametrize("kind", ["directory", "zip", "tar"])
def test_the_pixels_are_those_of_memory(kind: str, tmp_path: Path):
    write(tmp_path / "all", 5)
    place = tmp_path / "all" if kind == "directory" else packed(tmp_path / "all", kind)
    options = {"size": (4, 4), "validation_fraction": 0.3, "train_fraction": 0.8}
    memory, stream = load(place, **options), load(place, **options, stream=True)
    assert stream.classes == memory.classes == CLASSES and stream.notes == memory.notes
    for name in "train", "test", "validation":
        one, other = getattr(stream, name), getattr(memory, name)
        assert isinstance(one.images, Streamed) and one.images.shape == other.images.shape
        np.testing.assert_array_equal(np.asarray(one.images), other.images)
        np.testing.assert_array_equal(one.images[1], other.images[1])
        np.testing.assert_array_equal(one.labels, other.labels)


def test_what_can_only_be_read_in_its_order_is_not_streamed(tmp_path: Path):
    write(tmp_path / "all", 3)
    how = "only a directory, a .zip or a bare .tar can be read in any order"
    refused(
        packed(tmp_path / "all", "xztar"),
        f"all.tar.xz is compressed as a whole, and is to be streamed: {how}",
        stream=True,
    )
    (tmp_path / "nested").mkdir()
    for name in "train", "test":
        packed(tmp_path / "all").rename(tmp_path / "nested" / f"{name}.zip")
    refused(tmp_path / "nested", f"nested holds its images in archives within it, .*{how}", stream=True)
    refused(tmp_path / "all", "data.skip_damaged reads all images first", stream=True, skip_damaged=True)
    with pytest.raises(InputError, match=r"data\.stream is for folder and tfds: digits is read as a whole"):
        data.load(DataConfig("digits", stream=True))


def test_what_memory_does_not_hold_is_streamed_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "all", 5)
    assert not isinstance(load(tmp_path / "all").train.images, Streamed)
    monkeypatch.setattr("jaxcnn.host.memory.free_memory", lambda: 15 * 6 * 8 * 3 - 1)
    found = load(tmp_path / "all")
    assert isinstance(found.train.images, Streamed)
    assert found.notes == ("images are streamed: 15 images of 6x8x3 take 2.1 KiB of memory, and 2.1 KiB are free",)
    refused(
        packed(tmp_path / "all", "xztar"), "15 images of 6x8x3 take 2.1 KiB of memory, .*: give a smaller --data.size"
    )


def test_images_of_other_sizes_and_damaged_ones_are_named(tmp_path: Path):
    write(tmp_path / "all", 5)
    Image.fromarray(pixels(0, 0)[:4]).save(tmp_path / "all" / "cat" / "3.png")
    (tmp_path / "all" / "cat" / "4.png").write_bytes(encoded(pixels(0, 0))[:60])
    images = load(tmp_path / "all", stream=True, test_fraction=0.1).train.images
    assert isinstance(images, Streamed)
    names = [images.source.name(int(place)) for place in images.places]
    with pytest.raises(InputError, match=r"cat/3.png is 4x8x3, but the images are 6x8x3: give --data.size H W"):
        images.read(next(place for place, name in enumerate(names) if name.endswith("cat/3.png")))
    with pytest.raises(InputError, match=r"cat/4.png is a damaged image"):
        np.asarray(images[[name.endswith("cat/4.png") for name in names]])


@pytest.mark.parametrize("steps", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_training_is_that_of_memory_to_the_bit(steps: int, folder: Path, tmp_path: Path):
    """With mixtures, views and validation images: all that takes a batch."""
    given = replace(
        config(folder, validation_fraction=0.2), views=Views(flip=True), steps_per_dispatch=steps, accumulate=2
    )
    stream = run(given, tmp_path / "stream")
    memory = run(replace(given, data=replace(given.data, stream=False)), tmp_path / "memory")
    assert stream["params_sha256"] == memory["params_sha256"]
    for key in "train_loss", "validation_loss", "test_loss", "test_one_view_loss":
        assert stream[key] == memory[key] or key == "train_loss"  # measured by as many images as are tested
    assert stream["train_images"] == 8


@pytest.mark.thorough
def test_a_stream_that_is_stopped_goes_on_to_the_same_bits(folder: Path, tmp_path: Path, monkeypatch):
    given = config(folder, augment=(ResizedCrop(), Flip()))
    whole = run(given, tmp_path / "whole")
    compiled, count = runs.compiled, itertools.count(1)

    def stopping(*arguments):
        steps = compiled(*arguments)

        def train(*arguments):
            if next(count) == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps.train(*arguments)

        return steps._replace(train=train)

    monkeypatch.setattr(runs, "compiled", stopping)
    with pytest.raises(loop.Interrupted):
        run(given, tmp_path / "broken")
    monkeypatch.undo()
    assert run(given, tmp_path / "broken", resume=True)["params_sha256"] == whole["params_sha256"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_data_that_have_changed_are_not_gone_on_with(tmp_path: Path):
    given = config(photographs(tmp_path / "all", each=8), augment=())
    run(given, tmp_path / "runs")
    (tmp_path / "all" / "train" / "class0" / "000.jpg").write_bytes(encoded(pixels(0, 1), "JPEG"))
    with pytest.raises(InputError, match="data"):
        run(replace(given, epochs=3), tmp_path / "runs", resume=True)


def test_a_resized_crop_is_cut_from_the_whole_photograph(folder: Path, tmp_path: Path):
    """Against Pillow's own crop and resize; where it stands in the batch, or at which step, does not matter."""
    given = config(folder, augment=(ResizedCrop(), Flip()))
    here = Run(prepare(given), tmp_path)
    assert here.plan.recipe.augment == (Flip(),)
    images = here.plan.dataset.train.images
    assert isinstance(images, Streamed)
    seen = {}
    for batch in here.batches(1, 0):
        for number, shown, mask in zip(*map(np.asarray, (batch.ids, batch.images, batch.mask)), strict=True):
            if mask:
                seen[int(number)] = shown
    assert sorted(seen) == list(range(40))
    for number, shown in seen.items():
        top, left, height, width = from_files(ResizedCrop(), given.seed, 1)(number)(20, 24)
        picture = Image.open(io.BytesIO(images.source.read(int(images.places[number]))))
        part = picture.crop((left, top, left + width, top + height))
        np.testing.assert_array_equal(shown, np.asarray(part.resize((16, 16), Image.Resampling.BILINEAR)))
    assert not np.array_equal(seen[3], np.asarray(next(here.batches(0, 0)).images)[0])


def test_boxes_are_drawn_as_torchvision_draws_them():
    """Of a square, where nearly every box fits: area and log ratio uniform, corners uniform over where it fits.

    20,000 boxes; the mean of n uniform numbers has the deviation range / sqrt(12 n), of which 5 are allowed.
    """
    crop, side, count = ResizedCrop(scale=(0.1, 0.5)), 4000, 20_000
    drawn = np.array([from_files(crop, 7, 3)(number)(side, side) for number in range(count)], float)
    top, left, height, width = drawn.T
    assert ((drawn >= 0).all(1) & (top + height <= side) & (left + width <= side)).all()
    area, ratio = height * width / side**2, np.log(width / height)
    low, high = map(math.log, crop.ratio)
    slack = 5 / math.sqrt(12 * count)
    assert abs(area.mean() - 0.3) < 0.4 * slack and abs(ratio.mean() - (low + high) / 2) < (high - low) * slack
    assert area.min() < 0.101 and area.max() > 0.499 and ratio.min() < low + 1e-2 and ratio.max() > high - 1e-2
    places = [corner / (side - extent + 1) for corner, extent in ((top, height), (left, width))]
    for place in places:
        assert abs(place.mean() - 0.5) < slack
    assert abs(np.corrcoef(places)[0, 1]) < 5 / math.sqrt(count)


def test_where_no_box_fits_it_is_the_largest_in_the_middle():
    never = itertools.repeat(0.999)
    assert box(ResizedCrop(), never, 100, 1000) == (0, (1000 - 133) // 2, 100, 133)
    assert box(ResizedCrop(), itertools.repeat(0.999), 1000, 100) == ((1000 - 133) // 2, 0, 133, 100)


def test_a_part_of_a_photograph_that_lies_on_its_side_is_upright(tmp_path: Path):
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    turned = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    seen = []

    def cut(height: int, width: int) -> tuple[int, int, int, int]:
        seen.append((height, width))
        return 2, 5, 6, 10

    found = decode_box(turned, "turned.png", cut, (6, 10), 3)
    assert seen == [(12, 20)]
    np.testing.assert_array_equal(found, np.asarray(upright)[2:8, 5:15])
    np.testing.assert_array_equal(decode(turned, "turned.png"), np.asarray(upright))
    assert decode_box(turned, "turned.png", cut, (6, 10), 1).shape == (6, 10, 1)


def test_of_a_large_jpeg_fewer_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch):
    """Scaled while it is decoded, by the discrete cosine transform, a smooth picture stays within 3 levels."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
    large = encoded(np.asarray(small.resize((801, 603), Image.Resampling.BICUBIC)), "JPEG", quality=100)
    cut = lambda height, width: (50, 101, 500, 600)  # noqa: E731
    found = decode_box(large, "large.jpg", cut, (64, 72), 3).astype(int)
    monkeypatch.setattr(Image.Image, "draft", lambda *_: None)
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *_: None)
    whole = decode_box(large, "large.jpg", cut, (64, 72), 3).astype(int)
    difference = np.abs(found - whole)
    assert 0 < difference.max() <= 3


class Counting:
    """A source that counts how many of its images are being held."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def name(self, place: int) -> str:
        return f"{place}.png"

    def size(self, place: int) -> int:
        return 1

    def read(self, place: int) -> bytes:
        self.asked.append(place)
        return encoded(pixels(0, place))


def test_no_more_is_read_than_a_few_rows_ahead():
    source = Counting()
    images = Streamed(source, np.arange(100), (6, 8, 3), DataConfig())
    rows = read_ahead(images, (np.arange(4) + 4 * row for row in range(20)))
    first = next(rows)
    np.testing.assert_array_equal(first[2], pixels(0, 2))
    assert len(source.asked) <= 4 * (AHEAD + 1)
    for _ in range(3):
        next(rows)
    assert len(source.asked) <= 4 * (AHEAD + 4)
    rows.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_threads_that_decode_leave_the_warnings_of_others_alone(recwarn: pytest.WarningsRecorder):
    """Of an odd file Pillow warns, and is not heard; whoever else warns meanwhile and afterwards is."""
    odd = encoded(Image.new("P", (4, 4)), "PNG", transparency=b"\x00\x7f")  # a palette whose transparency is in bytes

    def decoding() -> None:
        for _ in range(50):
            assert decode(odd, "odd.png").shape == (4, 4, 3)

    threads = [threading.Thread(target=decoding) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard = 0
    while any(thread.is_alive() for thread in threads):
        heard += 1
        warnings.warn(f"number {heard}", UserWarning, stacklevel=1)
    for thread in threads:
        thread.join()
    warnings.warn("afterwards", UserWarning, stacklevel=1)
    assert len(recwarn) == heard + 1 and not [one for one in recwarn if "ransparen" in str(one.message)]
