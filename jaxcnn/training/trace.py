"""A trace of JAX's profiler as plain events, and as a file that Perfetto opens."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jax.profiler import ProfileData


class Event(NamedTuple):
    """Something that took time; events of one track are beside or within each other."""

    process: str
    track: int  # a thread of a CPU, a stream of a GPU: numbers over all processes
    thread: str  # the track's name
    name: str
    start: float  # nanoseconds
    duration: float
    operation: str = ""  # of a compiled program, where it is one
    program: str = ""
    execution: str = ""  # which one of the program's

    @property
    def end(self) -> float:
        return self.start + self.duration


def read_trace(folder: Path) -> list[Event]:
    """The events of what `jax.profiler.stop_trace` wrote into a folder. Raises OSError where there is no trace."""
    files = sorted(folder.rglob("*.xplane.pb"))
    if not files:
        raise FileNotFoundError("the profiler wrote no trace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jaxlib's own types; as an error it ends the process
        return list(_events(files[-1]))


def _events(file: Path) -> Iterator[Event]:
    track = 0
    for plane in ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            track += 1
            for event in line.events:
                stats = {str(name): str(value) for name, value in event.stats}
                of_program = (stats.get(name, "") for name in ("hlo_op", "hlo_module", "run_id"))
                named = (plane.name, track, line.name, event.name)
                yield Event(*named, event.start_ns, event.duration_ns, *of_program)


def write_trace(file: Path, events: Sequence[Event], labels: Mapping[tuple[str, str], str]) -> None:
    """Write events in the trace event format, gzipped, for ui.perfetto.dev. Raises OSError.

    `labels` are names for the operations of programs, by both.
    """
    processes = {name: number for number, name in enumerate(dict.fromkeys(event.process for event in events), start=1)}
    begin = min((event.start for event in events), default=0.0)
    rows: list[dict] = [_named("process_name", number, 0, name) for name, number in processes.items()]
    tracks = {event.track: event for event in events}
    rows += [_named("thread_name", processes[each.process], number, each.thread) for number, each in tracks.items()]
    for event in events:
        row = {"ph": "X", "pid": processes[event.process], "tid": event.track, "name": event.name}
        row |= {"ts": (event.start - begin) / 1000, "dur": event.duration / 1000}  # microseconds
        if event.operation:
            row["name"] = labels.get((event.program, event.operation), event.name)
            row["args"] = {"operation": event.operation, "program": event.program}
        rows.append(row)
    with gzip.open(file, "wt", encoding="utf-8") as stream:
        json.dump({"displayTimeUnit": "ms", "traceEvents": rows}, stream)


def _named(what: str, process: int, track: int, name: str) -> dict:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": name}}
