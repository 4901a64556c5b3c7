"""The folder that a run leaves behind: what was run, how it went, how good it is."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.config import TrainConfig
from jaxcnn.data import Dataset
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.errors import Failed, InputError
from jaxcnn.host.files import write_json, write_text
from jaxcnn.host.settings import from_json, to_json
from jaxcnn.layout import Params


class Facts(NamedTuple):
    """What a run took from its data: needed to use the trained network without them."""

    classes: tuple[str, ...]
    input: tuple[int, int, int]  # H, W, C
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: str = ""  # `data_fingerprint`


class Record(NamedTuple):
    """What config.json says."""

    config: TrainConfig
    facts: Facts
    schedule_from: int = 0  # the step at which the learning rate's schedule began (anew)
    before: tuple[dict[str, Any], ...] = ()  # what the run was before it was trained further
    teacher: str = ""  # the SHA-256 of the parameters and statistics of its teacher, if it has one


def read_record(folder: Path) -> Record:
    """What a run is. Raises InputError where the folder holds none that can be read."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not the folder of a run: it has no config.json")
    return _read_record(path)


def _read_record(path: Path) -> Record:
    try:
        saved = json.loads(path.read_bytes())
        facts = saved["facts"]
        tuples = {name: tuple(value) for name, value in facts.items() if name != "data"}
        return Record(
            from_json(TrainConfig, saved["config"]),
            Facts(**tuples, data=str(facts.get("data", ""))),
            int(saved.get("schedule_from", 0)),
            tuple(saved.get("before", ())),
            str(saved.get("teacher", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged and cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_record(folder: Path, record: Record) -> None:
    """Write config.json. Raises OSError."""
    config, facts, schedule_from, before, teacher = record
    further: dict[str, Any] = {"schedule_from": schedule_from, "before": before} if before else {}
    further |= {"teacher": teacher} if teacher else {}
    write_json(folder / "config.json", {"config": to_json(config), "facts": facts._asdict(), **further})


def read_run(folder: Path) -> tuple[TrainConfig, Facts]:
    """The config and the facts of a run. Raises InputError where the folder holds none that can be read."""
    record = read_record(folder)
    return record.config, record.facts


def read_metrics(folder: Path, last_step: float = math.inf) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl up to a step; later or broken ones (a run was killed while writing) are dropped."""
    return _rows(folder / "metrics.jsonl", last_step)


def _rows(path: Path, last_step: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            if row["step"] > last_step:
                break
        except (ValueError, TypeError, KeyError):
            break
        rows.append(row)
    return rows


def write_metrics(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.jsonl: one JSON object a line, one line an epoch. Raises Failed."""
    with _written(folder / "metrics.jsonl") as path:
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def append_steps(folder: Path, row: dict[str, Any]) -> None:
    """Add a line to steps.jsonl. Raises Failed."""
    with _written(folder / "steps.jsonl") as path, path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def cut_steps(folder: Path, last_step: int) -> None:
    """Drop the lines of steps.jsonl after a step, which will be trained again, and broken ones. Raises Failed."""
    if (folder / "steps.jsonl").exists():
        with _written(folder / "steps.jsonl") as path:
            write_text(path, "".join(json.dumps(row) + "\n" for row in _rows(path, last_step)))


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Write result.json. Raises Failed."""
    with _written(folder / "result.json") as path:
        write_json(path, result)


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise Failed(
            f"{path} cannot be written: {error.strerror or error}; the last checkpoint is whole: go on from there with "
            "--resume"
        ) from error


def data_fingerprint(dataset: Dataset) -> str:
    """SHA-256 over every label and pixel of a data set, whatever it is called and wherever it lies; where it is
    streamed, over labels, and the names and sizes of its files."""
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.test, *([dataset.validation] if dataset.validation else [])):
        arrays = [split.labels]
        if isinstance(split.images, Streamed):
            digest.update(split.images.digest())
        else:
            arrays.append(split.images)
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            for start in range(0, len(array), 1024):
                digest.update(array[start : start + 1024].tobytes())
    return digest.hexdigest()


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
