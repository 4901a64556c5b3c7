"""Which images a network holds for alike: near to each other in its last hidden layer (Krizhevsky et al. 2012)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jaxcnn.data.streamed import Streamed
from jaxcnn.forward_pass import apply
from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare, in_batches, unchanged
from jaxcnn.visualize.paths import last_hidden

SLACK = 1e-9  # of the squared norms: far more than float64 loses in their products, far less than differences


ALIKE = 8.0  # levels of 255 by which JPEG and resizing change an image at most, about
BLOCK = 256  # queries whose products are made at once


class Neighbors(NamedTuple):
    """Of every query the nearest vectors, (Q, count), the nearest first."""

    distances: np.ndarray
    indices: np.ndarray


def nearest(queries: np.ndarray | Array, vectors: np.ndarray | Array, count: int = 6) -> Neighbors:
    """The vectors with the smallest Euclidean distance to each query, exactly; of equal ones the first.

    Args:
      queries: (Q, D).
      vectors: (N, D), such as `hidden` makes of images.
      count: how many of each query; all N where there are fewer.

    Raises:
      ValueError: arrays of other shapes, or a count below 1.
    """
    queries, vectors = np.asarray(queries, np.float64), np.asarray(vectors, np.float64)
    if queries.ndim != 2 or vectors.ndim != 2 or queries.shape[1] != vectors.shape[1]:
        raise ValueError(f"queries (Q, D) and vectors (N, D) are wanted, not {queries.shape} and {vectors.shape}")
    if count < 1:
        raise ValueError(f"at least 1 neighbor is wanted, not {count}")
    count = min(count, len(vectors))
    norms = (vectors**2).sum(1)
    distances, indices = np.empty((len(queries), count)), np.empty((len(queries), count), int)
    for start in range(0, len(queries), BLOCK):
        here = queries[start : start + BLOCK]
        # By products first, which lose digits; then exactly, of all that may be among the nearest.
        products = here @ vectors.T
        for number, (query, product) in enumerate(zip(here, products, strict=True), start):
            near = norms - 2 * product + query @ query
            bound = np.partition(near, count - 1)[count - 1] + SLACK * (norms.max() + query @ query)
            candidates = np.flatnonzero(near <= bound)
            exact = np.sqrt(((vectors[candidates] - query) ** 2).sum(1))
            order = np.argsort(exact, kind="stable")[:count]
            distances[number], indices[number] = exact[order], candidates[order]
    return Neighbors(distances, indices)


def difference(images: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By how many levels of 255 the pixels of images uint8 (N, H, W, C) differ from those of another (H, W, C), as the
    root of the mean square: (N,). Below ALIKE they are nearly the same image."""
    return np.sqrt(np.square(images.astype(np.float32) - other).mean((1, 2, 3)))


def hidden(
    net: Spec, params: Params, batch_stats: Params, images: np.ndarray | Streamed, *,
    prepare: Prepare = unchanged, batch_size: int = 128,
) -> np.ndarray:  # fmt: skip
    """What the head of a network reads of images (N, H, W, C): (N, D). Raises ValueError where it has no head."""
    before = last_hidden(net)
    return in_batches(lambda batch: _vectors(before, params, batch_stats, batch, prepare), images, batch_size)


@partial(jax.jit, static_argnums=(0, 4))
def _vectors(net: Spec, params: Params, batch_stats: Params, images: Array, prepare: Prepare) -> Array:
    return apply(net, params, batch_stats, prepare(images))[0].reshape(len(images), -1)
