"""`jaxcnn verify`: run the ledger, show how far it is, and write it down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from jaxcnn.commands.command import FAILED, Command
from jaxcnn.commands.words import words
from jaxcnn.host.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class Verify(Command):
    """Check every operation against its definition in loops.

    The report goes to OUTPUT/conformance.md and .csv; the exit status is 0 where all cases are green.
    """

    computes = lasting = True

    sample: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: all)")] = None
    """A random part of N cases."""
    operations: Annotated[tuple[str, ...], arg(metavar="NAME...", help_behavior_hint="(default: all)")] = ()
    """These operations only."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Draws the inputs, the random settings and the sample."""
    output: Annotated[Path, arg(metavar="DIR")] = Path("results")
    """Where the report goes."""

    def run(self) -> int:
        """Run the cases, print the red ones and a verdict; exit status 1 where there is a red one."""
        from rich.console import Console

        from jaxcnn.verify import ledger, report
        from jaxcnn.verify.loops import loops

        self._check()
        loops()
        cases = ledger.all_cases(self.operations, self.seed)
        if self.sample is not None and self.sample < len(cases):
            cases = ledger.sample(cases, self.sample, self.seed)
        console = Console(highlight=False, soft_wrap=True)
        with _progress(console, len(cases)) as show:
            rows, left_out, seconds = ledger.run(cases, self.seed, lambda case, done: show(case.operation.name, done))
        again = words("verify", self, without=["output"])
        verified = report.Ledger(tuple(rows), left_out, seconds, self.seed, again)
        for row in verified.red:
            line = f"red: {row.operation} ({row.setting}) {row.dtype} {row.check}: error {row.error:.3g}"
            console.print(f"{line}, bound {row.bound:.3g} {row.note}".rstrip(), markup=False)
        paths = report.write(verified, self.output)
        red = len(verified.red)
        verdict = f"{red} of {len(rows):,} cases are red" if red else f"all {len(rows):,} cases are green"
        console.print(f"{verdict}, in {seconds:.0f} s; see {' and '.join(map(str, paths))}", markup=False)
        return FAILED if red else 0

    def _check(self) -> None:
        if self.seed < 0:
            raise InputError(f"--seed takes an integer of at least 0, not {self.seed}")
        if self.sample is not None and self.sample < 1:
            raise InputError(f"--sample takes a number of cases of at least 1, not {self.sample}")
        if self.output.exists() and not self.output.is_dir():
            raise InputError(f"--output {self.output} is not a folder")


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
