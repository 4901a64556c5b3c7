"""Every kind of image is read by its content, and whatever is left out of a folder is said."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from image_folders import assert_same, encoded, load, packed, pixels, refused, write
from PIL import Image

from jaxcnn.data import entries
from jaxcnn.data.images import decode, is_image
from jaxcnn.host.errors import InputError

PIXELS = pixels(0, 0)
EXACT = {
    "PNG": "png",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
    "TGA": "tga",
    "PCX": "pcx",
    "SGI": "sgi",
    "QOI": "qoi",
}
CLOSE = {"JPEG": "jfif", "GIF": "gif", "WEBP": "webp"}


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Images without a test split."""
    write(tmp_path / "flat", 5)
    return tmp_path / "flat"


def written(kind: str) -> bytes:
    """PIXELS as a file of a kind, without loss where the kind can."""
    return encoded(PIXELS, kind, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize(("kind", "ending"), [*EXACT.items(), *CLOSE.items()])
def test_a_kind_is_read_by_its_own_name(kind: str, ending: str):
    image = decode(written(kind), f"photo.{ending.upper()}")
    assert image.shape == PIXELS.shape
    if kind in EXACT or kind == "WEBP":
        np.testing.assert_array_equal(image, PIXELS)


@pytest.mark.parametrize("kind", [kind for kind in (*EXACT, *CLOSE) if kind != "TGA"])
@pytest.mark.parametrize("ending", ["jpg", "jpe", "png", "txt"])
def test_a_kind_is_read_under_another_name(kind: str, ending: str):
    np.testing.assert_array_equal(decode(written(kind), f"a.{ending}"), decode(written(kind), "a"))


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "green", "blue")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
        image = decode(data, "a.x")
        assert image.shape == (4, 6, 3) and abs(image.astype(int) - (255, 0, 0)).max() <= 3  # WebP is lossy


def test_images_of_all_kinds_beside_each_other_are_read(flat: Path):
    for number, (kind, ending) in enumerate([*EXACT.items(), *CLOSE.items()]):
        (flat / "cat" / f"more{number}.{ending}").write_bytes(written(kind))
    for number, kind in enumerate(("PNG", "BMP", "GIF", "WEBP", "JPEG", "TIFF")):
        (flat / "cat" / f"nameless{number}").write_bytes(written(kind))
        (flat / "cat" / f"misnamed{number}.dat").write_bytes(written(kind))
        (flat / "cat" / f"wrong{number}.jpg").write_bytes(written(kind))
    dataset = load(flat)
    assert len(dataset.train.labels) + len(dataset.test.labels) == 15 + 11 + 18
    assert dataset.notes == ()
    for kind in ("zip", "tar"):
        assert_same(load(packed(flat, kind)), dataset)


@pytest.mark.parametrize("text", ["Python is fine", "BMW 1,200\n", "P5 is text", "II and III", "", "#define x 1\n" * 9])
def test_text_is_no_image(text: str):
    assert not is_image("notes", text.encode())


def test_what_is_left_out_is_counted_by_kind(flat: Path):
    expected = load(flat)
    for number in range(7):
        (flat / "cat" / f"{number}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    for name in ("cat/a.mp4", "2/b.mp4", "2/labels.csv", "LICENSE", "10/x.xml", "10/x.json", "10/x.txt", "10/x.yml"):
        (flat / name).write_bytes(b"text")
    dataset = load(flat)
    assert_same(dataset, expected)
    kinds = "7 .heic, 2 .mp4, 1 .csv, 1 .json, 1 .txt, 3 others"
    assert dataset.notes == (f"left out 15 files that are no images: {kinds}",)
    assert load(packed(flat)).notes == dataset.notes


def test_images_outside_the_class_folders_are_counted(flat: Path):
    os.makedirs(flat.parent / "pets" / "extra" / "cat")
    flat.rename(flat.parent / "pets" / "train")
    root = flat.parent / "pets"
    expected = load(root)
    for name in ("extra/cat/1.png", "extra/cat/2.png", "extra/3.png", "train/4.png", "5.png"):
        (root / name).write_bytes(encoded(PIXELS))
    dataset = load(root)
    assert_same(dataset, expected)
    assert dataset.notes == ("left out 5 images outside the class folders: 3 in extra/, 1 in none, 1 in train/",)


def test_where_there_are_test_and_val_which_is_used_is_said(flat: Path):
    root = flat.parent / "pets"
    root.mkdir()
    flat.rename(root / "train")
    write(root / "val", 2, 1)
    validated = load(root)
    write(root / "test", 3, 2)
    write(root / "dev", 1, 3)
    dataset = load(root)
    assert len(validated.test.labels) == 6 and validated.notes == ()
    assert len(dataset.test.labels) == 9
    assert dataset.notes == (
        "test/ is the test split; val/ and dev/ are not used",
        "left out 9 images outside the class folders: 6 in val/, 3 in dev/",
    )


def test_an_unlabelled_test_folder_is_left_out_and_said(flat: Path):
    root = flat.parent / "pets"
    root.mkdir()
    expected = load(flat)
    flat.rename(root / "train")
    (root / "test").mkdir()
    for number in range(4):
        (root / "test" / f"{number}.png").write_bytes(encoded(PIXELS))
    dataset = load(root)
    assert_same(dataset, expected)
    assert dataset.notes == ("left out 4 images outside the class folders: 4 in test/",)


def test_all_damaged_images_are_listed_at_once(flat: Path):
    for name in ("2/1.png", "cat/0.png", "cat/1.png", "10/4.png", "10/0.png", "10/1.png", "2/2.png"):
        (flat / name).write_bytes((flat / name).read_bytes()[:60])
    names = r".*/10/0\.png is a damaged image: .*; .*/10/1\.png .*; .*/10/4\.png .*; .*/2/1\.png .*; .*/2/2\.png "
    refused(
        flat, rf"^7 of 15 images are damaged or cannot be read: {names}.*; and 2 more; --data\.skip-damaged goes on"
    )


def test_a_folder_without_its_damaged_images_is_one_that_never_had_them(flat: Path):
    damaged = ["2/1.png", "cat/0.png"]
    for name in damaged:
        (flat / name).write_bytes(b"damage")
    for path in (flat, packed(flat), packed(flat, "gztar")):
        dataset = load(path, skip_damaged=True, train_fraction=0.7)
        names = rf"{path}/2/1.png cannot be read as an image: .*; {path}/cat/0.png cannot be read as an image: "
        (note,) = dataset.notes
        assert re.match(rf"2 of 15 images are damaged or cannot be read: {names}", note)
        assert note.endswith("; left out, as data.skip_damaged says")
    for name in damaged:
        (flat / name).unlink()
    assert_same(dataset, load(flat, train_fraction=0.7))


def test_a_test_split_whose_images_are_all_damaged_is_not_replaced(flat: Path):
    root = flat.parent / "pets"
    root.mkdir()
    flat.rename(root / "train")
    write(root / "test", 1)
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"damage")
    refused(root, "has no test images left", skip_damaged=True)


def test_names_in_composed_and_decomposed_unicode_are_one_class(tmp_path: Path):
    root, forms = tmp_path / "caf\u00e9", [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    write(root / "train", 3, 0, (forms[0], "tea"))
    write(root / "test", 2, 1, (forms[1], "tea"))
    dataset = load(root)
    assert dataset.classes == (forms[0], "tea") and dataset.test.labels.tolist() == [0, 0, 1, 1]
    write(root / "train" / "more", 1, 2, (forms[1],))
    (root / "train" / "more" / forms[1]).rename(root / "train" / forms[1])
    (root / "train" / "more").rmdir()
    dataset = load(root)
    assert dataset.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert_same(load(packed(root)), dataset)
    assert_same(load(packed(root, "tar")), dataset)


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_names_that_are_no_text_are_shown_by_their_bytes(tmp_path: Path, kind: str):
    names = tuple(os.fsdecode(name) for name in (b"caf\xe9", b"caf\xe8", b"$1 to $5", b"a\x1b[2J\nb"))
    write(tmp_path / "shop", 3, 0, names)
    root = tmp_path / "shop" if kind == "folder" else packed(tmp_path / "shop", kind)
    dataset = load(root)
    assert set(dataset.classes) == {"caf\\xe9", "caf\\xe8", "$1 to $5", "a\\x1b[2J\\nb"}
    assert all(name.isprintable() for name in dataset.classes)
    file = tmp_path / "shop" / names[0] / "0.png"
    file.write_bytes(b"damage")
    refused(
        root if kind == "folder" else packed(tmp_path / "shop", kind), r"caf\\xe9/0\.png cannot be read as an image"
    )


def test_an_image_that_may_not_be_read_is_a_damaged_one(flat: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    opened = entries._opened
    monkeypatch.setattr(entries, "_opened", lambda path: refuse() if path.name == "3.png" else opened(path))
    refused(flat, r"3 of 15 images are .*/10/3\.png cannot be read: Permission denied; ")


@pytest.mark.parametrize("values", [np.array([[0, 70000]], np.int32), np.array([[0, 0.5]], np.float32)])
def test_numbers_whose_white_is_not_known_are_no_image(values: np.ndarray):
    with pytest.raises(InputError, match=r"a\.tif: its values .* 8 or 16 bits"):
        decode(encoded(values, "TIFF"), "a.tif")
