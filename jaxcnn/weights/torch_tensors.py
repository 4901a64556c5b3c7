"""What the names in PyTorch's pickles mean: tensors as views of their storages, and NumPy's arrays and scalars."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from jaxcnn.weights.pickle_names import CONTAINERS, Calls, Global, Record, call

_DTYPES: Mapping[str, np.dtype] = {
    "float64": np.dtype(np.float64), "float32": np.dtype(np.float32), "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16), "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2), "complex128": np.dtype(np.complex128),
    "complex64": np.dtype(np.complex64), "int64": np.dtype(np.int64), "int32": np.dtype(np.int32),
    "int16": np.dtype(np.int16), "int8": np.dtype(np.int8), "uint64": np.dtype(np.uint64),
    "uint32": np.dtype(np.uint32), "uint16": np.dtype(np.uint16), "uint8": np.dtype(np.uint8),
    "bool": np.dtype(np.bool),
}  # fmt: skip
STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip
_MOST_MODULES, _LONGEST_NAME = 100_000, 1000
_TENSOR_CLASS = re.compile(
    r"torch\.(cuda\.)?[A-Za-z0-9]*Tensor|torch\.nn\.parameter\.Parameter|torch\.autograd\.variable\.Variable"
)
_NUMBERS = re.compile(r"[<>=|]?[biufc]\d{1,2}|bool")


def storage_dtype(storage: Any) -> np.dtype | None:
    """The dtype of a storage's elements by its class, such as torch.FloatStorage; None for one that NumPy has not."""
    if not isinstance(storage, Global) or not storage.module.startswith("torch"):
        raise ValueError("a storage of no class of PyTorch's")
    name = STORAGES.get(storage.name)
    return None if name is None else _DTYPES[name]


def tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
    """A view of a storage, an array of one dimension; a Record where there is no such array.

    Raises ValueError where it would reach beyond the storage.
    """
    if not isinstance(storage, np.ndarray):
        return storage if isinstance(storage, Record) else Record("a tensor without numbers")
    start, shape, steps = operator.index(offset), _whole(size), _whole(stride)
    last = start + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if storage.ndim != 1 or start < 0 or (math.prod(shape) and last >= storage.size):
        raise ValueError(f"a tensor of {'x'.join(map(str, shape))} reaches beyond its {storage.size:,} numbers")
    if not math.prod(shape):
        return np.empty(shape, storage.dtype)
    width, data = storage.itemsize, storage.view(np.uint8)
    return np.ndarray(shape, storage.dtype, data, start * width, [step * width for step in steps])


def build(record: Record) -> Any:
    """An array, where a record with its state is one: NumPy's, or a tensor of PyTorch before 0.2."""
    state = record.state
    if record.name == "numpy.ndarray" and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, by_column, data = state
        return _array(dtype, shape, data, "F" if by_column else "C")
    if _TENSOR_CLASS.fullmatch(record.name) and isinstance(state, tuple):
        if len(state) == 4:
            return tensor(*state)
        if len(state) == 5 and isinstance(state[0], np.ndarray):
            return state[0]
    return None


def module_state(module: Record) -> dict[str, Any] | None:
    """The state dict of a module of PyTorch's that was saved as a whole; None where a record is none.

    Raises ValueError for one that is nested without end.
    """
    if not _is_module(module):
        return None
    found: dict[str, Any] = {}
    waiting, met = [("", module)], 0
    while waiting:
        prefix, here = waiting.pop()
        met += 1
        if met > _MOST_MODULES or len(prefix) > _LONGEST_NAME:
            raise ValueError("its modules are in each other without end")
        for group in "_parameters", "_buffers":
            arrays = here.state.get(group)
            for name, value in arrays.items() if isinstance(arrays, dict) else ():
                if isinstance(value, np.ndarray):
                    found[f"{prefix}{name}"] = value
        inner = [(f"{prefix}{name}.", part) for name, part in here.state["_modules"].items() if _is_module(part)]
        waiting += reversed(inner)
    return found


def _is_module(record: Any) -> bool:
    state = record.state if isinstance(record, Record) else None
    return isinstance(state, dict) and isinstance(state.get("_modules"), dict) and "_parameters" in state


def _whole(numbers: Any) -> tuple[int, ...]:
    whole = tuple(operator.index(number) for number in numbers)
    if min(whole, default=0) < 0:
        raise ValueError(f"a tensor of shape or strides {str(whole)[:80]}")
    return whole


def _of_dtype(storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
    """A tensor of a dtype that has no storage of its own, such as uint16: the storage is bytes."""
    found = _DTYPES.get(dtype.name) if isinstance(dtype, Global) and dtype.module == "torch" else None
    if not isinstance(storage, np.ndarray) or found is None:
        return Record(f"a tensor of {dtype.full if isinstance(dtype, Global) else type(dtype).__name__}")
    return tensor(storage.view(found), offset, size, stride)


def _first(*arguments: Any) -> Any:
    return arguments[0]


def _wrapped(name: str) -> Any:
    """A class around a tensor: that tensor; without one, a record that waits for its state."""
    return lambda *arguments: arguments[0] if arguments else Record(name)


def _of_type(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A tensor of a class of its own, or with attributes: as the function makes it, without them."""
    return call(function, arguments, {**CONTAINERS, **CALLS})


def _dtype(given: Any) -> np.dtype | None:
    """A record of NumPy's dtype as one; None where it is not one of numbers."""
    if not isinstance(given, Record) or given.name != "numpy.dtype":
        return None
    code = given.arguments[0] if given.arguments else None
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        return None
    order = given.state[1] if isinstance(given.state, tuple) and len(given.state) > 1 else "="
    return np.dtype(code).newbyteorder(order if order in ("<", ">") else "=")


def _array(dtype: Any, shape: Any, data: Any, order: Any = "C") -> Any:
    found = _dtype(dtype)
    if found is None or not isinstance(data, bytes):
        return Record("an array of something else than numbers")
    flat = np.frombuffer(data, found)
    return flat.reshape(_whole(shape), order="F" if order == "F" else "C")


def _scalar(dtype: Any, data: Any = b"") -> Any:
    found = _dtype(dtype)
    if found is None or not isinstance(data, bytes):
        return Record("a scalar of something else than numbers")
    return np.frombuffer(data, found, count=1)[0]


_NUMPY: Calls = {
    "numpy.dtype": lambda *arguments: Record("numpy.dtype", arguments),
    **{
        f"numpy.{core}.{name}": made
        for core in ("core", "_core")
        for name, made in {
            "multiarray._reconstruct": lambda *_: Record("numpy.ndarray"),
            "multiarray.scalar": _scalar,
            "numeric._frombuffer": lambda data, dtype, shape, order: _array(dtype, shape, data, order),
        }.items()
    },
}
CALLS: Calls = {
    **_NUMPY,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch._utils._rebuild_tensor": tensor,
    "torch._utils._rebuild_tensor_v2": tensor,
    "torch._utils._rebuild_tensor_v3": _of_dtype,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_xla_tensor": _first,
    "torch._utils._rebuild_qtensor": lambda *_: Record("a quantized tensor"),
    "torch._utils._rebuild_sparse_tensor": lambda *_: Record("a sparse tensor"),
    "torch._utils._rebuild_meta_tensor_no_storage": lambda *_: Record("a meta tensor, without numbers"),
    "torch._tensor._rebuild_from_type": _of_type,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.nn.parameter.Parameter": _wrapped("torch.nn.parameter.Parameter"),
    "torch.nn.parameter.Buffer": _wrapped("torch.nn.parameter.Buffer"),
    "torch.autograd.variable.Variable": _wrapped("torch.autograd.variable.Variable"),
}
"""The functions for the names in PyTorch's pickles; a name that is in no table makes a Record (see `call`)."""
