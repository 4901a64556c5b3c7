"""The table of networks: what is known of each, and what follows from its spec."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jaxcnn.charts.table import aligned
from jaxcnn.layout import times
from jaxcnn.readings.cost import layers, totals
from jaxcnn.zoo import NETWORKS, Entry

MARKERS = "<!-- networks: `jaxcnn models --markdown` -->", "<!-- /networks -->"


class Known(NamedTuple):
    """One network: published facts from `zoo.NETWORKS`; parameters (trainable) and MACs per image from its spec."""

    name: str
    year: int
    source: str
    parameters: int
    macs: int
    input: tuple[int, ...]
    top1: float | None
    top5: float | None
    peer: str
    family: str


def models_table(networks: dict[str, Entry] = NETWORKS) -> list[Known]:
    """Every network of the zoo, by year and then in the order of the zoo."""
    table = []
    for name, entry in networks.items():
        total = totals(layers(entry.build(), entry.input))
        counts = total["parameters"], total["macs"]
        family = entry.build.__module__.rpartition(".")[2]
        known = name, entry.year, entry.source, *counts, entry.input, entry.top1, entry.top5, entry.peer, family
        table.append(Known(*known))
    return sorted(table, key=lambda known: known.year)


def as_text(table: Sequence[Known], width: int | None = None) -> str:
    """Columns for a terminal whose lines have `width` characters; None: all that it takes."""
    head = ["name", "year", "parameters", "MACs", "input", "top-1", "top-5", "proven against", "paper"]
    lines = [[*_cells(known), known.source] for known in table]
    return aligned([head, *lines], "<<>><>><<", width)


def as_markdown(table: Sequence[Known]) -> str:
    """A table for the README."""
    lines = [
        "| network | year | paper | parameters | MACs | input | top-1 | top-5 | proven against |",
        "|---|---|---|--:|--:|---|--:|--:|---|",
    ]
    for known in table:
        name, year, *rest = _cells(known)
        lines.append(f"| {' | '.join([f'`{name}`', year, known.source.replace('|', '/'), *rest])} |")
    return "\n".join(lines)


def _cells(known: Known) -> list[str]:
    """Name, year, parameters, MACs, input, top-1, top-5 and peer; Keras publishes one digit of a percent."""
    percents = ["" if percent is None else f"{percent:.1f}" for percent in (known.top1, known.top5)]
    counts = [f"{known.parameters:,}", f"{known.macs:,}"]
    return [known.name, str(known.year), *counts, times(known.input), *percents, known.peer]


def as_json(table: Sequence[Known]) -> str:
    """A list of objects; what is not known is null."""
    return json.dumps([known._asdict() for known in table], indent=1)


def as_csv(table: Iterable[Known]) -> str:
    """Comma-separated values with a header; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Known._fields)
    writer.writerows(known._replace(input=times(known.input)) for known in table)  # pyright: ignore
    return text.getvalue().rstrip("\n")
