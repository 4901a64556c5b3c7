"""Which training images lie nearest to each test image, in the last hidden layer."""

from __future__ import annotations

import numpy as np

from jaxcnn.visualize.neighbors import Neighbors, hidden, nearest
from jaxcnn.visualize.subject import Subject

COUNT = 6  # neighbors, as in Krizhevsky et al. 2012, figure 4


def neighborhood(subject: Subject, train: np.ndarray, test: np.ndarray, batch_size: int) -> Neighbors | None:
    """The nearest training images of all test images; None for a network without a head."""
    network, prepare = (subject.net, subject.params, subject.batch_stats), subject.of_bytes()
    try:
        vectors, queries = (
            hidden(*network, images, prepare=prepare, batch_size=batch_size) for images in (train, test)
        )
    except ValueError:
        return None
    return nearest(queries, vectors, COUNT)
