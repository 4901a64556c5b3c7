"""What lies in an archive, and in archives within it, read without unpacking.

No name in an archive, whatever it says, is a place to write to; no link is followed but to what the archive holds; and
no more is read at once than one image may have, whatever a header claims.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import IO, Any

from jaxcnn.data import tar
from jaxcnn.data.entries import Entry, link_of, parts_of
from jaxcnn.data.tar import DAMAGE
from jaxcnn.host.errors import InputError
from jaxcnn.host.text import bytes_text

NESTED = 2  # archives within archives that are looked into: a zip can hold itself without end
LONGEST_LINK = 4096  # bytes of a path (Linux: PATH_MAX)

_NAME = re.compile(r"\.(zip|tar(\.\w+)?|tgz|txz|tbz2?|tzst)$", re.IGNORECASE)
_MAGIC = {
    b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zst", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar",
}  # fmt: skip


def is_archive_name(name: str) -> bool:
    """Whether the name ends as one of an archive does."""
    return bool(_NAME.search(name))


def within(entries: Iterator[Entry], nested: int, name: str) -> Iterator[Entry]:
    """The entries, where an archive among them is a folder of what lies in it, `nested` archives deep."""
    for entry in entries:
        if not (nested and entry.open and is_archive_name(entry.parts[-1])):
            yield entry
            continue
        inner, above = f"{name}/{'/'.join(entry.parts)}", entry.parts[:-1]
        prefix = (*above, _NAME.sub("", entry.parts[-1]))
        with entry.open() as file:
            for below in within(archive(file, inner), nested - 1, inner):
                link = None if below.link is None else (*prefix, *below.link)
                yield replace(below, parts=(*prefix, *below.parts), link=link)


def damaged(name: str, error: Exception) -> str:
    """The sentence about an archive that could not be read to its end."""
    reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
    return f"{name} cannot be read, or is damaged: {reason}"


def archive(file: IO[bytes], name: str) -> Iterator[Entry]:
    """The entries of a .zip, or of a .tar, bare or compressed, whatever its name says.

    Raises InputError, with `name`, for what is none or is broken. A broken member of a tar raises one of UNREADABLE
    where it is read, and ends the archive.
    """
    try:
        yield from _members(file, name)
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(damaged(name, error)) from error


def _members(file: IO[bytes], name: str) -> Iterator[Entry]:
    head = _peek(file)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if kind == "zip":
        with _seekable(file, name) as whole:
            yield from _zip(whole, name)
    elif kind in ("7z", "rar"):
        raise InputError(f"{name} is a .{kind} archive, which is not read: unpack it, or pack it as .zip or .tar")
    elif kind:
        with _unpacked(file, kind, name) as unpacked:
            yield from tar.members(unpacked, name)
    elif _is_tar(head):
        yield from tar.members(file, name)
    elif not head and is_archive_name(name):
        raise InputError(f"{name} is damaged: it is empty")
    else:
        raise InputError(
            f"{name} is neither a directory nor a .zip, .tar, .tar.gz, .tar.xz, .tar.bz2 or .tar.zst archive"
        )


def _peek(file: Any) -> bytes:
    return file.peek(tarfile.BLOCKSIZE)[: tarfile.BLOCKSIZE]


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return len(head) == tarfile.BLOCKSIZE and not any(head)  # an empty one
    return True


@contextlib.contextmanager
def _seekable(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The file, or where it lies in an archive a copy on the disk: a zip's table of contents is at its end."""
    if _on_disk(file):
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        while block := file.read(2**20):
            if len(block) > free - copy.tell():
                raise InputError(f"{name} takes more than the {bytes_text(free)} free in {tempfile.gettempdir()}")
            copy.write(block)
        copy.seek(0)
        yield copy


def _on_disk(file: IO[bytes]) -> bool:
    try:
        file.fileno()
    except (OSError, AttributeError):  # zipfile's and tarfile's way to say that it is a part of another
        return False
    return True


def _unpacked(file: IO[bytes], kind: str, name: str) -> IO[bytes]:
    if kind == "zst":
        return _zstd(name).ZstdFile(file)
    opened: Any = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[kind](file)
    return opened


def _zstd(name: str) -> Any:
    for module in ("compression.zstd", "backports.zstd"):  # Python's own from 3.14 on, and the same for those before
        with contextlib.suppress(ImportError):
            return importlib.import_module(module)
    raise InputError(f"{name} is compressed by Zstandard: pip install 'jaxcnn[zstd]' reads it")


def _zip(file: IO[bytes], name: str) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            if info.flag_bits & 1:
                raise InputError(f"{name} is encrypted: unpack it with its password")
            parts, mode = parts_of(info.filename), info.external_attr >> 16
            if info.filename.endswith(("/", "\\")):
                yield Entry(parts)
            elif stat.S_ISLNK(mode):
                with opened.open(info) as link:
                    target = link.read(LONGEST_LINK).decode("utf-8", "surrogateescape")
                yield link_of(parts, target, parts[:-1])
            else:
                yield Entry(parts, info.file_size, partial(opened.open, info), alone=DAMAGE)
