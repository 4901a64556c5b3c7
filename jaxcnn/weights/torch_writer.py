"""A file that `torch.load` reads, written without PyTorch: an archive of a pickle and of the arrays' bytes."""

from __future__ import annotations

import math
import struct
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxcnn.weights.torch_tensors import STORAGES

_FOLDER = "archive"
_VERSION = "3"  # of the archive's form, since PyTorch 1.6


def write_torch(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a state dict of tensors. Raises ValueError for numbers that PyTorch's storages do not have."""
    storages = {dtype: storage for storage, dtype in STORAGES.items() if storage != "UntypedStorage"}
    for name, array in arrays.items():
        if array.dtype.name not in storages:
            raise ValueError(f"{name} is of {array.dtype}, which a .pth file does not keep")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{_FOLDER}/data.pkl", _pickled(arrays, storages))
        archive.writestr(f"{_FOLDER}/byteorder", sys.byteorder)
        for number, array in enumerate(arrays.values()):
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            with archive.open(f"{_FOLDER}/data/{number}", "w", force_zip64=True) as stream:
                stream.write(native.tobytes())
        archive.writestr(f"{_FOLDER}/version", _VERSION)


def _pickled(arrays: Mapping[str, np.ndarray], storages: Mapping[str, str]) -> bytes:
    """The program that makes an OrderedDict of tensors, each a view of the whole of a storage, by its number."""
    ordered = b"ccollections\nOrderedDict\n)R"
    items = b""
    for number, (name, array) in enumerate(arrays.items()):
        kind, key, count = storages[array.dtype.name].encode(), _text(str(number)), _int(array.size)
        storage = b"(%sctorch\n%s\n%s%s%stQ" % (_text("storage"), kind, key, _text("cpu"), count)
        strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
        view = b"(%s%s%s%s\x89%stR" % (storage, _int(0), _tuple(array.shape), _tuple(strides), ordered)
        items += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + view
    return b"\x80\x02%s(%su." % (ordered, items)


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


def _tuple(numbers: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(_int, numbers)) + b"t"
