"""What is said of images: the most probable classes, and which classes are taken for which others."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.host.text import counted, printable
from jaxcnn.visualize.batching import at_once, in_batches
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, image_needed, label_of, shown_image, top_bars

CELLS = 10  # classes of a matrix
EMPTY = 225  # the gray of a cell without images


def predictions(subject: Subject, shown: Shown, asked: Asked) -> View:
    """Two panels for each image: it with its class, and its most probable classes, the right one in red.

    After Krizhevsky et al. 2012, figure 4. Raises ValueError without an image.
    """
    image_needed(shown, "a prediction")
    shares = subject.shares(shown.images)
    panels: list[Panel] = []
    sentences = []
    for number, name in enumerate(shown.names):
        bars = top_bars(subject, shares[number], label_of(shown, number))
        panels += [shown_image(subject, shown, number), bars]
        told = ", ".join(f"{who} {share:.1%}" for who, share in zip(bars.names, bars.shares, strict=True))
        label = label_of(shown, number)
        place = "" if label is None else "; right" if bars.right == 0 else f"; it is {subject.name(label)}"
        sentences.append(f"{printable(name)}: {told}{place}")
    numbers = {"images": shown.images, "probabilities": shares}
    return View(panels, min(4, 2 * len(shown.names)), "the most probable classes", sentences, numbers)


def confusions(subject: Subject, shown: Shown, asked: Asked) -> View:
    """The confusion matrix of the test images, of every cell its most confident image and how many there are.

    A row is of the images of a class, a column of those that are taken for one; of many classes those that are asked
    for, or those with the most mistakes. Raises ValueError without test images.
    """
    if asked.tests is None:
        raise ValueError("confusions are looked for in the test images of a run, and published weights have none here")
    images, labels = asked.tests.images, asked.tests.labels
    shares = in_batches(subject.shares, images, at_once(subject.shape))
    said = shares.argmax(1)
    count = shares.shape[1]
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (labels, said), 1)
    wrong = matrix - np.diag(matrix.diagonal())
    most = np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:CELLS])
    chosen = np.array(asked.classes) if asked.classes else most
    panels: list[Panel] = [_word("is / taken for"), *(_word(subject.name(each)) for each in chosen)]
    for row in chosen:
        panels.append(_word(subject.name(row)))
        for column in chosen:
            cell = np.flatnonzero((labels == row) & (said == column))
            if not len(cell):
                panels.append(Picture(np.full((*subject.shape[:2], 1), EMPTY, np.uint8), "0"))
                continue
            best = cell[shares[cell, column].argmax()]
            panels.append(Picture(np.asarray(images[best]), f"{len(cell)}: {shares[best, column]:.0%}"))
    pairs = [(int(wrong[row, column]), row, column) for row, column in np.argwhere(wrong)]
    sentences = [f"{matrix.trace():,} of {counted(len(labels), 'test image')} are right"]
    for times, row, column in sorted(pairs, key=lambda pair: -pair[0])[:CELLS]:
        sentences.append(f"{subject.name(row)} taken for {subject.name(column)}: {times} of {matrix[row].sum()}")
    title = "a row is a class, a column what it is taken for: how many, and the most confident one's probability"
    return View(panels, 1 + len(chosen), title, sentences, {"matrix": matrix, "probabilities": shares}, 0.9)


def _word(text: str) -> Picture:
    """A panel with a title and next to nothing under it."""
    return Picture(np.full((1, 16, 1), 255, np.uint8), text)
