"""`jaxcnn report`: one HTML file that tells a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from jaxcnn.commands.command import Command
from jaxcnn.commands.restored import Run, RunOptions, found
from jaxcnn.host.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Report(RunOptions, Command):
    """Write one HTML file that tells a run: how good it is, what it sees, how it is fooled.

    The file needs no other file, no host and no program. Two runs that were tested on the same images are told beside
    each other.
    """

    computes = True

    folder: Run
    """The folder of a run that is done, such as results/digits, or its name."""
    other: Annotated[Positional[Path | None], arg(metavar="OTHER", help_behavior_hint="(default: none)")] = None
    """Another run."""
    at: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: report.html in the run's folder)")] = (
        None
    )
    """The file that is written."""

    def run(self) -> int:
        """Make the page, write it whole, and say where."""
        from jaxcnn.report import check_template

        check_template()
        folders = [found(folder) for folder in (self.folder, self.other) if folder is not None]
        at = folders[0] / "report.html" if self.at is None else self.at
        if at.suffix != ".html":
            raise InputError(f"--at is the name of a page, which ends in .html, not {at}")
        if not at.absolute().parent.is_dir():
            raise InputError(f"--at {at} is in a folder that there is not")
        for folder in folders:
            self.agreed(folder)
        write_report(at, *folders, checkpoint=self.checkpoint)
        return 0


def write_report(
    at: Path, folder: Path, other: Path | None = None, checkpoint: Literal["last", "best"] | None = None
) -> None:
    """Write the page of a run, or of two, and say where. Raises InputError where there can be none."""
    from jaxcnn.host.files import write_text
    from jaxcnn.host.text import bytes_text, printable
    from jaxcnn.report import report

    text = report(folder, other, checkpoint=checkpoint, trust=True)  # as the person has agreed, or named the network
    try:
        write_text(at, text)
    except OSError as error:
        raise InputError(f"{at} cannot be written: {error.strerror or error}") from None
    print(f"written: {printable(str(at))}, {bytes_text(len(text.encode()))}")
