"""Which training images the network finds like a test image, and which nearly are the same."""

from __future__ import annotations

import numpy as np

from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Block, Gallery, Heading, Section, Shown, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.visualize.neighbors import ALIKE, difference

QUERIES = 5
PAIRS = 6


def neighbors(run: Examined) -> Section:
    """Five test images with their six nearest training images; near-duplicates between test and training."""
    if run.around is None:
        return Section("Neighbors", "This network has no last hidden layer to measure distances in.", ())
    near = run.train.labels[run.around.indices[:, 0]]
    lead = (
        f"In the last hidden layer, the nearest training image is of the right class for "
        f"{(near == run.labels).mean():.2%} of {counted(len(run.labels), 'test image')}."
    )
    blocks: list[Block] = [Heading("Test images and their nearest training images")]
    for place in np.unique(np.linspace(0, len(run.labels) - 1, QUERIES, dtype=int)):
        blocks.append(_query(run, int(place)))
    return Section("Neighbors", lead, (*blocks, *_alike(run)))


def _query(run: Examined, place: int) -> Gallery:
    assert run.around is not None
    label = int(run.labels[place])
    shown = [Shown(picture(run.test.images[place], run.of_test(place)), (f"{run.subject.name(label)}", "test image"))]
    for distance, index in zip(run.around.distances[place], run.around.indices[place], strict=True):
        other = int(run.train.labels[index])
        tone = "right" if other == label else "wrong"
        image = picture(run.train.images[index], f"training image {index}")
        shown.append(Shown(image, (run.subject.name(other), f"at {distance:.3g}"), tone))
    return Gallery(tuple(shown), 72)


def _alike(run: Examined) -> list[Block]:
    assert run.around is not None
    gaps = np.empty(run.around.indices.shape, np.float32)
    for place, indices in enumerate(run.around.indices):
        gaps[place] = difference(run.train.images[indices], run.test.images[place])
    best = gaps.argmin(1)
    least = gaps[np.arange(len(gaps)), best]
    found = int((least < ALIKE).sum())
    order = np.argsort(least, kind="stable")[:PAIRS]
    told = (
        f"{counted(found, 'test image')} of {len(least):,} {'differs' if found == 1 else 'differ'} by less than "
        f"{ALIKE:g} of 255 gray levels (root mean square) from one of the nearest training images. "
        "The most alike pairs:"
    )
    shown = []
    for place in order:
        index = int(run.around.indices[place, best[place]])
        of, there = (run.subject.name(split.labels[at]) for split, at in ((run.test, place), (run.train, index)))
        shown.append(Shown(picture(run.test.images[place], run.of_test(place)), (of, "test image")))
        image = picture(run.train.images[index], f"training image {index}")
        shown.append(Shown(image, (there, f"differs by {least[place]:.1f}")))
    return [Heading("Nearly the same in test and training"), Text(told), Gallery(tuple(shown), 64)]
