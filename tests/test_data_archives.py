"""Archives equal their directories, whoever made them; a damaged one never loads in part."""

from __future__ import annotations

import bz2
import importlib
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_folders import assert_same, encoded, load, packed, pixels, refused, write

from jaxcnn.data.archives import _zstd


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images in train/ and test/."""
    write(tmp_path / "pets" / "train", 4, 0)
    write(tmp_path / "pets" / "test", 2, 1)
    return tmp_path / "pets"


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


def test_an_image_in_an_archive_is_named_within_it(root: Path):
    (root / "train" / "cat" / "3.png").write_text("hello")
    file = shutil.make_archive(str(root), "zip", root)
    refused(Path(file), r"pets\.zip/train/cat/3\.png cannot be read as an image")


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
    refused(file, rf"1 of 18 images is damaged .*: {file}/\S+\.png cannot be read: Bad CRC-32")


def test_an_encrypted_zip_is_named(root: Path):
    file = Path(shutil.make_archive(str(root), "zip", root))
    content = bytearray(file.read_bytes())
    place = 0
    while (place := content.find(b"PK\x01\x02", place + 1)) > 0:
        content[place + 8] |= 1  # the flag of encryption in the central directory
    file.write_bytes(content)
    refused(file, r"pets\.zip is encrypted")


def test_the_content_says_what_an_archive_is(root: Path):
    expected = load(root)
    for kind, name in (("zip", "a.tar"), ("xztar", "b.zip"), ("tar", "c.tgz"), ("gztar", "d"), ("bztar", "e.TAR")):
        assert_same(load(packed(root, kind).rename(root.parent / name)), expected)


def test_a_compressed_file_without_an_archive_is_named(root: Path):
    file = root.parent / "photo.png.bz2"
    file.write_bytes(bz2.compress(encoded(pixels(0, 0))))
    refused(file, r"photo\.png\.bz2 cannot be read, or is damaged: \S")


def test_a_tar_compressed_by_zstandard_is_read(root: Path):
    zstd = pytest.importorskip("backports.zstd", reason="Zstandard comes with Python from 3.14 on")
    file = packed(root, "tar")
    squeezed = file.with_suffix(".tar.zst")
    squeezed.write_bytes(zstd.compress(file.read_bytes()))
    assert_same(load(squeezed), load(root))
    squeezed.write_bytes(squeezed.read_bytes()[:-300])
    refused(squeezed, r"pets\.tar\.zst cannot be read, or is damaged: \S")


def test_without_zstandard_what_is_to_install_is_said(root: Path, monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> None:
        raise ImportError(name)

    file = root.parent / "pets.tar.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(99))
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ValueError, match=r"pets\.tar\.zst is compressed by Zstandard: pip install 'jaxcnn\[zstd\]'"):
        _zstd(str(file))


@pytest.mark.parametrize(("magic", "kind"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07\x01\0", "rar")])
def test_an_archive_that_is_not_read_is_named(root: Path, magic: bytes, kind: str):
    file = root.parent / f"pets.{kind}"
    file.write_bytes(magic + bytes(99))
    refused(file, rf"pets\.{kind} is a \.{kind} archive, which is not read: unpack it")


def test_an_archive_made_on_windows_parts_names_by_backslashes(root: Path):
    file = root.parent / "windows.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("pets\\train\\empty\\..\\", "")
        for path in sorted(root.rglob("*.png")):
            info = zipfile.ZipInfo("pets\\" + "\\".join(path.relative_to(root).parts))
            info.create_system = 0
            archive.writestr(info, path.read_bytes())
    assert_same(load(file), load(root))


@pytest.mark.parametrize("outer", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("inner", ["zip", "tar", "xztar"])
def test_an_archive_in_an_archive_is_read(root: Path, outer: str, inner: str):
    expected = load(root)
    (root.parent / "box").mkdir()
    packed(root, inner).rename(root.parent / "box" / f"images.{inner.replace('xztar', 'tar.xz')}")
    assert_same(load(packed(root.parent / "box", outer)), expected)
    assert_same(load(root.parent / "box"), expected)


def test_a_train_zip_beside_a_test_zip_are_the_splits(root: Path):
    expected = load(root)
    for split in ("train", "test"):
        shutil.make_archive(str(root / split), "zip", root, split)  # holds the folder train/ or test/
        shutil.rmtree(root / split)
    assert_same(load(root), expected)


def test_an_archive_for_each_class_in_a_tar_is_read(root: Path):
    """ImageNet comes so: one tar, and in it one of each class."""
    expected = load(root / "train")
    (root.parent / "all").mkdir()
    for name in expected.classes:
        packed(root / "train" / name, "tar").rename(root.parent / "all" / f"{name}.tar")
    assert_same(load(packed(root.parent / "all", "tar")), expected)


def test_an_archive_beside_images_is_no_class(root: Path):
    expected = load(root)
    packed(root / "train").rename(root / "train" / "backup.zip")
    assert_same(load(root), expected)
    assert load(root).notes == ("left out 1 file that is no image: 1 .zip",)


def test_a_damaged_archive_in_an_archive_is_named(root: Path):
    (root.parent / "box").mkdir()
    inner = packed(root).rename(root.parent / "box" / "images.zip")
    inner.write_bytes(inner.read_bytes()[:-500])
    refused(packed(root.parent / "box"), r"box\.zip/images\.zip cannot be read, or is damaged: File is not a zip file")


def test_an_archive_that_holds_itself_ends(tmp_path: Path):
    file = tmp_path / "a.zip"
    for _ in range(5):
        content = file.read_bytes() if file.exists() else b""
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.zip", content)
    refused(file, "it has a.zip, but no image that Pillow reads")


def test_links_within_an_archive_are_followed(root: Path):
    (root / "train" / "cat" / "5.png").symlink_to("../2/0.png")
    (root / "train" / "cat" / "6.png").symlink_to("5.png")
    (root / "train" / "cat" / "7.png").hardlink_to(root / "train" / "10" / "1.png")
    (root / "train" / "dog").symlink_to("cat")
    dataset = load(packed(root, "tar"))
    assert_same(dataset, load(root))
    np.testing.assert_array_equal(dataset.train.images[13], pixels(0, 0))
    assert dataset.notes == ("no test images of 1 class: dog",)


def test_links_to_what_is_hidden_are_followed(root: Path):
    """As in the archive of a repository whose images are kept in a pool."""
    expected = load(root)
    (root / ".pool").mkdir()
    for number, image in enumerate(sorted((root / "train").rglob("*.png"))):
        image.rename(root / ".pool" / f"{number}")
        image.symlink_to(f"../../.pool/{number}")
    assert_same(load(packed(root, "tar")), expected)
    assert_same(load(root), expected)


def test_links_in_an_archive_of_absolute_names_are_followed(root: Path):
    file = packed(root, "tar")
    with tarfile.open(file, "a") as archive:
        info = tarfile.TarInfo("/train/cat/5.png")
        info.type, info.linkname = tarfile.SYMTYPE, "../2/0.png"
        archive.addfile(info)
    np.testing.assert_array_equal(load(file).train.images[12], pixels(0, 0))


def test_links_in_a_zip_are_followed(root: Path):
    file = packed(root)
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("train/cat/5.png")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "../2/0.png")
    np.testing.assert_array_equal(load(file).train.images[12], pixels(0, 0))


def linked(folder: Path, links: dict[str, str], kind: bytes = tarfile.SYMTYPE) -> Path:
    """The folder as a .tar, with links from names to where they lead."""
    file = packed(folder, "tar")
    with tarfile.open(file, "a") as archive:
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    return file


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_that_an_archive_cannot_follow_are_named(root: Path, kind: bytes):
    expected = load(root)
    out, nowhere = "a link that leads out of the archive", "a link that leads nowhere within the archive"
    folder = "" if kind == tarfile.SYMTYPE else "train/cat/"  # a hard link's target is a name in the archive
    for links, fault in (
        ({"x": "/etc/shadow"}, out),
        ({"x": "../../../../etc/shadow"}, out),
        ({"x": f"{folder}gone.txt"}, nowhere),
        ({"x": f"{folder}x"}, nowhere),
        ({"x": f"{folder}y", "y": f"{folder}x"}, nowhere),
        ({f"{number}": f"{folder}{number + 1}" for number in range(10, 2010)}, nowhere),
    ):
        count = len(links)
        dataset = load(linked(root, {f"train/cat/{name}": target for name, target in links.items()}, kind))
        assert_same(dataset, expected)
        assert dataset.notes == (f"left out {count:,} file{'s, each' if count > 1 else ','} {fault}",)
        images = {f"train/cat/{name}.png": f"{target}.png" for name, target in links.items()}
        refused(linked(root, images, kind), rf"{count:,} of {18 + count:,} images .*\.png is {fault}")


def test_a_link_to_the_folder_that_it_is_in_ends(root: Path):
    assert load(linked(root, {"train/cat/up": "..", "again": "."})).classes == load(root).classes


def test_pipes_and_devices_in_a_tar_are_left_out(root: Path):
    expected = load(root)
    for kind, fault in (
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
    ):
        file = linked(root, {"train/cat/x": ""}, kind)
        assert_same(load(file), expected)
        assert load(file).notes == (f"left out 1 file, {fault}",)


def test_no_name_in_an_archive_leads_out_of_it(root: Path):
    expected = load(root)
    for kind in ("zip", "tar"):
        file = packed(root, kind)
        evil = encoded(pixels(9, 9))
        for name in ("../../evil.png", "/evil.png", "train/../../evil.png", "..\\evil.png", "C:\\evil.png"):
            (root.parent / "evil").write_bytes(evil)
            if kind == "zip":
                with zipfile.ZipFile(file, "a") as archive:
                    archive.writestr(name, evil)
            else:
                with tarfile.open(file, "a") as archive:
                    archive.add(root.parent / "evil", name, filter=None)
        assert_same(load(file), expected)
    assert not list(root.parent.rglob("evil.png"))


def test_a_link_takes_the_place_of_a_member_of_its_name(root: Path):
    (root / "train" / "2" / "0.png").write_bytes(encoded(pixels(0, 1)))
    assert_same(load(linked(root, {"train/2/0.png": "1.png"})), load(root))


def test_the_last_of_two_members_of_one_name_counts(root: Path):
    file = packed(root)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("train/2/0.png", encoded(pixels(7, 7)))
    np.testing.assert_array_equal(load(file).train.images[0], pixels(7, 7))
