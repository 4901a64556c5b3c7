"""Which format a file of weights has, told by what is in it and not by its name."""

from __future__ import annotations

import os
import struct
import zipfile
from enum import Enum
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded


class Format(Enum):
    """The formats that are read; the values end the words 'not a sound ...'."""

    SAFETENSORS = "safetensors file"
    NPZ = ".npz file of arrays"
    TORCH_ZIP = "PyTorch file"
    TORCH_PICKLE = "PyTorch file (of the form before 1.6)"
    TORCH_TAR = "PyTorch file (of the form before 0.1.10)"
    KERAS = "file of Keras's weights"
    HDF5 = "file of Keras's weights in HDF5"


ENDINGS = {
    ".safetensors": Format.SAFETENSORS, ".npz": Format.NPZ, ".keras": Format.KERAS, ".h5": Format.HDF5,
    ".hdf5": Format.HDF5, **dict.fromkeys((".pth", ".pt", ".th", ".bin", ".ckpt", ".pkl", ".tar"), Format.TORCH_ZIP),
}  # fmt: skip
OF_KERAS = (Format.KERAS, Format.HDF5)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_POINTER = b"version https://git-lfs"
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def existing(path: str | os.PathLike[str]) -> Path:
    """The file at a path, whose ~ is the home folder. Raises InputError where there is none."""
    file = expanded(path)
    if file.is_dir():
        raise InputError(f"{file} is a folder without weights")
    if not file.is_file():
        raise InputError(f"there is no file of weights {file}")
    return file


def format_of(file: Path) -> Format:
    """The format of a file that exists.

    Raises InputError: it is in none of them, with what it is where that is known: a pointer of git-lfs, a web page, a
    TorchScript program.
    """
    try:
        size = file.stat().st_size
        with open(file, "rb") as stream:
            head = stream.read(512)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _of_archive(file)
        if head.startswith(b"\x80") and head[1:2] in b"\x02\x03\x04\x05":
            return Format.TORCH_PICKLE
        if _HDF5 in head:
            return Format.HDF5
        if head[257:262] == b"ustar":
            return Format.TORCH_TAR
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    if head.startswith(_POINTER):
        raise InputError(f"{file} is a pointer of git-lfs, not the file itself: `git lfs pull` brings that")
    if head.lstrip()[:20].lower().startswith(_PAGES):
        raise InputError(f"{file} is a web page, not a file of weights: download the file itself")
    if len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return Format.SAFETENSORS
    if (claimed := ENDINGS.get(file.suffix.lower())) is not None:
        raise InputError(f"{file} is not a sound {_plain(claimed)}: it begins with {_shown(head)}")
    kinds = ", ".join(dict.fromkeys(ENDINGS))
    raise InputError(f"{file} is in none of the formats of weights, which are those of {kinds}")


def _of_archive(file: Path) -> Format:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        claimed = _plain(ENDINGS.get(file.suffix.lower(), Format.TORCH_ZIP))
        raise InputError(f"{file} is not a sound {claimed}: it is a zip archive that is cut off or damaged") from error
    if "model.weights.h5" in names:
        return Format.KERAS
    if any(name == "constants.pkl" or name.endswith("/constants.pkl") for name in names):
        raise InputError(f"{file} is a TorchScript program, not a file of weights: save its state_dict()")
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return Format.TORCH_ZIP
    if names and all(name.endswith(".npy") for name in names):
        return Format.NPZ
    if file.suffix.lower() == ".npz" and not names:  # what np.savez writes of no arrays
        return Format.NPZ
    shown = ", ".join(names[:3]) or "nothing"
    raise InputError(f"{file} is a zip archive of {shown[:200]}, not a file of weights")


def _plain(format: Format) -> str:
    return format.value.partition(" (")[0]


def _shown(head: bytes) -> str:
    return repr(head[:16]) if head else "nothing: it is empty"
