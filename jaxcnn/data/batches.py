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
    ids: Array  # (N,) int32: each image's place in the data set; when an epoch shows it again, plus the set's size
    others: Others | None = None  # of whom the images are mixtures, where they are
    turn: Turn | None = None  # where an augmentation follows from what it did in the epoch before


class Turn(NamedTuple):
    """Which epoch it is, and a key that all epochs of the run share."""

    key: Array
    epoch: Array  # () int32


class Others(NamedTuple):
    """The images that those of a step are mixed with."""

    images: Array  # (N, H, W, C) uint8
    labels: Array  # (N,) int32
    ids: Array  # (N,) int32
    share: Array | None = None  # (N,): what of a mixture is of the image itself, once they are mixed


def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order in which epoch number `epoch` visits `size` images: a permutation, (size,) int32."""
    rng = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch)
    return np.asarray(jax.random.permutation(rng, size), np.int32)


def repeated_order(seed: int, epoch: int, size: int, times: int) -> np.ndarray:
    """An order in which each image stands `times` times in a row (Hoffer et al. 2020), cut off at `size`.

    An epoch sees but size / times images. The n-th time an image is its place plus n * size, so that it is changed
    otherwise at random.
    """
    order = epoch_order(seed, epoch, size)[: -(-size // times)]
    return (order[:, None] + size * np.arange(times, dtype=np.int32)).reshape(-1)[:size]


def balanced_order(seed: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """An order of len(labels) images in which every class is as often, and every image of a class as often as others.

    The n-th time an image is its place plus n * len(labels).
    """
    size = len(labels)
    order = epoch_order(seed, epoch, size)
    present = np.unique(labels)
    shares = np.full(len(present), size // len(present))
    shares[: size % len(present)] += 1
    drawn = []
    for label, share in zip(np.roll(present, epoch), shares, strict=True):  # which classes have one more, changes
        members = order[labels[order] == label]
        count = np.arange(share)
        drawn.append(members[count % len(members)] + size * (count // len(members)))
    return np.concatenate(drawn).astype(np.int32)[order]


def epoch_key(seed: int, epoch: int) -> Array:
    """The key from which an epoch's augmentation and dropout are drawn."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), epoch)


def turn(seed: int, epoch: int) -> Turn:
    """The turn of an epoch's batches."""
    return Turn(jax.random.fold_in(jax.random.key(seed), 3), jnp.asarray(epoch, jnp.int32))


def padded(order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut an order into batches from step `first` on: (ids, mask), the last one padded with image 0 and mask 0."""
    for start in range(first * batch_size, len(order), batch_size):
        ids = order[start : start + batch_size]
        missing = batch_size - len(ids)
        mask = np.concatenate([np.ones(len(ids), np.float32), np.zeros(missing, np.float32)])
        yield np.concatenate([ids, np.zeros(missing, ids.dtype)]), mask


def gather(images: Array, labels: Array, ids: Array, mask: Array, others: Array | None = None) -> Batch:
    """The batch of the given ids, and of others to mix with, from arrays that live on the device."""

    def taken(ids: Array) -> tuple[Array, Array]:
        places = ids % len(labels)
        return jnp.take(images, places, axis=0), jnp.take(labels, places)

    batch = Batch(*taken(ids), mask, ids)
    return batch if others is None else batch._replace(others=Others(*taken(others), others))
