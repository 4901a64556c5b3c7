"""Files of named arrays: safetensors, NumPy's and PyTorch's, read without running anything; and written."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded
from jaxcnn.weights.formats import OF_KERAS, Format, existing, format_of
from jaxcnn.weights.hugging_face import files_in, is_weights_folder
from jaxcnn.weights.pickle_names import Record
from jaxcnn.weights.soundness import refuse_claims_of, sound
from jaxcnn.weights.torch_files import read_pickle, read_tar, read_zip
from jaxcnn.weights.torch_tensors import module_state
from jaxcnn.weights.torch_writer import write_torch

WRITABLE = (".safetensors", ".npz", ".pth")
_SAFE_DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16",
    "uint8", "bool",
)  # fmt: skip


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file holds: safetensors, .npz or any of PyTorch's, told apart by content. Nothing of it is ever run.

    A folder of the Hugging Face Hub is read as the file or the files of weights in it. A PyTorch file may hold more
    than a state dict: what it holds is returned, arrays for tensors, a `Record` for what is neither a number nor a
    container. A whole model that was saved gives its state dict.

    Raises:
      InputError: the file is missing, damaged or of another format; it wants to run code; it claims more than it has.
    """
    if is_weights_folder(path):
        return {name: array for file in files_in(expanded(path)) for name, array in read(file).items()}
    file = existing(path)
    format = format_of(file)
    if format in OF_KERAS:
        raise InputError(f"{file} is a file of Keras's weights: from_keras reads it, for a network of Keras's")
    readers = {
        Format.SAFETENSORS: _read_safetensors, Format.NPZ: _read_npz, Format.TORCH_ZIP: read_zip,
        Format.TORCH_PICKLE: read_pickle, Format.TORCH_TAR: read_tar,
    }  # fmt: skip
    with sound(file, format.value):
        held = readers[format](file)
        if isinstance(held, Record):
            held = module_state(held) or held
    if not isinstance(held, Mapping):
        what = held.name if isinstance(held, Record) else type(held).__name__
        raise InputError(f"{file} holds a {what[:100]}, not a dict of tensors")
    return dict(held)


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118  # it is no dict
    except AttributeError as error:  # a type of numbers that NumPy does not have
        raise ValueError(f"{str(error).rpartition(' ')[2]} is a type of numbers that is not read") from error
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _read_npz(file: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        refuse_claims_of(archive, file)
        return {entry.filename.removesuffix(".npy"): _read_npy(archive, entry) for entry in archive.infolist()}


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        held = entry.file_size - stream.tell()
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} holds objects, which would have to be run")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > held:
        raise ValueError(f"{entry.filename} claims more numbers than it has")
    with archive.open(entry) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to a file, by its ending: .safetensors, .npz or .pth. All of it or nothing.

    Raises InputError for another ending, or where the file cannot be written.
    """
    file = Path(path)
    if file.suffix not in WRITABLE:
        raise InputError(f"{file} must end in {', '.join(WRITABLE)}")
    if not file.parent.is_dir():
        raise InputError(f"{file} cannot be written: there is no folder {file.parent}")
    partial = file.with_name(f".{file.name}.partial{file.suffix}")
    try:
        {".safetensors": _write_safetensors, ".npz": _write_npz, ".pth": write_torch}[file.suffix](partial, arrays)
        os.replace(partial, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def _write_safetensors(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    for name, array in arrays.items():
        if array.dtype.name not in _SAFE_DTYPES:
            raise ValueError(f"{name} is of {array.dtype}, which safetensors does not have")
    try:
        save_file({name: np.array(array, order="C") for name, array in arrays.items()}, file)
    except SafetensorError as error:  # what the library makes of an OSError
        raise OSError(str(error)) from error


def _write_npz(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    if strange := [name for name, array in arrays.items() if array.dtype.kind == "V"]:
        raise ValueError(f"{strange[0]} is of {arrays[strange[0]].dtype}, which .npz does not keep: write .safetensors")
    with zipfile.ZipFile(file, "w") as archive:  # np.savez would take a name such as "file" for its own argument
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
