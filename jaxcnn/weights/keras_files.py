"""Keras's files: .keras, .weights.h5 and the older .h5, as layers with their arrays. Read with h5py."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.host.errors import InputError
from jaxcnn.weights.fit import as_numpy
from jaxcnn.weights.formats import OF_KERAS, Format, existing, format_of
from jaxcnn.weights.hdf5 import arrays_of, objects
from jaxcnn.weights.soundness import refuse_claims_of, sound

KERAS_ENDINGS = (".keras", ".h5", ".hdf5")
NORMALIZATION = "normalization"
_OF_NORMALIZATION = {"mean", "variance", "count"}
_COUNTED = re.compile(r"(.*?)(?:_(\d+))?")
_LARGEST_CONFIG = 1 << 24  # bytes; that of NASNetLarge has less than one of these sixteen million


class Stored(NamedTuple):
    """A layer in a file: its name, its kind ("" where the file does not say), its arrays in order."""

    name: str
    kind: str
    arrays: tuple[np.ndarray, ...]


def require_h5py(file: str | os.PathLike[str]) -> None:
    """Raise InputError where what reads this file of Keras's is not installed."""
    if find_spec("h5py") is None:
        raise InputError(f"{os.fspath(file)} is read with h5py, which is not installed: pip install h5py")


def read_keras(path: str | os.PathLike[str]) -> list[Stored]:
    """The layers with weights in a file of Keras, in the file's order, or in that of their counters within each kind.

    The layers of a model in the model stand in its place.

    Raises InputError: the file is missing, damaged or of another format; it claims more than it has, or leads to other
    files; or h5py is not installed.
    """
    file = existing(path)
    if (format := format_of(file)) not in OF_KERAS:
        raise InputError(f"{file} is a {format.value} and not one of Keras's: from_torch reads it")
    require_h5py(file)
    with sound(file, format.value):
        if format is Format.HDF5:
            return _read_hdf5(file, file.stat().st_size, {})
        with zipfile.ZipFile(file) as archive:
            refuse_claims_of(archive, file)
            if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
                raise ValueError(f"its config.json would become {archive.getinfo('config.json').file_size:,} bytes")
            names = dict(_names(json.loads(archive.read("config.json"))))
            content = archive.read("model.weights.h5")
        return _read_hdf5(io.BytesIO(content), len(content), names)


def _read_hdf5(file: Path | io.BytesIO, size: int, names: dict[str, str]) -> list[Stored]:
    import h5py  # pyright: ignore[reportMissingImports]

    with h5py.File(file, "r") as opened:
        root: Any = opened
        every = dict(objects(root))
        group = root.get("model_weights", root)
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            found = list(_by_name(group))
        else:
            found = list(_by_counter(every, names))
        if not found:
            raise ValueError("no layer in it has weights")
        arrays = iter(arrays_of([dataset for _, _, datasets in found for dataset in datasets], size))
        return [
            Stored(name, kind, tuple(as_numpy(next(arrays), name) for _ in datasets)) for name, kind, datasets in found
        ]


def _by_name(group: Any) -> Iterator[tuple[str, str, list[Any]]]:
    """The older layout: names of layers in order, each a group that lists its arrays.

    That of a model in the model lists those of all its layers, each below its layer's name.
    """
    for name in _texts(group, "layer_names"):
        keys = list(_texts(group[name], "weight_names"))
        layers: dict[str, list[str]] = {}
        for key in keys:
            layers.setdefault(key.rpartition("/")[0], []).append(key)
        for layer, own in layers.items():
            variables = {key.rpartition("/")[2].partition(":")[0] for key in own}
            kind = NORMALIZATION if "mean" in variables and variables <= _OF_NORMALIZATION else ""
            yield name if len(layers) == 1 else layer.rpartition("/")[2], kind, [group[name][key] for key in own]


def _by_counter(every: dict[str, Any], names: dict[str, str]) -> Iterator[tuple[str, str, list[Any]]]:
    """The newer layout: groups called by kind and counter, arrays called 0, 1, 2 in a group `vars` of each."""
    suffix = "/vars"
    held = {path.removesuffix(suffix): item for path, item in every.items() if path.endswith(suffix) and len(item)}
    beside = ("optimizer", "seed_generator")
    layers = [path for path in held if not any(part in beside for part in path.split("/"))]
    # A model in the model comes before the layers around it: these are its head, where they are of a kind with its own.
    for path in sorted(layers, key=lambda path: (-path.count("/"), [_counter(part) for part in path.split("/")])):
        group = held[path]
        name = group.attrs.get("name") or every[path].attrs.get("name") or names.get(path, "")
        kind, _ = _counter(path.rpartition("/")[2])
        yield _text(name), kind, [group[key] for key in sorted(group, key=int)]


def _texts(group: Any, name: str) -> Iterator[str]:
    """An attribute of many texts, which Keras cuts into `name0`, `name1`, ... where HDF5 has no room for all in one."""
    parts = [name]
    if name not in group.attrs:
        parts = [f"{name}0", *takewhile(group.attrs.__contains__, (f"{name}{number}" for number in count(1)))]
    for part in parts:
        yield from map(_text, group.attrs[part])


def _counter(name: str) -> tuple[str, int]:
    """conv2d_3 as ("conv2d", 3), conv2d as ("conv2d", 0)."""
    match = _COUNTED.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _names(model: dict[str, Any], folder: str = "layers") -> Iterable[tuple[str, str]]:
    """The names of a model's layers by their groups, for files that do not repeat them there."""
    counts: dict[str, int] = {}
    for layer in model.get("config", {}).get("layers", []):
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])).lower()
        number = counts[kind] = counts.get(kind, -1) + 1
        group = f"{folder}/{kind}_{number}" if number else f"{folder}/{kind}"
        yield group, layer["config"].get("name", layer.get("name", ""))
        yield from _names(layer, f"{group}/layers")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
