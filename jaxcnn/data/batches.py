"""Which images a step sees. A batch is a function of (seed, epoch, step), never of workers or history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Batch(NamedTuple):
    """Images of one step, padded to a fixed size."""

    images: Array  # (N, H, W, C) uint8
    labels: Array  # (N,) int32
    mask: Array  # (N,) float32: 1, or 0 for the padding of the last batch
    ids: Array  # (N,) int32: each image's place in the data set


def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order in which epoch number `epoch` visits `size` images: a permutation, (size,) int32."""
    rng = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch)
    return np.asarray(jax.random.permutation(rng, size), np.int32)


def epoch_key(seed: int, epoch: int) -> Array:
    """The key from which an epoch's augmentation and dropout are drawn."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), epoch)


def padded(order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut an order into batches from step `first` on: (ids, mask), the last one padded with image 0 and mask 0."""
    for start in range(first * batch_size, len(order), batch_size):
        ids = order[start : start + batch_size]
        missing = batch_size - len(ids)
        mask = np.concatenate([np.ones(len(ids), np.float32), np.zeros(missing, np.float32)])
        yield np.concatenate([ids, np.zeros(missing, ids.dtype)]), mask


def gather(images: Array, labels: Array, ids: Array, mask: Array) -> Batch:
    """The batch of the given ids, from arrays that live on the device."""
    return Batch(jnp.take(images, ids, axis=0), jnp.take(labels, ids), mask, ids)
