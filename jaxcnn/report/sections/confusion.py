"""Which class was taken for which, and the very images."""

from __future__ import annotations

import csv
import io

import numpy as np

from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Block, Download, Gallery, Matrix, MatrixCell, Opened, Section, Shown, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import data_uri, picture

LARGEST = 20  # classes of a matrix that fits a page
IMAGES = 150  # that all cells together show
OF_CELL = 12  # at most


def confusion(run: Examined) -> Section:
    """The confusion matrix, whose cells open their images; of many classes, the commonest confusions."""
    count = len(run.subject.classes)
    counts = np.zeros((count, count), int)
    np.add.at(counts, (run.labels, run.said), 1)
    wrong = counts * ~np.eye(count, dtype=bool)
    pairs = sorted(((int(n), *divmod(at, count)) for at, n in enumerate(wrong.ravel()) if n), key=lambda p: (-p[0], p))
    total = int(wrong.sum())
    are = "is" if total == 1 else "are"
    lead = f"{counted(total, 'test image')} of {len(run.labels):,} {are} taken for another class."
    blocks: list[Block] = []
    if pairs:
        n, is_, said = pairs[0]
        lead += f" Most often {_taken(run, is_, said)}: {counted(n, 'time')}."
    opened = _opened(run, pairs)
    names = {block.name for block in opened}
    if count <= LARGEST:
        blocks.append(_matrix(run, counts, names))
        blocks.append(Text("A number opens its images below.", "note"))
    else:
        rows = tuple((_taken(run, is_, said), f"{n:,}") for n, is_, said in pairs[:LARGEST])
        blocks.append(Table("The commonest confusions", ("confusion", "images"), rows, "<>"))
    blocks += opened
    blocks.append(Download("confusion.csv", data_uri(_csv(run, counts)), "The matrix as confusion.csv"))
    return Section("Confusion", lead, tuple(blocks))


def _taken(run: Examined, is_: int, said: int) -> str:
    return f"{run.subject.name(is_)} taken for {run.subject.name(said)}"


def _matrix(run: Examined, counts: np.ndarray, names: set[str]) -> Matrix:
    totals = np.maximum(counts.sum(1, keepdims=True), 1)
    shares = (counts / totals) ** 0.4  # a root, so that rare errors are seen beside a nearly perfect diagonal
    rows = []
    for is_ in range(len(counts)):
        cells = []
        for said in range(len(counts)):
            n, opens = int(counts[is_, said]), f"taken-{is_}-{said}"
            label = f"{counted(n, 'image')} of {_taken(run, is_, said)}"
            cells.append(MatrixCell(n, float(shares[is_, said]), opens if opens in names else "", label))
        rows.append(tuple(cells))
    classes = tuple(run.subject.name(label) for label in range(len(counts)))
    return Matrix("Test images by their class (rows) and what they were taken for (columns)", classes, tuple(rows))


def _opened(run: Examined, pairs: list[tuple[int, int, int]]) -> list[Opened]:
    """The images of every pair, the most confident first: of each one at least, then more of the commonest."""
    pairs = pairs[:IMAGES]
    each = [1] * len(pairs)
    for number, (n, _, _) in enumerate(pairs):
        each[number] += min(n, OF_CELL, 1 + IMAGES - sum(each)) - 1
    found = []
    for number, (n, is_, said) in enumerate(pairs):
        places = np.flatnonzero((run.labels == is_) & (run.said == said))
        chosen = places[np.argsort(-run.confidence[places], kind="stable")][: each[number]]
        pictures = tuple(
            Shown(
                picture(run.test.images[place], run.of_test(place)),
                (f"{run.confidence[place]:.1%} {run.subject.name(said)}",
                 f"{run.shares[place, is_]:.1%} {run.subject.name(is_)}"), "wrong",
            )
            for place in chosen
        )  # fmt: skip
        some = "" if len(chosen) == n else f", the {len(chosen)} most confident of {n:,}"
        gallery = Gallery(pictures, 72)
        found.append(Opened(f"taken-{is_}-{said}", f"{_taken(run, is_, said)}{some}", (gallery,)))
    return found


def _csv(run: Examined, counts: np.ndarray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = [run.subject.name(label) for label in range(len(counts))]
    writer.writerow(["is \\ taken for", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, counts.tolist(), strict=True))
    return text.getvalue()
