"""The figures as Markdown: aligned, so that it reads the same in a terminal and in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxcnn.host.errors import InputError


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of one width; columns whose every cell begins with a digit or a dash go right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]
    right = [bool(rows) and all(cell[:1].isdigit() or cell in ("-", "") for cell in column[1:]) for column in columns]
    rule = ["-" * (width - 1) + (":" if to_right else "-") for width, to_right in zip(widths, right, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, rows)])


def ready(folder: Path, name: str) -> Path:
    """The path of a report to be written later. Raises InputError where it could not be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished(folder / name).touch()
        unfinished(folder / name).unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
    return folder / name


def unfinished(path: Path) -> Path:
    """Where a report stands until it is whole."""
    return path.with_name(path.name + ".partial")
