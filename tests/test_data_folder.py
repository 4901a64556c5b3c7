"""Class folders: a directory and its archives give the same arrays, and nothing partial ever loads."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcnn import data
from jaxcnn.config import DataConfig
from jaxcnn.errors import InputError

SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
CLASSES = ("2", "10", "cat")  # in natural order


def pixels(label: int, number: int, split: int = 0) -> np.ndarray:
    return np.random.default_rng([label, number, split]).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def write(folder: Path, count: int, split: int = 0) -> None:
    """PNGs `0.png`, `1.png`, ... in a folder for each class, written in an order unlike the sorted one."""
    for label, name in reversed(list(enumerate(CLASSES))):
        (folder / name).mkdir(parents=True)
        for number in reversed(range(count)):
            Image.fromarray(pixels(label, number, split)).save(folder / name / f"{number}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images in train/ and test/."""
    write(tmp_path / "pets" / "train", 4, 0)
    write(tmp_path / "pets" / "test", 2, 1)
    return tmp_path / "pets"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Images without a test split."""
    write(tmp_path / "flat", 5)
    return tmp_path / "flat"


def load(path: Path, **options) -> data.Dataset:
    return data.load(DataConfig(source=f"folder:{path}", **options))


def refused(path: Path, sentence: str, **options) -> None:
    with pytest.raises(InputError, match=sentence):
        load(path, **options)


def assert_same(one: data.Dataset, other: data.Dataset) -> None:
    assert one.classes == other.classes
    for left, right in zip((*one.train, *one.test), (*other.train, *other.test), strict=True):
        np.testing.assert_array_equal(left, right)


def test_train_and_test_are_read_in_the_order_of_their_names(root: Path):
    dataset = load(root)
    assert dataset.classes == CLASSES
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.test.labels.tolist() == [0, 0, 1, 1, 2, 2] and dataset.test.labels.dtype == np.int32
    np.testing.assert_array_equal(
        dataset.train.images, [pixels(label, number) for label in range(3) for number in range(4)]
    )
    np.testing.assert_array_equal(
        dataset.test.images, [pixels(label, number, 1) for label in range(3) for number in range(2)]
    )


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "TEST"])
def test_a_validation_folder_is_the_test_split(root: Path, name: str):
    expected = load(root)
    (root / "test").rename(root / name)
    assert_same(load(root), expected)


@pytest.mark.parametrize(
    ("suffix", "mode"), [("tar", "w:"), ("tar.gz", "w:gz"), ("tar.xz", "w:xz"), ("TGZ", "w:gz"), ("zip", "w")]
)
@pytest.mark.parametrize("enclosed", [False, True])
def test_an_archive_equals_its_directory(root: Path, suffix: str, mode: Any, enclosed: bool):
    file = root.parent / f"archive.{suffix}"
    inside = "outer/pets/" if enclosed else ""
    members = sorted(path for path in root.rglob("*") if path.is_file())
    np.random.default_rng(0).shuffle(members)  # an archive keeps whatever order its maker had
    if suffix == "zip":
        with zipfile.ZipFile(file, mode) as archive:
            for member in members:
                archive.write(member, f"{inside}{member.relative_to(root)}")
    else:
        with tarfile.open(file, mode) as archive:
            for member in members:
                archive.add(member, f"./{inside}{member.relative_to(root)}")
    assert_same(load(file), load(root))
    assert_same(load(file, size=(4, 4), channels=1), load(root, size=(4, 4), channels=1))


def test_without_a_test_folder_a_seeded_stratified_part_is_held_out(flat: Path):
    dataset = load(flat, test_fraction=0.4, split_seed=3)
    train, test = data.hold_out(np.repeat([0, 1, 2], 5), 0.4, 3)
    everything = np.array([pixels(label, number) for label in range(3) for number in range(5)])
    np.testing.assert_array_equal(dataset.train.images, everything[train])
    np.testing.assert_array_equal(dataset.test.images, everything[test])
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    (flat.parent / "only").mkdir()
    flat.rename(flat.parent / "only" / "train")
    assert_same(load(flat.parent / "only", test_fraction=0.4, split_seed=3), dataset)


def test_hidden_files_and_files_beside_the_images_are_ignored(root: Path):
    expected = load(root)
    (root / "train" / "cat" / "._0.png").write_bytes(b"resource fork")
    (root / "train" / "cat" / ".DS_Store").write_bytes(b"x")
    (root / "train" / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / "train" / "cat" / "labels.csv").write_bytes(b"x")
    (root / "train" / "README.md").write_bytes(b"x")
    (root / ".ipynb_checkpoints").mkdir()
    (root / "__MACOSX" / "train").mkdir(parents=True)
    (root / "train" / ".cache").mkdir()
    assert_same(load(root), expected)


def test_a_class_may_be_called_train(root: Path):
    for name in ("2", "10"):
        shutil.copytree(root / "train" / name, root.parent / "vehicles" / {"2": "train", "10": "bus"}[name])
    assert load(root.parent / "vehicles").classes == ("bus", "train")


def test_jpegs_with_any_spelling_of_the_extension_are_read(flat: Path):
    for number, suffix in enumerate(("jpg", "JPG", "jpeg", "JPEG")):
        Image.fromarray(pixels(0, number)).save(flat / "cat" / f"photo.{suffix}", "JPEG")
    assert len(load(flat).train.labels) + len(load(flat).test.labels) == 19


def test_links_are_followed(flat: Path):
    expected = load(flat)
    (flat / "cat").rename(flat.parent / "elsewhere")
    (flat / "cat").symlink_to(flat.parent / "elsewhere")
    (flat / "2" / "loop").symlink_to(flat / "2")
    refused(flat, r"2/loop holds images below the class folder '2'")
    (flat / "2" / "loop").unlink()
    assert_same(load(flat), expected)


def test_images_of_different_sizes_need_a_size(flat: Path):
    Image.new("RGB", (9, 6)).save(flat / "2" / "4.png")
    first, second = "flat/10/0.png is 6x8 with 3 channels", "flat/2/4.png is 6x9 with 3 channels"
    refused(flat, rf"{first}, but \S+{second}: give --data\.size H W$")
    assert load(flat, size=(6, 8)).train.images.shape[1:] == (6, 8, 3)


def test_gray_among_color_needs_channels(flat: Path):
    Image.new("L", (8, 7)).save(flat / "cat" / "4.png")
    refused(
        flat,
        r"6x8 with 3 channels, .*cat/4\.png is 7x8 with 1 channel: .*size H W and --data\.channels 1 or 3$",
    )
    refused(flat, r"but \S+cat/4\.png is 6x8 with 1 channel: give --data\.channels 1 or 3$", size=(6, 8))
    assert load(flat, channels=3, size=(6, 8)).train.images.shape[1:] == (6, 8, 3)
    assert load(flat, channels=1, size=(6, 8)).train.images.shape[1:] == (6, 8, 1)


def test_a_truncated_image_is_named(root: Path):
    file = root / "test" / "10" / "1.png"
    file.write_bytes(file.read_bytes()[:100])
    refused(root, f"{file} is a damaged image")


def test_a_file_that_is_no_image_is_named(root: Path):
    (root / "train" / "cat" / "3.png").write_text("hello")
    refused(root, r"train/cat/3\.png is not a JPEG or PNG image \(5 bytes\)")


def test_an_image_in_an_archive_is_named_within_it(root: Path):
    (root / "train" / "cat" / "3.png").write_text("hello")
    file = shutil.make_archive(str(root), "zip", root)
    refused(Path(file), r"pets\.zip/train/cat/3\.png is not a JPEG or PNG")


def test_an_empty_class_folder_is_named(root: Path):
    (root / "test" / "dog").mkdir()
    (root / "train" / "dog").mkdir()
    for path in (root, *(Path(shutil.make_archive(str(root), kind, root)) for kind in ("zip", "xztar"))):
        refused(path, r"the class folder \S+train/dog is empty: no \.jpg, \.jpeg or \.png file")
    (root / "train" / "dog" / "clip.webp").write_bytes(b"x")
    refused(root, r"the class folder \S+train/dog is empty: it has clip\.webp, but no \.jpg")


def test_splits_with_different_classes_are_named(root: Path):
    (root / "test" / "cat").rename(root / "test" / "dog")
    refused(root, r"pets/train has the class folder 'cat', but \S+pets/test has not")
    shutil.rmtree(root / "test" / "dog")
    (root / "train" / "cat").rename(root / "train" / "2b")
    shutil.copytree(root / "train" / "2", root / "test" / "0")
    refused(root, r"pets/test has the class folder '0', but \S+pets/train has not")


def test_one_class_is_too_few(flat: Path):
    shutil.rmtree(flat / "cat")
    shutil.rmtree(flat / "10")
    refused(flat, r"flat has one class folder, '2': two or more are needed")


def test_images_without_class_folders_are_refused(flat: Path):
    refused(flat / "cat", r"flat/cat has no class folders: the layout is <class>/<image>")
    (flat.parent / "none").mkdir()
    refused(flat.parent / "none", "none has no class folders")


def test_splits_without_class_folders_are_not_taken_for_classes(flat: Path):
    (flat.parent / "kaggle").mkdir()
    (flat / "cat").rename(flat.parent / "kaggle" / "train")
    (flat / "10").rename(flat.parent / "kaggle" / "test1")
    refused(flat.parent / "kaggle", r"kaggle/test1 holds images but no class folders")


def test_a_test_folder_alone_is_refused(root: Path):
    shutil.rmtree(root / "train")
    refused(root, r"pets has test/ but no train/")


def test_images_too_deep_are_refused_rather_than_lost(root: Path):
    (root / "train" / "cat" / "more").mkdir()
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "more" / "0.png")
    refused(root, r"train/cat/more holds images below the class folder 'cat'")


def test_one_image_for_each_class_cannot_be_split(tmp_path: Path):
    write(tmp_path / "few", 1)
    refused(tmp_path / "few", "no class has a second image to hold out")


def test_a_missing_path_and_another_kind_of_file_are_named(flat: Path):
    refused(flat / "none", "none does not exist")
    refused(flat / "2" / "0.png", r"0\.png is neither a directory nor a \.tar")


@pytest.mark.parametrize("kind", ["tar", "gztar", "xztar", "zip"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.75])
def test_a_truncated_archive_is_named(root: Path, kind: str, share: float):
    file = Path(shutil.make_archive(str(root), kind, root))
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    refused(file, rf"{file} (cannot be read, or )?is damaged: \S.*\Z")


def test_a_tar_damaged_between_two_images_does_not_load_the_images_before(root: Path):
    file = Path(shutil.make_archive(str(root), "tar", root))
    with tarfile.open(file) as archive:
        last = archive.getmembers()[-1]
    content = bytearray(file.read_bytes())
    content[last.offset : last.offset + 400] = b"x" * 400
    file.write_bytes(content)
    refused(file, r"pets\.tar is damaged: no end mark at byte")


def test_a_zip_with_a_flipped_byte_is_named(root: Path):
    file = Path(shutil.make_archive(str(root), "zip", root))
    content = bytearray(file.read_bytes())
    place = content.find(b"IDAT") + 40
    assert place > 40
    content[place] ^= 255
    file.write_bytes(content)
    refused(file, rf"{file} cannot be read, or is damaged: Bad CRC-32")


def test_an_encrypted_zip_is_named(root: Path):
    file = Path(shutil.make_archive(str(root), "zip", root))
    content = bytearray(file.read_bytes())
    place = 0
    while (place := content.find(b"PK\x01\x02", place + 1)) > 0:
        content[place + 8] |= 1  # the flag of encryption in the central directory
    file.write_bytes(content)
    refused(file, r"pets\.zip is encrypted")


@pytest.mark.slow
def test_the_cifar_10_archive_is_read_whole():
    file = SHARED / "cifar10-jpeg.tar.xz"
    if not file.exists():
        pytest.skip(f"{file} is absent: set JAXCNN_SHARED_DATA")
    dataset = load(file)
    assert dataset.train.images.shape == (50000, 32, 32, 3) and dataset.test.images.shape == (
        10000,
        32,
        32,
        3,
    )
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert dataset.classes[0] == "airplane" and dataset.classes[-1] == "truck"
    # The published means of CIFAR-10's training pixels; JPEG moves single pixels, hardly their mean.
    mean = dataset.train.images.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, (0.4914, 0.4822, 0.4465), atol=2e-3)


def test_photographs_of_many_sizes_are_resized(tmp_path: Path):
    photographs = SHARED / "imagenet-sample"
    if not photographs.exists():
        pytest.skip(f"{photographs} is absent: set JAXCNN_SHARED_DATA")
    refused(photographs, "no class has a second image to hold out", size=(32, 48))
    for split in ("train", "val"):
        (tmp_path / split).symlink_to(photographs)
    dataset = load(tmp_path, size=(32, 48), channels=3)
    assert dataset.train.images.shape == (250, 32, 48, 3) and len(dataset.classes) == 250
    np.testing.assert_array_equal(dataset.train.images, dataset.test.images)
    assert len({image.tobytes() for image in dataset.train.images}) == 250
