"""Files of images that can be read in any order: in a directory, a .zip, or a bare .tar."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from jaxcnn.data.entries import Parts, parts_of
from jaxcnn.data.images import read_bytes
from jaxcnn.data.streamed import Encoded
from jaxcnn.data.tar import DAMAGE
from jaxcnn.host.errors import InputError

HOW = "only a directory, a .zip or a bare .tar can be read in any order: unpack it"


def encoded(root: Path, files: Iterable[tuple[Parts, int]], nested: int) -> Encoded:
    """The files, told by their places in the source and their sizes, of a directory or an archive.

    Raises InputError for an archive whose files can only be read one after the other.
    """
    found = [*files]
    if nested:
        raise InputError(f"{root} holds its images in archives within it, and is to be streamed: {HOW}")
    if root.is_dir():
        return Encodings(root, found, _from_directory(root))
    if zipfile.is_zipfile(root):
        return Encodings(root, found, _from_zip(root))
    if _is_bare_tar(root):
        return Encodings(root, found, _from_tar(root))
    raise InputError(f"{root} is compressed as a whole, and is to be streamed: {HOW}")


class Encodings:
    """Files of one source, each by its number."""

    def __init__(self, root: Path, files: list[tuple[Parts, int]], open: Callable[[Parts], IO[bytes]]) -> None:
        """`open` gives a file that stands at the first byte of an image; there may be more after its last."""
        self._root, self._files, self._open = root, files, open

    def name(self, place: int) -> str:
        return str(self._root.joinpath(*self._files[place][0]))

    def size(self, place: int) -> int:
        return self._files[place][1]

    def read(self, place: int) -> bytes:
        parts, size = self._files[place]
        try:
            with self._open(parts) as file:
                return read_bytes(file, self.name(place), size)[:size]
        except (*DAMAGE, KeyError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.name(place)} cannot be read: {reason}") from error


def _from_directory(root: Path) -> Callable[[Parts], IO[bytes]]:
    return lambda parts: root.joinpath(*parts).open("rb")


def _from_zip(root: Path) -> Callable[[Parts], IO[bytes]]:
    archive = zipfile.ZipFile(root)
    members = {parts_of(info.filename): info for info in archive.infolist()}
    return lambda parts: archive.open(members[parts])


def _is_bare_tar(root: Path) -> bool:
    try:
        with tarfile.open(root, "r:"):
            return True
    except (*DAMAGE, tarfile.ReadError):
        return False


def _from_tar(root: Path) -> Callable[[Parts], IO[bytes]]:
    offsets: dict[Parts, int] = {}
    with tarfile.open(root, "r:", encoding="utf-8") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # which would hold all of a million
            if member.isreg():
                offsets[parts_of(member.name)] = member.offset_data

    def opened(parts: Parts) -> IO[bytes]:
        file = root.open("rb")
        file.seek(offsets[parts])
        return file

    return opened
