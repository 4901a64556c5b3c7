"""Files of named arrays: safetensors, NumPy's, and PyTorch's through PyTorch itself."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from jaxcnn.errors import InputError

TORCH = (".pth", ".pt", ".th", ".bin")
WRITABLE = (".safetensors", ".npz", ".pth")
_DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
_LARGEST_HEADER = 100_000_000  # the format's own limit, in bytes


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The named arrays in a file, by its ending: .safetensors, .npz, or .pth, .pt, .th and .bin with PyTorch.

    Nothing in a file is ever executed. A PyTorch file may hold more than a state dict: what it holds is returned.

    Raises:
      InputError: the file is missing, damaged, of another format, or wants to run code; or PyTorch is not installed.
    """
    file = Path(path)
    reader = {".safetensors": _read_safetensors, ".npz": _read_npz, **dict.fromkeys(TORCH, _read_torch)}.get(
        file.suffix
    )
    if not file.is_file():
        raise InputError(f"{file} is a folder" if file.is_dir() else f"there is no file of weights {file}")
    if reader is None:
        raise InputError(f"{file} must end in .safetensors, .npz, {', '.join(TORCH)} to be read as weights")
    return reader(file)


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        data = np.memmap(file, np.uint8, "r") if file.stat().st_size else np.empty(0, np.uint8)
        (size,) = struct.unpack("<Q", data[:8].tobytes())
        if size > min(_LARGEST_HEADER, len(data) - 8):
            raise ValueError(f"its header would have {size:,} bytes")
        header = json.loads(data[8 : 8 + size].tobytes())
        body = data[8 + size :]
        return {name: _tensor(body, entry) for name, entry in header.items() if name != "__metadata__"}
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(f"{file} is not a sound safetensors file: {error}") from error


def _tensor(body: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    first, last = entry["data_offsets"]
    if not 0 <= first <= last <= len(body):
        raise ValueError(f"it ends before byte {last:,} of its tensors")
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"numbers of type {entry['dtype']} are not read, only {', '.join(_DTYPES)}")
    if min(entry["shape"], default=0) < 0:
        raise ValueError(f"no tensor has the shape {entry['shape']}")
    return np.array(body[first:last]).view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _read_npz(file: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(file):  # np.load would take it for a pickle, and advise to run it
        raise InputError(f"{file} is not a sound .npz file of arrays: it is no zip archive")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, TypeError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file} is not a sound .npz file of arrays: {error}") from error


def _read_torch(file: Path) -> dict[str, Any]:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(
            f"{file} is read with PyTorch, which is not installed: pip install torch, or give a .safetensors file"
        ) from None
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = str(error).split("WeightsUnpickler error:")[-1].strip().split("\n")[0].split(" was not")[0]
        if "operand" in refused:  # a web page, for example, or a pickle that PyTorch has not written
            raise InputError(f"{file} is not a sound PyTorch file: it is in none of its formats") from error
        raise InputError(f"{file} holds more than tensors, and was not run: {refused}") from error
    except Exception as error:  # for broken files PyTorch raises RuntimeError, EOFError, KeyError, ...
        why = str(error).splitlines()[0][:200] if isinstance(error, RuntimeError) else "it is in none of its formats"
        raise InputError(f"{file} is not a sound PyTorch file: {why}") from error
    if not isinstance(held, Mapping):
        raise InputError(f"{file} holds a {type(held).__name__}, not a dict of tensors")
    return dict(held)


def write(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to a file, by its ending: .safetensors, .npz or .pth. All of it or nothing.

    Raises InputError for another ending, or where the file cannot be written.
    """
    file = Path(path)
    if file.suffix not in WRITABLE:
        raise InputError(f"{file} must end in {', '.join(WRITABLE)}")
    partial = file.with_name(f".{file.name}.partial{file.suffix}")
    try:
        {".safetensors": _write_safetensors, ".npz": _write_npz, ".pth": _write_torch}[file.suffix](partial, arrays)
        os.replace(partial, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    except RuntimeError as error:  # what PyTorch makes of an OSError
        raise InputError(f"{file} cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_safetensors(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    names = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
    header, start = {}, 0
    for name, array in arrays.items():
        if array.dtype not in names:
            raise InputError(f"{name} is of {array.dtype}, which safetensors does not have")
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, start + array.nbytes],
        }
        start += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    with open(file, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            stream.write(array.tobytes())


def _write_npz(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    if strange := [name for name, array in arrays.items() if array.dtype.kind == "V"]:
        raise InputError(f"{strange[0]} is of {arrays[strange[0]].dtype}, which .npz does not keep: write .safetensors")
    with zipfile.ZipFile(file, "w") as archive:  # np.savez would take a name such as "file" for its own argument
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _write_torch(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError("a .pth file is written with PyTorch, which is not installed: write .safetensors") from None
    torch.save({name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}, file)
