"""What would fill the memory, never end or wait for ever gets a sentence, or is left out with one."""

from __future__ import annotations

import gzip
import io
import os
import socket
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_folders import assert_same, encoded, load, packed, pixels, refused, write
from PIL import Image

from jaxcnn import data
from jaxcnn.data import stack
from jaxcnn.data.config import DataConfig
from jaxcnn.data.idx import read_idx
from jaxcnn.data.images import LARGEST, read_image
from jaxcnn.host import memory
from jaxcnn.host.errors import InputError

GIB = 2**30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "pets", 3)
    return tmp_path / "pets"


@contextmanager
def little_memory(most: int = 2**26) -> Iterator[None]:
    """Fail where Python and NumPy have held more than `most` bytes inside."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def zeros(size: int) -> bytes:
    """`size` zeros, a multiple of 16 MiB, compressed by a thousand as DEFLATE, without a header."""
    packer, end = (zlib.compressobj(9, zlib.DEFLATED, -15) for _ in range(2))
    block = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)  # which can be repeated
    return block * (size // 2**24) + end.flush()


def gzip_of_zeros(start: bytes, size: int) -> bytes:
    """A gzip file of some bytes and zeros after them."""
    return gzip.compress(start) + b"\x1f\x8b\x08" + bytes(6) + b"\xff" + zeros(size)


def zip_of_zeros(file: Path, name: str, size: int, claimed: int) -> None:
    """Add a member of `size` zeros to a zip, of which the header claims another number."""
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"")
        info, packed = archive.getinfo(name), zeros(size)
        assert archive.fp is not None
        archive.fp.seek(info.header_offset)
        info.file_size, info.compress_size, info.compress_type = claimed, len(packed), zipfile.ZIP_DEFLATED
        archive.fp.write(info.FileHeader())
        archive.fp.write(packed)
        archive.start_dir = archive.fp.tell()


def test_an_image_larger_than_any_is_not_read_from_a_zip(root: Path):
    expected, file = load(root), packed(root)
    zip_of_zeros(file, "cat/9.png", 2 * GIB, 2 * GIB)
    with little_memory():
        refused(file, r"1 of 10 images .*: \S+/cat/9\.png is of 2\.0 GiB, and of one image at most 512 MiB are read")
        assert_same(load(file, skip_damaged=True), expected)


def test_of_what_a_zip_claims_to_be_small_no_more_is_read(root: Path):
    file = packed(root)
    zip_of_zeros(file, "cat/9.png", GIB, 1000)
    with little_memory():
        refused(file, r"1 of 10 images .*: \S+/cat/9\.png cannot be read")


def test_zeros_of_any_length_under_another_name_are_left_out(root: Path):
    expected, file = load(root), packed(root)
    zip_of_zeros(file, "cat/zeros", 2 * GIB, 2 * GIB)
    with little_memory():
        assert_same(load(file), expected)
        assert load(file).notes == ("left out 1 file that is no image: 1 without an ending",)


def sparse_tar(file: Path, name: str, claimed: int) -> None:
    """A tar with one image of `claimed` bytes, all of them holes, which take no place."""
    info = tarfile.TarInfo(name)
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": name, "GNU.sparse.realsize": str(claimed),
    }  # fmt: skip
    content = b"0\n".ljust(512, b"\0")  # no part of it holds data
    info.size = len(content)
    with tarfile.open(file, "a", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content))


def test_holes_in_a_tar_are_not_read(root: Path):
    file = root.with_suffix(".tar")
    with tarfile.open(file, "w") as archive:
        archive.add(root, ".")
    sparse_tar(file, "cat/9.png", 2**40)
    with little_memory():
        refused(file, r"1 of 10 images .*/cat/9\.png is of 1\.0 TiB, and of one image at most 512 MiB are read")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_of_any_length_is_not_read(tmp_path: Path, kind: bytes):
    info = tarfile.TarInfo("long")
    info.type, info.size = kind, 2 * GIB
    file = tmp_path / "a.tar.gz"
    file.write_bytes(gzip_of_zeros(info.tobuf(), 2 * GIB))
    with little_memory():
        refused(file, r"a\.tar\.gz is damaged: a header of it claims 2\.0 GiB")


def test_a_zip_in_a_tar_that_fills_the_disk_is_named(root: Path, monkeypatch: pytest.MonkeyPatch):
    inner, outer = packed(root), root.with_suffix(".tar")
    with tarfile.open(outer, "w") as archive:
        archive.add(inner, "images.zip")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    refused(outer, r"pets\.tar/images\.zip takes more than the 1000 bytes free in \S+")


def test_pipes_sockets_and_devices_in_a_folder_are_left_out(root: Path):
    expected = load(root)
    os.mkfifo(root / "cat" / "pipe")
    (root / "cat" / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(root / "cat" / "socket"))  # as a path of a socket may not be long
        dataset = load(root)
    assert_same(dataset, expected)
    assert set(dataset.notes) == {f"left out 1 file, {what}" for what in ("a named pipe", "a device", "a socket")}


def test_pipes_and_devices_that_are_called_images_are_damaged_ones(root: Path):
    expected = load(root)
    os.mkfifo(root / "cat" / "7.png")
    (root / "cat" / "8.png").symlink_to("/dev/zero")
    (root / "cat" / "9.png").symlink_to("9.png")
    (root / "2" / "9.png").symlink_to("nowhere.png")
    faults = r"/2/9\.png is a link that leads nowhere; .*/7\.png is a named pipe; .*/8\.png is a device; "
    refused(root, rf"4 of 13 images .*: .*{faults}.*/9\.png is a link that goes in a circle; --data\.skip-damaged")
    assert_same(load(root, skip_damaged=True), expected)


def test_a_folder_within_itself_is_left_out(root: Path):
    expected = load(root)
    for name in ("loop", "cat/up", "2/self"):
        (root / name).symlink_to(root if name != "2/self" else root / "2")
    dataset = load(root)
    assert_same(dataset, expected)
    assert dataset.notes == ("left out 3 files, each a link that leads back to its own folder",)


@pytest.mark.parametrize("what", ["a pipe", "/dev/zero"])
def test_a_source_that_never_ends_is_refused(tmp_path: Path, what: str):
    path = tmp_path / "pipe"
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(what)
    refused(path, "pipe is neither a directory nor an archive")


def test_of_a_device_that_is_no_image_only_the_head_is_read():
    with little_memory(), pytest.raises(InputError, match="/dev/zero cannot be read as an image: Pillow knows no such"):
        read_image("/dev/zero")


def test_an_image_file_that_is_too_large_is_not_read(tmp_path: Path):
    file = tmp_path / "huge.png"
    with file.open("wb") as opened:
        opened.truncate(2 * GIB)  # a hole
    with little_memory(), pytest.raises(InputError, match=r"huge\.png has 2\.0 GiB: of one image at most 512 MiB"):
        read_image(file)


def test_an_image_of_more_pixels_than_memory_is_named(root: Path):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">II", zlib.crc32(chunk), 9) + b"IDAT"
    (root / "cat" / "1.png").write_bytes(bomb)
    with little_memory():
        refused(root, r"cat/1\.png is too large an image: Image size \(10000000000 pixels\) exceeds limit")


def test_a_line_of_pixels_is_not_blown_up(root: Path):
    (root / "cat" / "1.png").write_bytes(encoded(Image.new("L", (10_000_000, 1))))
    refused(root, r"cat/1\.png: 1x10000000 is too long and thin to be cropped", size=(64, 64), channels=3)
    assert load(root, size=(64, 64), channels=3, fit="squash").train.images.shape[1:] == (64, 64, 3)


def idx(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


def test_of_a_gzip_file_no_more_is_read_than_its_header_promises(tmp_path: Path):
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip_of_zeros(idx((10, 28, 28)), 2 * GIB))
    with little_memory(), pytest.raises(InputError, match="is too long: its header promises 10x28x28 = 7840 bytes"):
        read_idx(file, "images")


def test_what_a_gzip_file_cannot_hold_is_not_asked_of_memory(tmp_path: Path):
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(idx((2**31, 2**31, 2**31)) + bytes(1000)))
    with little_memory(), pytest.raises(InputError, match=r"is truncated: .*, it has at most \d+$"):
        read_idx(file, "images")


def test_too_little_memory_is_said_before_anything_is_read(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 2**20)
    sentence = r"9 images of 1000x1000x3 take 26 MiB of memory, and 1\.0 MiB are free: give a smaller --data\.size"
    with little_memory(2**25):
        refused(packed(root, "gztar"), sentence, size=(1000, 1000))
    assert load(root, size=(1000, 1000)).train.images.shape == (6, 1000, 1000, 3)  # streamed
    assert load(root, size=(100, 100)).train.images.shape == (6, 100, 100, 3)


def test_of_a_part_of_the_training_images_only_that_part_is_read(root: Path, monkeypatch: pytest.MonkeyPatch):
    whole, rows = load(root, train_fraction=0.5), []
    monkeypatch.setattr(stack, "require_images", lambda count, shape: rows.append(count))
    assert_same(load(root, train_fraction=0.5), whole)
    assert rows == [len(whole.train.labels) + len(whole.test.labels)] and rows[0] == 6


def test_memory_that_ends_all_the_same_is_a_sentence(root: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(InputError, match=r"memory ended while folder:\S+ was read: Unable to allocate 9 TiB"):
        data.load(DataConfig(f"folder:{root}"))


def test_the_largest_image_that_pillow_opens_is_not_too_large():
    assert Image.MAX_IMAGE_PIXELS is not None and 2 * Image.MAX_IMAGE_PIXELS * 3 <= LARGEST
    assert pixels(0, 0).nbytes < LARGEST


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "xztar", "zst", "zip in tar"])
def test_whatever_the_damage_an_archive_gives_a_sentence(root: Path, kind: str):
    rng, file = np.random.default_rng(1), packed(root, "tar" if kind in ("zst", "zip in tar") else kind)
    sound = file.read_bytes()
    if kind == "zst":
        sound = pytest.importorskip("backports.zstd", reason="comes with Python 3.14").compress(sound)
    if kind == "zip in tar":
        (root.parent / "box").mkdir()
        packed(root).rename(root.parent / "box" / "images.zip")
        sound = packed(root.parent / "box", "tar").read_bytes()
    sentences = 0
    for _ in range(60):
        content = bytearray(sound)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        start = int(rng.integers(len(content)))
        del content[start : start + int(rng.integers(0, 300))]
        file.write_bytes(content)
        try:
            load(file, skip_damaged=True)
        except InputError as error:
            assert "\n" not in str(error)
            sentences += 1
    assert sentences > 5
