"""Augmentation and normalization on the device, inside the jitted step.

What happens to one image is a function of (seed, epoch, the image's id): not of the batch that it falls into.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation per channel of uint8 images (N, H, W, C), pixels taken in [0, 1].

    Exact: computed from the counts of the 256 values. A channel that never varies gets standard deviation 1.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(images), 4096):  # bincount makes 64-bit integers of all that it is given
            counts += np.bincount(images[start : start + 4096, ..., channel].ravel(), minlength=256)
        mean = float(counts @ values / counts.sum())
        deviation = float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
        means.append(mean)
        deviations.append(deviation or 1.0)
    return tuple(means), tuple(deviations)


def normalize(images: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """uint8 (N, H, W, C) to float32: (pixel/255 - mean) / std per channel."""
    scale = 1 / (255 * np.asarray(std, np.float64))
    shift = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
    return images.astype(jnp.float32) * scale.astype(np.float32) + shift.astype(np.float32)


def random_crop(images: Array, keys: Array, padding: int) -> Array:
    """Pad by zeros on all sides and cut the old size out again, at a place of each image's own key."""
    around = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

    def cut(image: Array, key: Array) -> Array:
        row, column = jax.random.randint(key, (2,), 0, 2 * padding + 1)
        return lax.dynamic_slice(image, (row, column, 0), images.shape[1:])

    return jax.vmap(cut)(around, keys)


def random_flip(images: Array, keys: Array) -> Array:
    """Mirror left to right those images whose own key says so, half of them."""
    mirrored = jax.vmap(jax.random.bernoulli)(keys)
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def augment(images: Array, ids: Array, rng: Array, crop_padding: int, flip: bool) -> Array:
    """Random crop and flip of uint8 images (N, H, W, C), each from the epoch's key folded with its id."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, ids)
    if crop_padding:
        images = random_crop(images, jax.vmap(jax.random.fold_in, (0, None))(keys, 0), crop_padding)
    if flip:
        images = random_flip(images, jax.vmap(jax.random.fold_in, (0, None))(keys, 1))
    return images
