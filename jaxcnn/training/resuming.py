"""Going on with a run: from which checkpoint, and with what changed."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.host.settings import flat, to_json
from jaxcnn.training import checkpoint, manifest
from jaxcnn.training.run_folder import Facts, Record, read_metrics, read_record, write_record

WHERE_DATA_LIE = ("data.source", "data.data_dir", "data.manual_dir")
WHERE_THE_TEACHER_LIES = "distill.teacher"
HOW_IT_IS_WATCHED = ("log_every", "tensorboard")


class Start(NamedTuple):
    """Where a run goes on, and as what."""

    record: Record  # what it is from now on
    place: Path | None = None  # the checkpoint; None: at step 0
    damaged: tuple[Path, ...] = ()  # newer checkpoints, which are of no use
    notes: tuple[str, ...] = ()  # sentences for whoever resumes


def starting_point(folder: Path, config: TrainConfig, restart_schedule: bool = False) -> Start:
    """How a run goes on with a config: from its newest sound checkpoint, and perhaps for more epochs. Changes nothing.

    It may be of `last` or of `best`: from each of them the run ends in the same bits. With other epochs the learning
    rate's schedule is stretched over all of them, or begins anew for those that are left (`restart_schedule`).

    Raises InputError where none of its checkpoints is sound, and where the config is that of another run.
    """
    before = read_record(folder)
    old, new = flat(to_json(before.config)), flat(to_json(config))
    changed = [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]
    moved_teacher = (WHERE_THE_TEACHER_LIES,) if before.teacher and config.distill.teacher else ()
    for name in changed:
        if name not in (*WHERE_DATA_LIE, *moved_teacher, *HOW_IT_IS_WATCHED, "epochs"):
            raise InputError(
                f"{folder} was run with {name} = {old.get(name)!r}, not {new.get(name)!r}: resume with that"
            )
    if restart_schedule and "epochs" not in changed and not before.schedule_from:  # or it began anew already
        raise InputError(f"the schedule begins anew where there are more epochs: give other than {config.epochs}")
    moved = [
        f"{name} is {new[name]!r} now, was {old[name]!r}"
        for name in changed
        if name in (*WHERE_DATA_LIE, *moved_teacher)
    ]
    place, damaged, notes = _sound(folder)
    record = before._replace(config=config)
    if "epochs" in changed:
        record, note = _trained_further(folder, before, config, place, restart_schedule)
        notes.append(note)
    return Start(record, place, damaged, (*notes, *moved))


def _sound(folder: Path) -> tuple[Path | None, tuple[Path, ...], list[str]]:
    place, damaged = checkpoint.newest(checkpoint.folders(folder))
    found, places = "; ".join(map(str, damaged)), tuple(each.place for each in damaged)
    way = f"put back a copy of {folder / 'checkpoints'}, or begin anew with --overwrite"
    if place is not None:
        notes = [f"{found}: {place} is used instead"] if damaged else []
        return place, places, [*notes, f"{folder} goes on from step {checkpoint.step_of(place):,}"]
    if damaged:
        raise InputError(f"no checkpoint of {folder} is sound: {found}: {way}")
    # the figures of an epoch are written before its checkpoint is, so one epoch alone proves nothing
    epochs = len(read_metrics(folder))
    if epochs > 1 or (folder / "result.json").exists():
        raise InputError(f"{folder} has been trained for {epochs} epochs, but its checkpoints are gone: {way}")
    return None, (), [f"no checkpoint of {folder} had been completed: it begins at step 0"]


def _trained_further(
    folder: Path, before: Record, config: TrainConfig, place: Path | None, restart_schedule: bool
) -> tuple[Record, str]:
    done, old = checkpoint.step_of(place) if place else 0, before.config.epochs
    rows = read_metrics(folder, done)
    whole, begun = len(rows), done > (rows[-1]["step"] if rows else 0)
    if config.epochs < whole + begun:
        raise InputError(f"{folder} is in its epoch {whole + begun}: epochs must be at least that, not {config.epochs}")
    entry: dict[str, Any] = {"epochs": old, "until_step": done, "schedule_from": before.schedule_from}
    with suppress(OSError, ValueError):
        entry["result"] = json.loads((folder / "result.json").read_bytes())
    schedule_from = done if restart_schedule else before.schedule_from
    schedule = "begins anew for the rest" if restart_schedule else "is stretched over all of them"
    note = f"epochs: {config.epochs}, not {old}; {whole} done; the learning rate's schedule {schedule}"
    return before._replace(config=config, schedule_from=schedule_from, before=(*before.before, entry)), note


def check_same(start: Start, facts: Facts, teacher: str) -> Start:
    """The same, with the facts of the data as they are now. Raises InputError where they are other data, or the teacher
    is another one: `teacher` is the fingerprint of its arrays, if there is one."""
    before = start.record.facts
    if facts != before._replace(data=before.data or facts.data):
        source = start.record.config.data.source
        raise InputError(f"the run had other data than {source}: its images, classes or statistics differ from now")
    if teacher != start.record.teacher:
        folder = start.record.config.distill.teacher
        raise InputError(f"the run had another teacher than {folder} is now: its parameters differ")
    return start._replace(record=start.record._replace(facts=facts))


def settle(folder: Path, start: Start) -> None:
    """Write down how the run goes on, and delete what is of no use any more. Raises OSError."""
    for place in start.damaged:  # a sound one of the same step is to take its place
        manifest.discard(place)
    before = read_record(folder)
    if start.record != before:
        write_record(folder, start.record)
    if start.record.before != before.before:
        (folder / "result.json").unlink(missing_ok=True)  # it is in config.json now
