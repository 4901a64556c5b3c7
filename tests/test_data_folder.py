"""Class folders: a directory and its archives give the same arrays, and nothing partial ever loads."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from image_folders import CLASSES, SHARED, assert_same, load, pixels, refused, write
from PIL import Image

from jaxcnn import data


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


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "TEST", "dev", "eval"])
def test_a_validation_folder_is_the_test_split(root: Path, name: str):
    expected = load(root)
    (root / "test").rename(root / name)
    assert_same(load(root), expected)


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
    assert_same(load(flat), expected)
    assert load(flat).notes == ()


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
    refused(root, r"train/cat/3\.png cannot be read as an image: Pillow knows no such format \(5 bytes\)")


def test_an_empty_class_folder_is_named(root: Path):
    (root / "test" / "dog").mkdir()
    (root / "train" / "dog").mkdir()
    for path in (root, *(Path(shutil.make_archive(str(root), kind, root)) for kind in ("zip", "xztar"))):
        refused(path, r"the class folder \S+train/dog is empty: no image that Pillow reads")
    (root / "train" / "dog" / "clip.mp4").write_bytes(b"x")
    refused(root, r"the class folder \S+train/dog is empty: it has clip\.mp4, but no image")


def test_a_class_that_only_the_test_split_has_is_named(root: Path):
    (root / "test" / "cat").rename(root / "test" / "dog")
    refused(root, r"pets/test has the class folder 'dog', but \S+pets/train has not")


@pytest.mark.parametrize("empty", [False, True])
def test_a_class_without_test_images_is_said(root: Path, empty: bool):
    shutil.rmtree(root / "test" / "10")
    if empty:
        (root / "test" / "10").mkdir()
    dataset = load(root)
    assert dataset.test.labels.tolist() == [0, 0, 2, 2] and dataset.classes == CLASSES
    assert dataset.notes == ("no test images of 1 class: 10",)


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
    refused(flat / "2" / "0.png", r"0\.png is neither a directory nor a \.zip, \.tar, .* archive")


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
