"""Keras's files: .keras, .weights.h5 and the older .h5, as layers with their arrays. Read with h5py."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.weights.fit import as_numpy

KERAS_ENDINGS = (".keras", ".h5", ".hdf5")
_COUNTED = re.compile(r"(.*?)(?:_(\d+))?")
_LARGEST_WEIGHTS = 8 << 30  # bytes of the weights in a .keras file, which may be compressed without limit


class Stored(NamedTuple):
    """A layer in a file: its name, its kind ("" where the file does not say), its arrays in order."""

    name: str
    kind: str
    arrays: tuple[np.ndarray, ...]


def read_keras(path: str | os.PathLike[str]) -> list[Stored]:
    """The layers with weights in a file of Keras, in the file's order, or in that of their counters within each kind.

    Raises InputError: the file is missing, damaged or of another format; or h5py is not installed.
    """
    file = Path(path)
    if not file.name.endswith(KERAS_ENDINGS):
        raise InputError(f"{file} must end in .keras, .weights.h5 or .h5 to be read as weights of Keras")
    if not file.is_file():
        raise InputError(f"there is no file of weights {file}")
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(f"{file} is read with h5py, which is not installed: pip install h5py") from None
    try:
        if file.suffix != ".keras":
            with h5py.File(file, "r") as group:
                return list(_layers(group))
        with zipfile.ZipFile(file) as archive:
            names = _names(json.loads(archive.read("config.json")))
            if archive.getinfo("model.weights.h5").file_size > _LARGEST_WEIGHTS:
                raise ValueError("its weights are larger than 8 GiB")
            with archive.open("model.weights.h5") as stream, h5py.File(stream, "r") as group:
                return list(_layers(group, names))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} is not a sound file of Keras's weights: {error}") from error


def _layers(root: Any, names: dict[str, str] | None = None) -> Iterator[Stored]:
    group = root.get("model_weights", root)
    if "layer_names" in group.attrs or "layer_names0" in group.attrs:
        yield from _by_name(group)
        return
    found = list(_numbered(group, ""))
    if not found:
        raise ValueError("no layer in it has weights")
    for path, layer in sorted(found, key=lambda item: [_counter(part) for part in item[0].split("/")]):
        kind, _ = _counter(path.rpartition("/")[2])
        arrays = tuple(as_numpy(layer["vars"][key], f"{path}/{key}") for key in sorted(layer["vars"], key=int))
        name = layer.attrs.get("name") or layer["vars"].attrs.get("name") or (names or {}).get(path, "")
        yield Stored(_text(name), kind, arrays)


def _by_name(group: Any) -> Iterator[Stored]:
    """The older layout: names of layers in order, each a group that lists its arrays."""
    for name in _texts(group, "layer_names"):
        arrays = tuple(as_numpy(group[name][key], key) for key in _texts(group[name], "weight_names"))
        if arrays:
            yield Stored(name, "", arrays)


def _texts(group: Any, name: str) -> Iterator[str]:
    """An attribute of many texts, which Keras cuts into `name0`, `name1`, ... where HDF5 has no room for all in one."""
    parts = [name]
    if name not in group.attrs:
        parts = [f"{name}0", *takewhile(group.attrs.__contains__, (f"{name}{number}" for number in count(1)))]
    for part in parts:
        yield from map(_text, group.attrs[part])


def _numbered(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The newer layout: groups called by kind and counter, arrays called 0, 1, 2 in a group `vars` of each."""
    for key, inner in group.items():
        here = f"{path}/{key}" if path else key
        if here in ("optimizer", "vars") or key == "seed_generator" or not hasattr(inner, "items"):
            continue
        if "vars" in inner and len(inner["vars"]):
            yield here, inner
        yield from ((p, g) for p, g in _numbered(inner, here) if not p.endswith("/vars"))


def _counter(name: str) -> tuple[str, int]:
    """conv2d_3 as ("conv2d", 3), conv2d as ("conv2d", 0)."""
    match = _COUNTED.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


def _names(config: dict[str, Any]) -> dict[str, str]:
    """The names of a model's layers by their groups, for files that do not repeat them there."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in config.get("config", {}).get("layers", []):
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])).lower()
        number = counts[kind] = counts.get(kind, -1) + 1
        names[f"layers/{kind}_{number}" if number else f"layers/{kind}"] = layer["config"].get(
            "name", layer.get("name", "")
        )
    return names


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
