"""The ledger on paper: conformance.md for readers, conformance.csv with every case."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.host.files import write_text
from jaxcnn.host.machine import machine, versions
from jaxcnn.verify import libraries
from jaxcnn.verify.ledger import CHECKS, Row
from jaxcnn.verify.operations import OPERATIONS

PACKAGES = ("jaxcnn", "jax", "jaxlib", "numpy", "torch", "keras")


@dataclass(frozen=True)
class Ledger:
    """The rows, and how they came about."""

    rows: tuple[Row, ...]
    left_out: int  # cases that another library cannot express
    seconds: float
    seed: int
    command: str

    @property
    def red(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict != "green")


def csv_text(ledger: Ledger) -> str:
    """Every case in a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    for row in ledger.rows:
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in row])
    return text.getvalue()


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], numbers: int) -> list[str]:
    """A Markdown table whose last `numbers` columns are numbers."""
    ruler = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    return ["| " + " | ".join(map(str, row)) + " |" for row in (heads, ruler, *rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _groups(rows: Iterable[Row], *fields: str) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(getattr(row, field) for field in fields), []).append(row)
    return groups


def _worst(rows: Iterable[Row]) -> Row:
    return max(rows, key=lambda row: float("inf") if row.ratio != row.ratio else row.ratio)


def _reds(ledger: Ledger) -> list[str]:
    if not ledger.red:
        return []
    lines = ["## Red", "", f"Each with its inputs from seed {ledger.seed}: "
             f"`jaxcnn verify --operations NAME --seed {ledger.seed}` runs it again.", ""]  # fmt: skip
    rows = [
        (row.operation, _cell(row.setting), row.dtype, row.check, _cell(row.note), f"{row.error:.2g}",
         f"{row.bound:.2g}", f"{row.ratio:.2g}") for row in sorted(ledger.red, key=lambda row: -row.ratio)
    ]  # fmt: skip
    heads = ("operation", "setting", "dtype", "check", "note", "error", "bound", "error/bound")
    return [*lines, *_table(heads, rows, 3), ""]


def _checks(ledger: Ledger) -> list[str]:
    rows = []
    groups = _groups(ledger.rows, "check")
    for name, check in CHECKS.items():
        found = groups.get((name,))
        if found:
            worst = _worst(found)
            meaning = " ".join((check.__doc__ or "").split())
            rows.append((name, _cell(meaning), len(found), f"{worst.ratio:.2g}"))
    return [
        "## What is checked",
        "",
        *_table(("check", "what, and its bound", "cases", "worst error/bound"), rows, 2),
        "",
    ]


def _roundings(ledger: Ledger) -> list[str]:
    rows = []
    for name in dict.fromkeys(row.operation for row in ledger.rows):
        operation = OPERATIONS[name]
        sums = "float32, then rounded once" if operation.once else "float32" if operation.wide else "bfloat16"
        rows.append((name, sums, operation.roundings, f"{operation.step:.2g}"))
    heads = ("operation", "sums of bfloat16 in", "roundings r", "step of differences h")
    return ["## What the bounds take for granted", "", *_table(heads, rows, 2), ""]


def _operations(ledger: Ledger) -> list[str]:
    rows = []
    for (operation, check), found in _groups(ledger.rows, "operation", "check").items():
        worst = _worst(found)
        ranks = ", ".join(map(str, sorted({row.rank for row in found})))
        dtypes = ", ".join(dict.fromkeys(row.dtype for row in found))
        figures = len(found), f"{worst.error:.2g}", f"{worst.bound:.2g}", f"{worst.ratio:.2g}"
        rows.append((operation, check, dtypes, ranks, *figures))
    heads = ("operation", "check", "dtypes", "ranks", "cases", "worst error", "its bound", "error/bound")
    return ["## Operation by operation", "", *_table(heads, rows, 4), ""]


def _versions() -> str:
    found = versions(PACKAGES)
    named = [f"{name} {found.get(name, 'not installed')}" for name in PACKAGES]
    return ", ".join([*named, f"Python {found['python']}"])


def _absent() -> list[str]:
    names = [name for name in libraries.PACKAGES if libraries.side(name) is None]
    return [f"{' and '.join(names)} not installed: these checks are left out.", ""] if names else []


UNITS = """\
u is the unit roundoff: 2^-53 in float64, 2^-24 in float32, 2^-8 in bfloat16. The bound of a sum of n terms is
n u / (1 - n u) times the sum of their absolute values (Higham 2002, lemma 3.1); n follows from the shapes, and the
loops give the sum entry by entry, so every entry has a bound of its own. r further roundings count like terms. Where
sums of bfloat16 are accumulated in float32 and rounded once, the bound is that of float32 and one rounding of the
result (two with a bias). Inputs are rounded to the dtype before the loops see them. The figures are those of the entry
that lies farthest out in terms of its own bound.
"""


def markdown(ledger: Ledger) -> str:
    """The summary."""
    count, red = len(ledger.rows), len(ledger.red)
    operations = len({row.operation for row in ledger.rows})
    verdict = (
        f"all {count:,} cases of {operations} operations are green"
        if not red
        else f"{red:,} of {count:,} cases are red"
    )
    lines = [
        "# Conformance", "", f"{verdict[0].upper()}{verdict[1:]}. Every case is in conformance.csv.", "",
        *_reds(ledger), "## How", "",
        f"- command: `{ledger.command}`", f"- seed: {ledger.seed}", f"- seconds: {ledger.seconds:.0f}",
        f"- machine: {machine()}", f"- versions: {_versions()}", "",
        f"{ledger.left_out:,} more cases were left out because PyTorch or Keras cannot express them.", "",
        *_absent(), *UNITS.splitlines(), "", *_checks(ledger), *_operations(ledger), *_roundings(ledger),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def write(ledger: Ledger, folder: Path) -> tuple[Path, Path]:
    """Both files, each whole or not at all. Raises InputError where the folder cannot be written to."""
    texts = {folder / "conformance.md": markdown(ledger), folder / "conformance.csv": csv_text(ledger)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            write_text(path, text)
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror or error}") from error
    summary, every = texts
    return summary, every
