"""MNIST's format: four IDX files in one folder, gzipped or not.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, "File formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from itertools import product
from pathlib import Path

import numpy as np

from jaxcnn.config import DataConfig
from jaxcnn.data import Dataset, Split
from jaxcnn.data.images import stack
from jaxcnn.errors import InputError

RANKS = {"images": 3, "labels": 1}
UNSIGNED_BYTE = 0x08


def load(where: str, config: DataConfig) -> Dataset:
    """Read `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, with or without `.gz`, from a folder.

    `images.idx3-ubyte` for `images-idx3-ubyte` is understood too, as some archives spell it. The classes are
    "0" to "9" unless the folder has a `classes.txt` of their names, one a line, in the labels' order.
    """
    folder = Path(where).expanduser()
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: idx:DIR names the folder of MNIST's four files")
    classes = _classes(folder)
    train, test = (_split(folder, part, len(classes), config) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"{folder}: training images are {_by(train.images.shape[1:3])}, test images"
            f" {_by(test.images.shape[1:3])}: give --data.size H W"
        )
    return Dataset(config.source, classes, train, test)


def _split(folder: Path, part: str, classes: int, config: DataConfig) -> Split:
    image_file, label_file = (_find(folder, part, kind) for kind in ("images", "labels"))
    pixels, labels = read_idx(image_file, "images"), read_idx(label_file, "labels")
    if len(pixels) != len(labels):
        raise InputError(f"{image_file} has {len(pixels)} images, but {label_file} has {len(labels)} labels")
    if labels.max() >= classes:
        place = int(np.argmax(labels >= classes))
        raise InputError(
            f"{label_file} has the label {labels[place]} at place {place}, but there are {classes} classes:"
            f" name all of them in {folder / 'classes.txt'}"
        )
    named = ((row, f"{image_file}[{row}]", image[..., np.newaxis]) for row, image in enumerate(pixels))
    return Split(stack(len(pixels), named, config.size, config.channels), labels.astype(np.int32))


def _find(folder: Path, part: str, kind: str) -> Path:
    names = [f"{part}-{kind}{dash}idx{RANKS[kind]}-ubyte{end}" for dash, end in product("-.", ("", ".gz"))]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} has no file {names[0]} (nor {', '.join(names[1:])})")


def read_idx(path: Path, kind: str) -> np.ndarray:
    """The content of one IDX file: uint8 (N, H, W) for kind "images", (N,) for "labels".

    Raises InputError, naming the file, unless it is of that kind, whole, and not empty.
    """
    data = _bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(f"{path} is not an IDX file: it starts with {data[:4].hex() or 'nothing'}, not 0000")
    rank = data[3]
    if rank != RANKS[kind]:
        held = {1: "labels", 3: "images"}.get(rank, f"a {rank}-dimensional array")
        raise InputError(f"{path} holds {held} (magic number {data[:4].hex()}), where {kind} belong")
    if data[2] != UNSIGNED_BYTE:
        raise InputError(f"{path} holds type 0x{data[2]:02x}, where unsigned bytes (0x08) belong")
    start = 4 + 4 * rank
    if len(data) < start:
        raise InputError(f"{path} ends within its header, after {len(data)} bytes")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    promised, found = math.prod(shape), len(data) - start
    if found != promised:
        fault = "truncated" if found < promised else "too long"
        size = f"{_by(shape)} = {promised} bytes"
        raise InputError(f"{path} is {fault}: its header promises {size}, it has {found}")
    if not promised:
        raise InputError(f"{path} is empty: its header says {_by(shape)}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        # By content, not by name: browsers unpack a download and leave its .gz on, or the other way round.
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is a truncated or damaged gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _classes(folder: Path) -> tuple[str, ...]:
    file = folder / "classes.txt"
    if not file.is_file():
        return tuple("0123456789")
    try:
        names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise InputError(f"{file} must be text in UTF-8: {error.reason} at byte {error.start}") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{file} must name at least two classes, each once, one a line")
    return names


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
