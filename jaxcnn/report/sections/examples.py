"""Some test images with the classes that are held for the most probable (Krizhevsky et al. 2012, figure 4)."""

from __future__ import annotations

import numpy as np

from jaxcnn.report.blocks import Bar, Block, Cell, Gallery, Row, Section, Shown, Table
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture

COUNT, TOP = 8, 5


def examples(run: Examined) -> Section:
    """Eight test images from all over, each with its five most probable classes."""
    places = np.unique(np.linspace(0, len(run.labels) - 1, COUNT, dtype=int))
    lead = (
        f"Test images from all over the data, and the {min(TOP, len(run.subject.classes))} classes that the network "
        "holds for the most probable; the right one is marked."
    )
    return Section("Examples", lead, tuple(Row(tuple(_panel(run, place) for place in part), least=190)
                                           for part in (places[:4], places[4:]) if len(part)))  # fmt: skip


def _panel(run: Examined, place: int) -> Block:
    shares, label = run.shares[place], int(run.labels[place])
    best = np.argsort(-shares, kind="stable")[:TOP]
    rows: list[tuple[Cell, ...]] = []
    for number in best:
        name = run.subject.name(number)
        rows.append((f"✓ {name}" if number == label else name, Bar(f"{shares[number]:.1%}", float(shares[number]))))
    image = Gallery(
        (Shown(picture(run.test.images[place], run.of_test(place)), (f"is {run.subject.name(label)}",)),), 96
    )
    return Row((image, Table(f"of {run.of_test(place)}", ("class", "probability"), tuple(rows), "<>")), least=190)
