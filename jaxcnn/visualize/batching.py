"""Images in batches of one size, so that a network is compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import Array

from jaxcnn.data.batches import padded
from jaxcnn.data.streamed import Streamed
from jaxcnn.layout import Shape

PIXELS = 2**20  # that an accelerator computes at once: 128 images of 32x32 at most, 20 of 224x224
NEAR = 2**15  # that lie in the caches of a CPU, more or less: 32 images of 32x32, but never less than LEAST of any
LEAST, MOST = 8, 128

Prepare = Callable[[Array], Array]
"""From images to what a network takes."""


def unchanged(images: Array) -> Array:
    """The preparation of a network that takes images as they are."""
    return images


def at_once(shape: Shape) -> int:
    """How many images of a shape, (H, W, C), are computed at once: so many that more are no faster."""
    size = shape[0] * shape[1]
    if jax.default_backend() == "cpu":
        return max(LEAST, min(MOST, NEAR // size))
    return max(1, min(MOST, PIXELS // size))


def shared_out(count: int, most: int) -> int:
    """How many of so many are in a part, where parts have at most `most` and are as even as can be."""
    return -(-count // -(-count // max(1, most)))


def batches(images: np.ndarray | Streamed, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first image, batch); the last batch is filled up with the first image."""
    for number, (ids, _) in enumerate(padded(np.arange(len(images)), size)):
        yield number * size, np.asarray(images[ids])


def in_batches(compute: Callable[[np.ndarray], Any], images: np.ndarray | Streamed, size: int) -> np.ndarray:
    """What a function makes of images, (N, ...), a batch at a time."""
    found = [np.asarray(compute(batch)) for _, batch in batches(images, size)]
    return np.concatenate(found)[: len(images)]
