"""What lies in a .tar, member after member, with no more in memory than one image may have."""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from jaxcnn.data.entries import Entry, link_of, parts_of
from jaxcnn.data.images import LARGEST
from jaxcnn.host.errors import InputError
from jaxcnn.host.text import bytes_text

UNREADABLE = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)  # raised where bytes should come
# What zipfile and tarfile raise besides for bytes that are no archive, or one of a kind that they do not know.
DAMAGE = (*UNREADABLE, zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, struct.error)


def members(file: IO[bytes], name: str) -> Iterator[Entry]:
    """The entries of a bare tar. A broken one raises one of DAMAGE, here or where a member is read; or InputError."""
    bounded: Any = _Bounded(file, name)
    with tarfile.open(fileobj=bounded, mode="r:", encoding="utf-8") as tar:
        opened: Any = tar
        while (member := opened.next()) is not None:
            opened.members.clear()  # which would hold all of a million
            parts = parts_of(member.name)
            if member.isdir():
                yield Entry(parts)
            elif member.isreg():
                yield Entry(parts, member.size, partial(opened.extractfile, member))
            elif member.issym():
                yield link_of(parts, member.linkname, parts[:-1])
            elif member.islnk():
                yield link_of(parts, member.linkname, ())
            else:
                yield Entry(parts, fault=_kind(member))
        # tarfile takes damage between two members for the end, and would quietly give the images before it.
        bounded.seek(opened.offset)
        if bounded.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{name} is damaged: no end mark at byte {opened.offset} of the tar file")


def _kind(member: tarfile.TarInfo) -> str:
    if member.isfifo():
        return "a named pipe"
    return "a device" if member.isdev() else "neither a file nor a folder"


class _Bounded:
    """A file of which no more is read at once than an image may have: tarfile reads what a header claims to be."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int) -> bytes:
        if size > LARGEST + tarfile.BLOCKSIZE:
            raise InputError(f"{self._name} is damaged: a header of it claims {bytes_text(size)}")
        try:
            return self._file.read(size)
        except (*DAMAGE, MemoryError):
            raise
        except Exception as error:  # Zstandard's own, whose library may not be there to name it
            raise tarfile.ReadError(str(error)) from error
