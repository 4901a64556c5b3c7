"""Which training images lie nearest to each test image, in the last hidden layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxcnn.visualize.neighbors import hidden
from jaxcnn.visualize.subject import Subject

COUNT = 6  # neighbors, as in Krizhevsky et al. 2012, figure 4
BLOCK = 256  # test images that are compared at once


class Neighborhood(NamedTuple):
    """Of every test image the nearest training images, the nearest first: distances and places, (N, COUNT)."""

    distances: np.ndarray
    indices: np.ndarray


def neighborhood(subject: Subject, train: np.ndarray, test: np.ndarray, batch_size: int) -> Neighborhood | None:
    """The nearest training images of all test images; None for a network without a head."""
    network, prepare = (subject.net, subject.params, subject.batch_stats), subject.of_bytes()
    try:
        vectors, queries = (
            hidden(*network, images, prepare=prepare, batch_size=batch_size) for images in (train, test)
        )
    except ValueError:
        return None
    count = min(COUNT, len(vectors))
    norms = (vectors.astype(np.float64) ** 2).sum(1)
    distances, indices = np.empty((len(queries), count)), np.empty((len(queries), count), int)
    for start in range(0, len(queries), BLOCK):
        here = queries[start : start + BLOCK]
        near = norms - 2 * (here @ vectors.T)  # products lose digits: candidates, which are then measured exactly
        candidates = np.sort(np.argpartition(near, min(2 * count, len(vectors) - 1), 1)[:, : 2 * count], 1)
        exact = np.sqrt(((vectors[candidates].astype(np.float64) - here[:, None]) ** 2).sum(-1))
        order = np.argsort(exact, 1, kind="stable")[:, :count]
        distances[start : start + BLOCK] = np.take_along_axis(exact, order, 1)
        indices[start : start + BLOCK] = np.take_along_axis(candidates, order, 1)
    return Neighborhood(distances, indices)
