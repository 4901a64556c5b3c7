"""TFDS by name: a small data set prepared here without TensorFlow, and Fashion-MNIST prepared with it."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from jaxcnn import data
from jaxcnn.data.config import DataConfig
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.errors import InputError

SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
KINDS = tfds.features
IMAGE, LABEL = KINDS.Image(shape=(None, None, 3)), KINDS.ClassLabel(names=["round", "square"])


def prepare(folder: Path, name: str, sizes: dict[str, int], features: dict | None = None, secret: str = "") -> None:
    """Prepare a data set of PIXELS in array_record. PNG bytes need no TensorFlow, pixels would.

    Labels alternate, but for -1 in the split `secret`.
    """

    kinds = features or {"image": IMAGE, "label": LABEL}

    def png(number: int) -> io.BytesIO:
        file = io.BytesIO()
        Image.fromarray(PIXELS[number]).save(file, "PNG")
        file.seek(0)
        return file

    class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=KINDS.FeaturesDict(kinds))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split, size) for split, size in sizes.items()}

        def _generate_examples(self, split, size):
            for number in range(size):
                label = -1 if split == secret else number % 2
                yield number, {key: png(number) if kind is IMAGE else label for key, kind in kinds.items()}

    Pictures.name = name
    Pictures(data_dir=folder, file_format="array_record").download_and_prepare()


def load(name: str, folder: Path, **options) -> data.Dataset:
    return data.load(DataConfig(source=f"tfds:{name}", data_dir=str(folder), **options))


def refused(name: str, folder: Path, sentence: str, **options) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        load(name, folder, **options)
    assert "\n" not in str(error.value)


def assert_holds(split: data.Split, count: int) -> None:
    """The split holds the first images of PIXELS, in TFDS's order, each with its own label."""
    assert split.images.shape == (count, *PIXELS.shape[1:]) and split.labels.dtype == np.int32
    numbers = [int(np.argmin(abs(PIXELS.astype(int) - image).sum((1, 2, 3)))) for image in split.images]
    assert sorted(numbers) == list(range(count))
    np.testing.assert_array_equal(split.images, PIXELS[numbers])
    assert split.labels.tolist() == [number % 2 for number in numbers]


def test_a_prepared_data_set_is_read(tmp_path: Path, capfd: pytest.CaptureFixture):
    prepare(tmp_path, "shapes", {"train": 20, "test": 6})
    capfd.readouterr()
    dataset = load("shapes", tmp_path)
    assert dataset.classes == ("round", "square") and dataset.name == "tfds:shapes"
    assert_holds(dataset.train, 20)
    assert_holds(dataset.test, 6)
    assert capfd.readouterr() == ("", "")
    assert load("shapes:1.0.0", tmp_path, size=(4, 4), channels=1).test.images.shape == (6, 4, 4, 1)


def test_a_stream_holds_the_same_pixels_still_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(tmp_path, "drawings", {"train": 12, "test": 8})
    memory = load("drawings", tmp_path, validation_fraction=0.2)
    stream = load("drawings", tmp_path, validation_fraction=0.2, stream=True)
    assert stream.classes == memory.classes
    for name in "train", "test", "validation":
        one, other = getattr(stream, name), getattr(memory, name)
        assert isinstance(one.images, Streamed)
        np.testing.assert_array_equal(np.asarray(one.images), other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert stream.test.images.source.name(13) == "tfds:drawings test[1]"
    monkeypatch.setattr("jaxcnn.host.memory.free_memory", lambda: 1000)
    large = load("drawings", tmp_path)
    assert isinstance(large.train.images, Streamed) and large.notes[0].startswith("images are streamed: 20 images of")


def test_reading_needs_no_tensorflow(tmp_path: Path):
    prepare(tmp_path, "shapes", {"train": 20, "test": 6})
    code = (
        "import sys, importlib.util as util\n"
        "class Absent:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'tensorflow': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'tensorflow' else find(name, package)\n"
        "from jaxcnn import data; from jaxcnn.config import DataConfig\n"
        f"print(data.load(DataConfig(source='tfds:shapes', data_dir={str(tmp_path)!r})).train.images.sum())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == (f"{PIXELS.sum()}\n", "")


def test_validation_stands_in_for_a_missing_or_secret_test_split(tmp_path: Path):
    prepare(tmp_path, "missing", {"train": 20, "validation": 6})
    prepare(tmp_path, "secret", {"train": 20, "test": 8, "validation": 6}, secret="test")
    for name in ("missing", "secret"):
        assert_holds(load(name, tmp_path).test, 6)


def test_train_alone_is_split(tmp_path: Path):
    prepare(tmp_path, "alone", {"train": 20})
    dataset = load("alone", tmp_path, test_fraction=0.3)
    assert np.bincount(dataset.test.labels).tolist() == [3, 3]
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert sorted(image.tobytes() for image in both) == sorted(image.tobytes() for image in PIXELS)


def test_features_are_found_by_kind(tmp_path: Path):
    prepare(tmp_path, "renamed", {"train": 20, "test": 6}, {"photo": IMAGE, "species": LABEL})
    assert_holds(load("renamed", tmp_path).test, 6)
    prepare(tmp_path, "unlabelled", {"train": 20, "test": 6}, {"photo": IMAGE})
    refused("unlabelled", tmp_path, "does not pair one image with one class label; it has photo")
    prepare(tmp_path, "double", {"train": 20, "test": 6}, {"left": IMAGE, "right": IMAGE, "species": LABEL})
    refused("double", tmp_path, "does not pair one image .*; it has left, right, species")


def test_no_train_split_or_no_labels_are_named(tmp_path: Path):
    prepare(tmp_path, "exam", {"test": 6})
    refused("exam", tmp_path, "tfds:exam has no split train: it has test")
    prepare(tmp_path, "blank", {"train": 6, "test": 4}, secret="train")
    refused("blank", tmp_path, "tfds:blank has images without a label in its split train")


def test_a_damaged_copy_is_named(tmp_path: Path):
    prepare(tmp_path, "shapes", {"train": 20, "test": 6})
    file = next(tmp_path.glob("shapes/1.0.0/shapes-train*"))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    refused("shapes", tmp_path, r"tfds:shapes in \S+1\.0\.0 cannot be read: \S")
    file.unlink()
    refused("shapes", tmp_path, r"tfds:shapes in \S+1\.0\.0 cannot be read: \S")


def test_a_copy_in_another_format_is_named(tmp_path: Path):
    prepare(tmp_path, "shapes", {"train": 20, "test": 6})
    file = tmp_path / "shapes" / "1.0.0" / "dataset_info.json"
    file.write_text(file.read_text().replace('"array_record"', '"tfrecord"'))
    refused(
        "shapes",
        tmp_path,
        r"tfds:shapes c.*tfrecord.*; give another --data\.data_dir to prepare it as array_record",
    )


def test_an_unknown_name_is_named_with_its_neighbors(tmp_path: Path):
    refused("fashion_mnits", tmp_path, r"no data set 'fashion_mnits', .* did you mean fashion_mnist")
    refused("mnist:9.9.9", tmp_path, "tfds:mnist:9.9.9 cannot be opened: .*9.9.9")
    refused("../mnist", tmp_path, r"tfds:\.\./mnist cannot be opened: ")
    assert list(tmp_path.iterdir()) == []


def test_preparing_without_tensorflow_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    refused(
        "fashion_mnist",
        tmp_path,
        r"not prepared in \S+: pip install 'jaxcnn\[tfds\]' prepares it, or point --data",
    )


def test_a_failed_download_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    def fail(builder, **options):
        print("Downloading and preparing ...")
        logging.warning("Retrying")
        raise ConnectionError("Name or service not known\nRetries: 10")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    capfd.readouterr()
    refused(
        "mnist",
        tmp_path,
        "could not download and prepare mnist: Name or service not known; .*--data.manual_dir",
    )
    refused("mnist", tmp_path, "data.manual_dir .*nowhere is not a folder", manual_dir=str(tmp_path / "nowhere"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_fashion_mnist_equals_its_idx_files(tmp_path: Path):
    pytest.importorskip("tensorflow", reason="the tfds extra prepares data sets")
    files = SHARED / "fashion_mnist"
    if not files.exists():
        pytest.skip(f"{files} is absent: set JAXCNN_SHARED_DATA")
    prepared = load("fashion_mnist", tmp_path, manual_dir=str(files))
    assert prepared.classes[0] == "T-shirt/top"
    original = data.load(DataConfig(source=f"idx:{files}"))
    for one, other in ((prepared.train, original.train), (prepared.test, original.test)):

        def rows(split: data.Split) -> list[tuple[bytes, int]]:
            return sorted((image.tobytes(), int(label)) for image, label in zip(*split, strict=True))

        assert rows(one) == rows(other)  # TFDS shuffles when it prepares
