"""Images in batches of one size, so that a network is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax import Array

from jaxcnn.data.batches import padded
from jaxcnn.data.streamed import Streamed

Prepare = Callable[[Array], Array]
"""From images to what a network takes."""


def unchanged(images: Array) -> Array:
    """The preparation of a network that takes images as they are."""
    return images


def batches(images: np.ndarray | Streamed, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first image, batch); the last batch is filled up with the first image."""
    for number, (ids, _) in enumerate(padded(np.arange(len(images)), size)):
        yield number * size, np.asarray(images[ids])


def in_batches(compute: Callable[[np.ndarray], Any], images: np.ndarray | Streamed, size: int) -> np.ndarray:
    """What a function makes of images, (N, ...), a batch at a time."""
    found = [np.asarray(compute(batch)) for _, batch in batches(images, size)]
    return np.concatenate(found)[: len(images)]
