"""`jaxcnn verify`: run the ledger, show how far it is, and write it down."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

RED = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `jaxcnn verify`."""
    parser.add_argument("--sample", type=int, metavar="N", help="a random part of N cases (all of them otherwise)")
    parser.add_argument("--operations", nargs="+", default=[], metavar="NAME", help="these operations only")
    parser.add_argument("--seed", type=int, default=0, help="of inputs, random settings and the sample (0)")
    parser.add_argument("--output", type=Path, default=Path("results"), metavar="DIR", help="for the report (results)")
    parser.set_defaults(run=run)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.seed < 0:
        raise InputError(f"--seed takes an integer of at least 0, not {arguments.seed}")
    if arguments.sample is not None and arguments.sample < 1:
        raise InputError(f"--sample takes a number of cases of at least 1, not {arguments.sample}")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise InputError(f"--output {arguments.output} is not a folder")


def _command(arguments: argparse.Namespace) -> str:
    words = ["jaxcnn", "verify"]
    words += ["--sample", str(arguments.sample)] if arguments.sample else []
    words += ["--operations", *arguments.operations] if arguments.operations else []
    words += ["--seed", str(arguments.seed)] if arguments.seed else []
    return shlex.join(words)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[str, int], None]]:
    """A bar on a terminal; otherwise a line for every operation."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task, before = bar.add_task("", total=total), ""

        def show(operation: str, done: int) -> None:
            nonlocal before
            bar.update(task, completed=done, description=operation)
            if operation != before and not console.is_terminal:
                console.print(f"{done - 1}/{total} {operation}")
            before = operation

        yield show


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 where all cases are green, 1 where one is red."""
    from rich.console import Console

    from jaxcnn.verify import ledger, report
    from jaxcnn.verify.loops import loops

    _check(arguments)
    loops()
    cases = ledger.all_cases(arguments.operations, arguments.seed)
    if arguments.sample is not None and arguments.sample < len(cases):
        cases = ledger.sample(cases, arguments.sample, arguments.seed)
    console = Console(highlight=False, soft_wrap=True)
    with _progress(console, len(cases)) as show:
        rows, left_out, seconds = ledger.run(cases, arguments.seed, lambda case, done: show(case.operation.name, done))
    found = report.Ledger(tuple(rows), left_out, seconds, arguments.seed, _command(arguments))
    for row in found.red:
        line = f"red: {row.operation} ({row.setting}) {row.dtype} {row.check}: error {row.error:.3g}"
        console.print(f"{line}, bound {row.bound:.3g} {row.note}".rstrip(), markup=False)
    paths = report.write(found, arguments.output)
    verdict = f"{len(found.red)} of {len(rows):,} cases are red" if found.red else f"all {len(rows):,} cases are green"
    console.print(f"{verdict}, in {seconds:.0f} s; see {' and '.join(map(str, paths))}", markup=False)
    return RED if found.red else 0
