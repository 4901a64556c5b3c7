"""The figures as Markdown: aligned, so that it reads the same in a terminal and in a browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jaxcnn.errors import InputError


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
        probe = folder / f"{name}.partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
    return folder / name


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)
