"""What was learned from and tested on."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

import numpy as np

from jaxcnn.data import Split
from jaxcnn.host.text import counted
from jaxcnn.layout import times
from jaxcnn.report.blocks import Bar, Block, Cell, Details, Facts, Gallery, Section, Shown, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import sprite, thumbnail

OF_EACH = 6  # training images that are shown of a class
SEVERAL = 10  # classes of which so many are shown
MOST = 20  # classes of which one is shown
ROWS = 30  # classes of a table that is open


def data(run: Examined) -> Section:
    """Counts by class and split, an example of each class, mean and deviation, images that occur twice."""
    dataset, facts = run.dataset, run.record.facts
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    given = {name: split for name, split in splits.items() if split is not None}
    sizes = ", ".join(counted(len(split.labels), f"{name} image") for name, split in given.items())
    kind, _, where = dataset.name.partition(":")
    name, count = PurePath(where).name or kind, len(facts.classes)
    lead = f"{name}: {sizes}, {times(facts.input)}, in {counted(count, 'class', 'classes')}."
    blocks: list[Block] = [Text(note[0].upper() + note[1:] + ".", "note") for note in dataset.notes]
    blocks += [_examples(run), _counts(run, given), _facts(run, given)]
    return Section("Data", lead, tuple(blocks))


def _examples(run: Examined) -> Gallery:
    shown = []
    count = len(run.subject.classes)
    each = OF_EACH if count <= SEVERAL else 1
    for label in range(min(count, MOST)):
        places = np.flatnonzero(run.dataset.train.labels == label)
        chosen = places[np.linspace(0, len(places) - 1, min(each, len(places)), dtype=int)]
        if not len(chosen):
            continue
        name = run.subject.name(label)
        images = np.stack([thumbnail(run.dataset.train.images[place]) for place in chosen])
        told = f"training images {', '.join(map(str, chosen))}, of {name}"
        shown.append(Shown(sprite(images, each, told), (name, counted(len(places), "image"))))
    some = f", of the first {MOST} of {count} classes" if count > MOST else ""
    width = 56 * each if each > 1 else 72
    return Gallery(tuple(shown), width, f"Training images of each class, from all over the data{some}")


def _counts(run: Examined, splits: dict[str, Split]) -> Block:
    counts = {name: np.bincount(split.labels, minlength=len(run.subject.classes)) for name, split in splits.items()}
    rows: list[tuple[Cell, ...]] = []
    for label in range(len(run.subject.classes)):
        cells = [Bar(f"{count[label]:,}", float(count[label] / count.max())) for count in counts.values()]
        rows.append((run.subject.name(label), *cells))
    table = Table("Images by class and split", ("class", *counts), tuple(rows), "<" + ">" * len(counts))
    shares = {name: count / count.sum() for name, count in counts.items()}
    drift = 50 * float(np.abs(shares["training"] - shares["test"]).sum())
    told = Text(
        f"The shares of the classes differ by {drift:.2f} percent points in total variation between training and test."
    )
    if len(rows) > ROWS:
        return Details(f"Images of each of {len(rows)} classes", (table, told))
    return Details("Images by class and split", (table, told))


def _facts(run: Examined, splits: dict[str, Split]) -> Facts:
    facts = run.record.facts

    def each(values: tuple[float, ...]) -> str:
        return ", ".join(f"{value:.4f}" for value in values)

    seen = set(map(_digest, run.dataset.train.images))
    again = sum(_digest(image) in seen for image in run.dataset.test.images)
    twice = len(run.dataset.train.labels) - len(seen)
    brightness = {name: f"{split.images.mean() / 255:.4f}" for name, split in splits.items()}
    return Facts((
        ("normalized by", f"mean {each(facts.mean)}; deviation {each(facts.std)}, of pixels from 0 to 1"),
        ("mean pixel", "; ".join(f"{name} {value}" for name, value in brightness.items())),
        ("test images that are training images, too", f"{again:,} of {len(run.dataset.test.labels):,}, to the bit"),
        ("training images that occur again", f"{twice:,} of {len(run.dataset.train.labels):,}"),
    ))  # fmt: skip


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
