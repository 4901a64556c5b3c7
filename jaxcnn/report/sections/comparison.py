"""Two runs beside each other, image by image."""

from __future__ import annotations

import json

import numpy as np

from jaxcnn.host.text import counted
from jaxcnn.readings.cost import layers, totals
from jaxcnn.report.blocks import Block, Cell, Gallery, Heading, Section, Shown, Table, Text
from jaxcnn.report.estimates import disagreement
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.report.verdict import accuracy
from jaxcnn.training.comparison import differences, kinds

COUNT = 8
RARE = 0.05


def comparison(one: Examined, other: Examined) -> Section:
    """In what the runs differ, what came of it, whether that can be chance, and what only one of them gets right."""
    size = min(len(one.labels), len(other.labels))
    first, second, chance = disagreement(one.right[:size], other.right[:size])
    better = one if first >= second else other
    lead = f"{one.name} alone is right on {counted(first, 'test image')}, {other.name} alone on {second:,}. "
    lead += f"By chance alone so unequal numbers come with probability {chance:.2g} (McNemar): " + (
        f"{better.name} is better on images like these." if chance < RARE else "neither is shown to be better."
    )
    return Section(
        "The two runs", lead,
        (_figures(one, other), *_settings(one, other), *_only(one, other, size), *_only(other, one, size)),
    )  # fmt: skip


def _figures(one: Examined, other: Examined) -> Table:
    runs = one, other
    sums = [totals(layers(run.subject.net, run.subject.shape)) for run in runs]
    rows: list[tuple[Cell, ...]] = [
        ("accuracy (95% interval)", *(accuracy(run).text() for run in runs)),
        ("loss", *(f"{run.result['test_loss']:.4f}" for run in runs)),
        ("parameters", *(f"{each['parameters']:,}" for each in sums)),
        ("multiply-accumulates", *(f"{each['macs']:,}" for each in sums)),
        ("epochs", *(f"{len(run.finished.rows) or run.result['epochs']:,}" for run in runs)),
        ("seconds", *(f"{run.result['seconds']:,.1f}" for run in runs)),
    ]
    return Table("What came of it", ("figure", one.name, other.name), tuple(rows), "<>>")


def _settings(one: Examined, other: Examined) -> list[Block]:
    found = differences(kinds([one.finished, other.finished]))
    if not found:
        return [Text("Their settings are the same but for name, seed and fold.", "note")]
    rows = tuple(
        (name, *("" if value is None else json.dumps(value) for value in values)) for name, values in found.items()
    )
    return [Table("In what they differ", ("setting", one.name, other.name), rows, "<<<")]


def _only(one: Examined, other: Examined, size: int) -> list[Block]:
    places = np.flatnonzero(one.right[:size] & ~other.right[:size])
    if not len(places):
        return []
    chosen = places[np.argsort(-other.confidence[places], kind="stable")][:COUNT]
    shown = tuple(
        Shown(
            picture(one.test.images[place], one.of_test(place)),
            (f"is {one.subject.name(one.labels[place])}: {one.confidence[place]:.1%}",
             f"other: {other.subject.name(other.said[place])} {other.confidence[place]:.1%}"),
        )
        for place in chosen
    )  # fmt: skip
    return [
        Heading(f"Right by {one.name} alone"),
        Gallery(shown, 88, f"{len(chosen)} of {len(places):,}, where the other is the surest"),
    ]
