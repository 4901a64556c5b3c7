"""MNIST's format: four IDX files in one folder, gzipped or not.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, "File formats".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from itertools import product
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from jaxcnn.data import Dataset, Split, thinned
from jaxcnn.data.config import DataConfig
from jaxcnn.data.stack import stack
from jaxcnn.host.errors import InputError
from jaxcnn.host.memory import require_memory
from jaxcnn.host.paths import expanded

RANKS = {"images": 3, "labels": 1}
UNSIGNED_BYTE = 0x08
DENSEST = 1032  # bytes that one byte of DEFLATE unpacks to at most (zlib Technical Details, "Maximum Compression")


class _Part(NamedTuple):
    """One split as its two files hold it."""

    pixels: np.ndarray  # uint8 (N, H, W)
    labels: np.ndarray  # uint8 (N,)
    image_file: Path
    label_file: Path


def load(where: str, config: DataConfig) -> Dataset:
    """Read `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, with or without `.gz`, from a folder.

    `images.idx3-ubyte` for `images-idx3-ubyte` is understood too, as some archives spell it. The classes are
    "0" to "9" unless the folder has a `classes.txt` of their names, one a line, in the labels' order.
    """
    folder = expanded(where)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: idx:DIR names the folder of MNIST's four files")
    names = _names(folder)
    parts = [_part(folder, part) for part in ("train", "t10k")]
    first, notes = _first_label(parts, names, folder)
    classes = names or tuple("0123456789")
    train, test = (_split(part, first, config) for part in parts)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"{folder}: training images are {_by(train.images.shape[1:3])}, test images"
            f" {_by(test.images.shape[1:3])}: give --data.size H W"
        )
    return Dataset(config.source, classes, thinned(train, config), test, notes)


def _part(folder: Path, part: str) -> _Part:
    image_file, label_file = (_find(folder, part, kind) for kind in ("images", "labels"))
    pixels, labels = read_idx(image_file, "images"), read_idx(label_file, "labels")
    if len(pixels) != len(labels):
        raise InputError(f"{image_file} has {len(pixels)} images, but {label_file} has {len(labels)} labels")
    return _Part(pixels, labels, image_file, label_file)


def _first_label(parts: list[_Part], names: tuple[str, ...], folder: Path) -> tuple[int, tuple[str, ...]]:
    """Whether the labels begin at 0 or at 1, and what is said of it. Raises InputError for one without a class."""
    first, last = (int(most([most(part.labels) for part in parts])) for most in (np.min, np.max))
    count, file = len(names) or 10, folder / "classes.txt"
    if names and (first, last) == (1, count):
        return 1, (f"the labels go from 1 to {last}, as those of EMNIST's letters do: 1 is taken for {names[0]!r}",)
    if last < count:
        return 0, ()
    if first == 1:
        raise InputError(
            f"the labels of {folder} go from 1 to {last}, as those of EMNIST's letters do, where MNIST's begin at 0:"
            f" name the {last} classes in {file}, that of label 1 first"
        )
    part = next(part for part in parts if part.labels.max() >= count)
    place = int(np.argmax(part.labels >= count))
    raise InputError(
        f"{part.label_file} has the label {part.labels[place]} at place {place}, but there are {count} classes:"
        f" name all of them in {file}"
    )


def _split(part: _Part, first: int, config: DataConfig) -> Split:
    labels = part.labels.astype(np.int32) - first
    if config.size in (None, part.pixels.shape[1:]) and config.channels != 3 and config.resize is None:
        return Split(part.pixels[..., np.newaxis], labels)
    named = ((row, f"{part.image_file}[{row}]", image[..., np.newaxis]) for row, image in enumerate(part.pixels))
    return Split(stack(len(labels), named, config), labels)


def _find(folder: Path, part: str, kind: str) -> Path:
    names = [f"{part}-{kind}{dash}idx{RANKS[kind]}-ubyte{end}" for dash, end in product("-.", ("", ".gz"))]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} has no file {names[0]} (nor {', '.join(names[1:])})")


def read_idx(path: Path, kind: str) -> np.ndarray:
    """The content of one IDX file: uint8 (N, H, W) for kind "images", (N,) for "labels".

    Raises InputError, naming the file, unless it is of that kind, whole, and not empty. No more is read than its
    header promises.
    """
    try:
        with path.open("rb") as raw:
            # By content, not by name: browsers unpack a download and leave its .gz on, or the other way round.
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            shape = _shape(file, path, kind)
            size = os.fstat(raw.fileno()).st_size
            return _content(file, path, shape, size * DENSEST if packed else None, size - 4 - 4 * len(shape))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a truncated or damaged gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _shape(file: IO[bytes], path: Path, kind: str) -> tuple[int, ...]:
    """The sizes in the header, which is read."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise InputError(f"{path} is not an IDX file: it starts with {magic.hex() or 'nothing'}, not 0000")
    rank = magic[3]
    if rank != RANKS[kind]:
        held = {1: "labels", 3: "images"}.get(rank, f"a {rank}-dimensional array")
        raise InputError(f"{path} holds {held} (magic number {magic.hex()}), where {kind} belong")
    if magic[2] != UNSIGNED_BYTE:
        raise InputError(f"{path} holds type 0x{magic[2]:02x}, where unsigned bytes (0x08) belong")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise InputError(f"{path} ends within its header, after {4 + len(sizes)} bytes")
    return tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, 4 * rank, 4))


def _content(file: IO[bytes], path: Path, shape: tuple[int, ...], most: int | None, left: int) -> np.ndarray:
    """What follows the header: of a packed file at most `most` bytes, of another one the `left` ones."""
    promised = math.prod(shape)
    says = f"its header promises {_by(shape)} = {promised} bytes"
    if not promised:
        raise InputError(f"{path} is empty: its header says {_by(shape)}")
    if most is None and left > promised:
        raise InputError(f"{path} is too long: {says}, it has {left}")
    if promised > (left if most is None else most):
        raise InputError(f"{path} is truncated: {says}, it has {left if most is None else f'at most {most}'}")
    require_memory(promised, f"the {_by(shape)} bytes of {path}", "it is read whole")
    data = file.read(promised + 1)
    if len(data) > promised:
        raise InputError(f"{path} is too long: {says}, it has more")
    if len(data) < promised:
        raise InputError(f"{path} is truncated: {says}, it has {len(data)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _names(folder: Path) -> tuple[str, ...]:
    """The names in the folder's classes.txt; none where it has none."""
    file = folder / "classes.txt"
    if not file.is_file():
        return ()
    try:
        text = file.read_text("utf-8-sig")  # Windows' editors begin with a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(f"{file} must be text in UTF-8: {error.reason} at byte {error.start}") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{file} must name at least two classes, each once, one a line")
    return names


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
