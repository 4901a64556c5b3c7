"""Small folders of random images, what they hold, and how they are read in the tests of the data."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn import data
from jaxcnn.data.config import DataConfig
from jaxcnn.host.errors import InputError

SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
CLASSES = ("2", "10", "cat")  # in natural order


def pixels(label: int, number: int, split: int = 0) -> np.ndarray:
    return np.random.default_rng([label, number, split]).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def encoded(picture: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(file, kind, **options)
    return file.getvalue()


def write(folder: Path, count: int, split: int = 0, classes: tuple[str, ...] = CLASSES) -> None:
    """PNGs `0.png`, `1.png`, ... in a folder for each class, written in an order unlike the sorted one."""
    for label, name in reversed(list(enumerate(classes))):
        (folder / name).mkdir(parents=True)
        for number in reversed(range(count)):
            Image.fromarray(pixels(label, number, split)).save(folder / name / f"{number}.png")


def packed(folder: Path, kind: str = "zip") -> Path:
    """An archive of the folder beside it: zip, tar, gztar, xztar or bztar."""
    return Path(shutil.make_archive(str(folder), kind, folder))


def load(path: Path, **options) -> data.Dataset:
    return data.load(DataConfig(source=f"folder:{path}", **options))


def refused(path: Path, sentence: str, **options) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        load(path, **options)
    assert "\n" not in str(error.value)


def assert_same(one: data.Dataset, other: data.Dataset) -> None:
    assert one.classes == other.classes
    for left, right in zip((*one.train, *one.test), (*other.train, *other.test), strict=True):
        np.testing.assert_array_equal(left, right)
