"""Runs beside each other: in what they differ, how good each kind is, and by how much of the spread."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxcnn.host.errors import InputError
from jaxcnn.host.settings import flat, to_json
from jaxcnn.tasks.task import Task
from jaxcnn.training.run_folder import read_metrics, read_record

SAME = ("name", "seed", "data.fold")  # fields in which runs of one kind may differ


class Finished(NamedTuple):
    """A run that is done: what it was, what came of it, and how."""

    folder: Path
    settings: dict[str, Any]  # by their dotted names
    task: Task
    result: dict[str, Any]
    rows: list[dict[str, Any]]


class Kind(NamedTuple):
    """Runs whose settings are the same but for the name, the seed and the fold that is tested."""

    name: str
    runs: tuple[Finished, ...]

    def values(self, key: str) -> list[float]:
        """A figure of each run's result that has it."""
        return [run.result[key] for run in self.runs if key in run.result]


def finished(folder: Path) -> Finished:
    """A run by its folder. Raises InputError where there is none, or it has no result yet."""
    record = read_record(folder)
    try:
        result = json.loads((folder / "result.json").read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder} is not finished: it has no result.json; go on with it by --resume") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / 'result.json'} cannot be read: {error}") from error
    settings = flat(to_json(record.config))
    return Finished(folder, settings, record.config.task, result, read_metrics(folder))


def kinds(runs: Sequence[Finished]) -> list[Kind]:
    """Runs of the same settings together, in the order in which they come."""
    found: dict[str, list[Finished]] = {}
    for run in runs:
        settings = {name: value for name, value in run.settings.items() if name not in SAME}
        found.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    return [Kind(_common([run.folder.name for run in group]), tuple(group)) for group in found.values()]


def _common(names: list[str]) -> str:
    """What several names begin with, without the numbers of their seeds or folds."""
    if len(names) == 1:
        return names[0]
    shared = names[0]
    while not all(name.startswith(shared) for name in names):
        shared = shared[:-1]
    return shared.removesuffix("seed").removesuffix("fold").rstrip("_-. ") or names[0]


def differences(groups: Sequence[Kind]) -> dict[str, list[Any]]:
    """The settings in which kinds of runs differ: each kind's value."""
    settings = [group.runs[0].settings for group in groups]
    names = dict.fromkeys(name for each in settings for name in each if name not in SAME)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


class Spread(NamedTuple):
    """The mean of some figures, and their standard deviation where there are two or more."""

    mean: float
    deviation: float | None
    size: int


def spread(values: Sequence[float]) -> Spread:
    """The mean and the standard deviation of figures, of which there must be one."""
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def apart(one: Spread, other: Spread) -> float | None:
    """How many of their pooled standard deviations two means are apart; None where no spread is known.

    Cohen's d (1988): the square of the pooled deviation is the mean of both squares, by their degrees of freedom.
    """
    freedoms = [each.size - 1 for each in (one, other)]
    if not sum(freedoms):
        return None
    squares = [(each.deviation or 0.0) ** 2 * freedom for each, freedom in zip((one, other), freedoms, strict=True)]
    pooled = math.sqrt(sum(squares) / sum(freedoms))
    return abs(one.mean - other.mean) / pooled if pooled else math.inf
