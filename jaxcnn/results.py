"""The folder that a run leaves behind: what was run, how it went, how good it is, and the pictures of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.config import TrainConfig, from_json, to_json
from jaxcnn.errors import InputError
from jaxcnn.layout import Params


class Facts(NamedTuple):
    """What a run took from its data: needed to use the trained network without them."""

    classes: tuple[str, ...]
    input: tuple[int, int, int]  # H, W, C
    mean: tuple[float, ...]
    std: tuple[float, ...]


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


def read_run(folder: Path) -> tuple[TrainConfig, Facts]:
    """The config and the facts of a run. Raises InputError where the folder holds none that can be read."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not the folder of a run: it has no config.json")
    try:
        saved = json.loads(path.read_text())
        facts = {name: tuple(value) for name, value in saved["facts"].items()}
        return from_json(saved["config"]), Facts(**facts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged and cannot be read: {error}") from error


def check_folder(folder: Path, resume: bool, overwrite: bool) -> None:
    """Raise InputError where `open_run` could only refuse, whatever the config."""
    exists = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if resume and overwrite:
        raise InputError("--resume continues a run and --overwrite discards it: give one of them")
    if resume and not exists:
        raise InputError(f"there is nothing to resume: {folder} does not exist")
    if exists and not (resume or overwrite):
        raise InputError(
            f"{folder} exists: continue it with --resume, replace it with --overwrite, or choose another --name"
        )
    if exists and overwrite and not (folder / "config.json").is_file():
        raise InputError(f"{folder} is not the folder of a run (it has no config.json), so it is not overwritten")


def open_run(folder: Path, config: TrainConfig, facts: Facts, resume: bool, overwrite: bool) -> None:
    """Make the folder of a run ready: new, emptied (`overwrite`) or checked to be of the same run (`resume`).

    Raises InputError, and changes nothing, where a folder is in the way or another run's.
    """
    check_folder(folder, resume, overwrite)
    if resume:
        _check_resumable(folder, config, facts)
        return
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "config.json", {"config": to_json(config), "facts": facts._asdict()})
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error


def _check_resumable(folder: Path, config: TrainConfig, facts: Facts) -> None:
    before, facts_before = read_run(folder)
    old, new = _flat(to_json(before)), _flat(to_json(config))
    for name in [*new, *old]:
        if old.get(name) != new.get(name):
            raise InputError(
                f"{folder} was run with {name} = {old.get(name)!r}, not {new.get(name)!r}: resume with that"
            )
    if facts_before != facts:
        raise InputError(f"{folder} was run on other data: its classes, image size or statistics differ from now")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in flat.items()}


def read_metrics(folder: Path, last_step: int) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl up to a step; later or broken ones (a run was killed while writing) are dropped."""
    path, rows = folder / "metrics.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            if row["step"] > last_step:
                break
        except (ValueError, TypeError, KeyError):
            break
        rows.append(row)
    return rows


def write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl: one JSON object a line, one line an epoch."""
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def fingerprint(params: Params, batch_stats: Params) -> str:
    """SHA-256 over the bytes of all parameters and statistics, in the order of their paths."""
    digest = hashlib.sha256()
    for tree in params, batch_stats:
        for path in sorted(tree):
            for name in sorted(tree[path]):
                array = np.asarray(tree[path][name])
                digest.update(f"{path}.{name} {array.dtype} {array.shape}\n".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def draw_curves(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Loss and accuracy over the epochs, training and test, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, name, label, scale in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("loss (nats)", "accuracy (%)"), (1, 100), strict=True
    ):
        for split, style in ("train", "--"), ("test", "-"):
            points = [(row["epoch"], scale * row[f"{split}_{name}"]) for row in rows if f"{split}_{name}" in row]
            if points:
                axis.plot(*zip(*points, strict=True), style, marker="." if len(points) < 30 else "", label=split)
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def draw_confusion(path: Path, confusion: np.ndarray, classes: tuple[str, ...], title: str) -> None:
    """The confusion matrix as a PNG: rows are the true classes, shaded by the share of the row."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count = len(classes)
    side = min(14.0, 3 + 0.5 * count)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    # a root, so that rare errors are seen beside a nearly perfect diagonal
    image = axis.imshow(share, cmap="Blues", norm=PowerNorm(0.4, 0, 1))
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8)
    if count <= 40:
        axis.set_xticks(range(count), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
        axis.set_yticks(range(count), classes)
    if count <= 20:
        for row, column in np.ndindex(count, count):
            if confusion[row, column]:
                color = "white" if share[row, column] > 0.25 else "black"
                axis.text(
                    column,
                    row,
                    str(confusion[row, column]),
                    ha="center",
                    va="center",
                    color=color,
                    fontsize=8,
                )
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(title)
    figure.savefig(path, dpi=120)
