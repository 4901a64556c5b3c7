"""MNIST's format: the real files to the bit, and every way in which such a file can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from jaxcnn import data
from jaxcnn.data.config import DataConfig
from jaxcnn.host.errors import InputError

SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
RNG = np.random.default_rng(0)
IMAGES = {
    "train": RNG.integers(0, 256, (30, 7, 5), dtype=np.uint8),
    "t10k": RNG.integers(0, 256, (8, 7, 5), dtype=np.uint8),
}
LABELS = {part: (np.arange(len(images)) % 10).astype(np.uint8) for part, images in IMAGES.items()}


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(IMAGES[part]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS[part]))
    return tmp_path


def load(folder: Path, **options) -> data.Dataset:
    return data.load(DataConfig(source=f"idx:{folder}", **options))


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(folder)


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is absent: set JAXCNN_SHARED_DATA")
    return SHARED / name


@pytest.mark.parametrize(
    ("name", "first", "md5"),
    [
        # MD5 of the four unpacked files: train images, train labels, test images, test labels.
        (
            "mnist",
            [5, 0, 4, 1, 9],
            [
                "6bbc9ace898e44ae57da46a324031adb",
                "a25bea736e30d166cdddb491f175f624",
                "2646ac647ad5339dbf082846283269ea",
                "27ae3e4e09519cfbb04c329615203637",
            ],
        ),
        (
            "fashion_mnist",
            [9, 0, 0, 3, 0],
            [
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "9018921c3c673c538a1fc5bad174d6f9",
                "8181f5470baa50b63fa0f6fddb340f0a",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ],
        ),
    ],
)
def test_the_real_files_are_read_to_the_bit(name: str, first: list[int], md5: list[str]):
    dataset = load(shared(name))
    assert dataset.train.images.shape == (60000, 28, 28, 1) and dataset.test.images.shape == (
        10000,
        28,
        28,
        1,
    )
    assert dataset.train.labels[:5].tolist() == first
    arrays = [array.astype(np.uint8).squeeze() for split in (dataset.train, dataset.test) for array in split]
    assert [hashlib.md5(idx(array)).hexdigest() for array in arrays] == md5


def test_fashion_mnist_is_balanced():
    dataset = load(shared("fashion_mnist"))
    assert np.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_gzip_and_the_spelling_with_a_dot_make_no_difference(folder: Path):
    plain = load(folder)
    for file in list(folder.iterdir()):
        new = folder / (file.name.replace("-idx", ".idx") + ".gz")
        new.write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = load(folder)
    for split in ("train", "test"):
        for one, other in zip(getattr(plain, split), getattr(packed, split), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(packed.train.images[..., 0], IMAGES["train"])
    np.testing.assert_array_equal(packed.test.labels, LABELS["t10k"])
    assert packed.classes == tuple("0123456789")


def test_a_name_that_is_wrong_about_gzip_is_forgiven(folder: Path):
    (folder / "t10k-labels-idx1-ubyte").rename(folder / "t10k-labels-idx1-ubyte.gz")
    np.testing.assert_array_equal(load(folder).test.labels, LABELS["t10k"])


def test_size_and_channels_apply(folder: Path):
    assert load(folder, size=(14, 14), channels=3).train.images.shape == (30, 14, 14, 3)


def test_classes_txt_names_the_classes(folder: Path):
    names = tuple(f"kind {number}" for number in range(11))
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    assert load(folder).classes == names
    (folder / "classes.txt").write_text("same\nsame\n")
    refused(folder, r"classes\.txt must name at least two classes, each once")


def test_a_folder_that_is_none_is_named(folder: Path):
    refused(folder / "missing", "missing is not a folder")
    refused(folder / "train-images-idx3-ubyte", "train-images-idx3-ubyte is not a folder")


def test_a_missing_file_is_named_with_its_other_spellings(folder: Path):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    refused(folder, r"has no file t10k-labels-idx1-ubyte \(nor t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte")


@pytest.mark.parametrize("length", [0, 3, 12, 16, 500])
def test_a_truncated_file_is_named(folder: Path, length: int):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:length])
    refused(folder, r"train-images-idx3-ubyte (is not an IDX file|ends within its header|is truncated)")


def test_a_file_that_is_too_long_is_named(folder: Path):
    file = folder / "t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes() + b"\0")
    refused(folder, r"t10k-labels-idx1-ubyte is too long: its header promises 8 = 8 bytes, it has 9")


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_gzip_file_is_named(folder: Path, damage: str):
    file = folder / "train-images-idx3-ubyte"
    packed = bytearray(gzip.compress(file.read_bytes()))
    packed[len(packed) // 2] ^= 255
    file.write_bytes(packed[:-30] if damage == "truncated" else packed)
    refused(folder, "train-images-idx3-ubyte is a truncated or damaged gzip file")


def test_labels_where_images_belong_are_named(folder: Path):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(LABELS["train"]))
    refused(folder, r"train-images-idx3-ubyte holds labels \(magic number 00000801\), where images belong")


def test_images_where_labels_belong_are_named(folder: Path):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(IMAGES["t10k"]))
    refused(folder, r"t10k-labels-idx1-ubyte holds images \(magic number 00000803\), where labels belong")


def test_another_number_type_is_named(folder: Path):
    content = bytearray(idx(IMAGES["train"]))
    content[2] = 0x0D  # float32
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    refused(folder, r"train-images-idx3-ubyte holds type 0x0d, where unsigned bytes")


def test_a_file_of_another_format_is_named(folder: Path):
    (folder / "train-images-idx3-ubyte").write_bytes(b"<html>404</html>")
    refused(folder, r"train-images-idx3-ubyte is not an IDX file: it starts with 3c68746d")


def test_an_empty_file_of_images_is_named(folder: Path):
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 28, 28), np.uint8)))
    refused(folder, "t10k-images-idx3-ubyte is empty: its header says 0x28x28")


def test_a_header_that_promises_too_much_costs_no_memory(folder: Path):
    (folder / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">I3I", 0x803, *[2**32 - 1] * 3))
    refused(folder, "t10k-images-idx3-ubyte is truncated")


def test_images_and_labels_must_agree_in_number(folder: Path):
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS["t10k"]))
    refused(folder, r"train-images-idx3-ubyte has 30 images, but .*train-labels-idx1-ubyte has 8 labels")


def test_a_label_without_a_class_is_named(folder: Path):
    labels = LABELS["train"].copy()
    labels[17] = 10
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    refused(
        folder,
        r"train-labels-idx1-ubyte has the label 10 at place 17, but there are 10 classes: .*classes\.txt",
    )


def test_classes_txt_may_begin_with_a_byte_order_mark(folder: Path):
    (folder / "classes.txt").write_text("\n".join(f"kind {number}" for number in range(10)), "utf-8-sig")
    assert load(folder).classes[0] == "kind 0"


def begin_at_one(folder: Path) -> None:
    for part in ("train", "t10k"):
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(LABELS[part] + 1))


def test_labels_that_begin_at_one_are_said_where_the_classes_have_no_names(folder: Path):
    begin_at_one(folder)
    refused(
        folder, r"labels of \S+ go from 1 to 10, as .* EMNIST's .*: name the 10 classes in \S+classes\.txt, that of"
    )


def test_labels_that_begin_at_one_are_taken_for_the_names(folder: Path):
    expected = load(folder)
    begin_at_one(folder)
    (folder / "classes.txt").write_text("\n".join("abcdefghij"))
    dataset = load(folder)
    assert dataset.classes == tuple("abcdefghij")
    np.testing.assert_array_equal(dataset.train.labels, expected.train.labels)
    assert dataset.notes[0] == "the labels go from 1 to 10, as those of EMNIST's letters do: 1 is taken for 'a'"


def test_a_class_without_images_is_said(folder: Path):
    (folder / "classes.txt").write_text("\n".join("abcdefghijkl"))
    assert load(folder).notes == (
        "no training images of 2 classes: k, l",
        "no test images of 4 classes: i, j, k, l",
    )


def test_a_packed_file_that_ends_early_is_named(folder: Path):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(gzip.compress(file.read_bytes()[:-1]))
    refused(folder, r"train-images-idx3-ubyte is truncated: its header promises 30x7x5 = 1050 bytes, it has 1049")


def test_a_packed_file_that_goes_on_is_named(folder: Path):
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(gzip.compress(file.read_bytes() + b"\0"))
    refused(folder, r"train-images-idx3-ubyte is too long: its header promises 30x7x5 = 1050 bytes, it has more")


def test_a_part_of_the_training_images_is_the_same_of_every_class(folder: Path):
    train = load(folder, train_fraction=0.34).train
    assert np.bincount(train.labels).tolist() == [1] * 10
    kept, _ = data.hold_out(LABELS["train"], 1 - 0.34, 0)
    np.testing.assert_array_equal(train.images[..., 0], IMAGES["train"][kept])


def test_splits_of_different_sizes_need_a_size(folder: Path):
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES["t10k"][:, :6]))
    refused(folder, r"training images are 7x5, test images 6x5: give --data.size H W")
    assert load(folder, size=(7, 5)).test.images.shape == (8, 7, 5, 1)
