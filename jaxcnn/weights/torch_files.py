"""PyTorch's files, in all their forms: a zip archive, pickles with the numbers behind them, and the oldest, a tar."""

from __future__ import annotations

import io
import mmap
import struct
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxcnn.weights.pickle_names import Calls, Record
from jaxcnn.weights.pickles import unpickle
from jaxcnn.weights.soundness import refuse_claims_of
from jaxcnn.weights.torch_tensors import CALLS, build, storage_dtype, tensor

_MAGIC = 0x1950A86A20F9469CFC6C  # begins what torch.save wrote from 0.1.10 to 1.5
_PROTOCOL = 1001


def read_zip(file: Path) -> Any:
    """What torch.save writes since 1.6: an archive of a pickle, `data.pkl`, and of each storage by its key.

    Raises ValueError and what `unpickle` raises: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        refuse_claims_of(archive, file)
        pickles = [name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        parts = {part.filename.removeprefix(folder): part for part in archive.infolist()}
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts.values()):
            raise ValueError("its parts are compressed, which PyTorch never does")
        order = archive.read(parts["byteorder"]).decode() if "byteorder" in parts else "little"
        held: dict[str, np.ndarray] = {}

        def persistent(key: Any) -> Any:
            dtype, name, count, _ = _storage(key)
            if dtype is None:
                return Record(key[1].full)
            if name not in held:
                held[name] = _in_order(archive.read(parts[f"data/{name}"]), dtype, order)
            return _numbers(held[name], dtype, count)

        return unpickle(io.BytesIO(archive.read(pickles[0])), CALLS, build, persistent)


def read_pickle(file: Path) -> Any:
    """What torch.save wrote before 1.6, or a plain pickle of containers, arrays and tensors.

    Raises ValueError and what `unpickle` raises: it is damaged.
    """
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        calls = {**CALLS, "torch.storage._load_from_bytes": _loaded}
        return _read_stream(mapped, calls)  # pyright: ignore[reportArgumentType]  # it reads as a file does


def _read_stream(stream: IO[bytes], calls: Calls) -> Any:
    """Four pickles (a magic number, a version, the machine's facts, the object), the storages' keys, the storages.

    The object's pickle is read twice: what the storages hold is known from it alone, and they stand behind it.
    """
    first = unpickle(stream, calls, build)
    if first != _MAGIC:
        return first
    if (version := unpickle(stream)) != _PROTOCOL:
        raise ValueError(f"its version is {str(version)[:20]}, not {_PROTOCOL}")
    order = "little" if unpickle(stream).get("little_endian", True) else "big"
    start = stream.tell()
    found: dict[str, np.dtype | None] = {}

    def noted(key: Any) -> Any:
        if isinstance(key, tuple) and key and key[0] == "module":  # the source of a class, beside the class
            return key[1]
        dtype, name, _, _ = _storage(key)
        found[name] = dtype
        return Record(key[1].full)

    unpickle(stream, calls, build, noted)
    held: dict[str, np.ndarray] = {}
    for name in unpickle(stream):
        dtype = found.get(name)
        if dtype is None:
            raise ValueError("it has numbers of a type that is not read")
        held[name] = _in_order(_counted(stream, dtype), dtype, order)
    stream.seek(start)

    def persistent(key: Any) -> Any:
        if key[0] == "module":
            return key[1]
        dtype, name, count, view = _storage(key)
        if dtype is None:
            return Record(key[1].full)
        numbers = _numbers(held[name], dtype, count)
        return numbers if view is None else numbers[view[1] : view[1] + view[2]]

    return unpickle(stream, calls, build, persistent)


def read_tar(file: Path) -> Any:
    """What torch.save wrote before 0.1.10: storages, tensors that are views of them, and a pickle that names both.

    Raises ValueError and what `unpickle` raises: it is damaged.
    """
    with tarfile.open(file, "r:") as archive:
        storages, tensors, pickle = (_member(archive, name) for name in ("storages", "tensors", "pickle"))
    held: dict[Any, Any] = {}
    for _ in range(unpickle(storages)):
        key, _, kind = unpickle(storages)
        if (dtype := storage_dtype(kind)) is None:
            raise ValueError("it has numbers of a type that is not read")
        held[key] = np.frombuffer(_counted(storages, dtype), dtype)
    for key, root, offset, count in unpickle(storages):
        held[key] = held[root][offset : offset + count]
    for _ in range(unpickle(tensors)):
        key, storage, _ = unpickle(tensors)
        rank, _ = struct.unpack("<2i", tensors.read(8))
        size, stride = (struct.unpack(f"<{rank}q", tensors.read(8 * rank)) for _ in range(2))
        (offset,) = struct.unpack("<q", tensors.read(8))
        held[key] = tensor(held[storage], offset, size, stride)

    def persistent(key: Any) -> Any:
        return key[0] if isinstance(key, tuple) else held[int(key)]

    return unpickle(pickle, CALLS, build, persistent)


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.getmember(name)
    if not member.isreg() or member.sparse is not None:
        raise ValueError(f"its part {name} is no plain file")
    stream = archive.extractfile(member)
    assert stream is not None
    return io.BytesIO(stream.read())


def _storage(key: Any) -> tuple[np.dtype | None, str, int, Any]:
    """A persistent id as dtype, key, number of elements, and the part of it that is meant (None: all)."""
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage":
        raise ValueError("a part outside of its pickle that is no storage")
    _, kind, name, _, count, *view = key
    return storage_dtype(kind), str(name), int(count), view[0] if view else None


def _counted(stream: IO[bytes], dtype: np.dtype) -> bytes:
    """A storage that begins with the number of its elements."""
    (count,) = struct.unpack("<q", stream.read(8))
    data = stream.read(max(count, 0) * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("it ends within its numbers")
    return data


def _in_order(data: bytes, dtype: np.dtype, order: str) -> np.ndarray:
    """The bytes of a storage in this machine's order."""
    part = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    if order == sys.byteorder or part == 1:
        return np.frombuffer(data, np.uint8)
    return np.frombuffer(data, f"u{part}", len(data) // part).byteswap().view(np.uint8)


def _numbers(data: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    if not 0 <= count * dtype.itemsize <= data.size:
        raise ValueError(f"a storage of {count:,} numbers has {data.size:,} bytes")
    return data[: count * dtype.itemsize].view(dtype)


def _loaded(data: Any) -> Any:
    """A storage inside of a plain pickle: bytes that are a file, with no other file inside."""
    if not isinstance(data, bytes):
        raise ValueError("a storage that is not bytes")
    return _read_stream(io.BytesIO(data), CALLS)
