"""From bytes to the numbers that a network reads."""

from __future__ import annotations

import jax
import numpy as np
from jax import Array

from jaxcnn.data.streamed import Streamed

ENOUGH = 1024  # images of a stream by which its pixels are judged


def sample(images: np.ndarray | Streamed) -> np.ndarray:
    """Images that stand for all of a data set: all, or of a stream some, evenly spaced."""
    if isinstance(images, np.ndarray):
        return images
    return np.asarray(images[np.linspace(0, len(images) - 1, min(ENOUGH, len(images))).astype(int)])


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation per channel of uint8 images (N, H, W, C), pixels taken in [0, 1].

    Exact: computed from the counts of the 256 values. A channel that never varies gets standard deviation 1.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    counted = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), 4096):  # bincount makes 64-bit integers of all that it is given
        some = images[start : start + 4096]
        for channel, counts in enumerate(counted):
            counts += np.bincount(some[..., channel].ravel(), minlength=256)
    for counts in counted:
        mean = float(counts @ values / counts.sum())
        deviation = float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))
        means.append(mean)
        deviations.append(deviation or 1.0)
    return tuple(means), tuple(deviations)


def normalize(images: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """uint8 (N, H, W, C) to JAX's default float, float32 unless x64 is on: (pixel/255 - mean) / std per channel."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    scale = 1 / (255 * np.asarray(std, np.float64))
    shift = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
    return images.astype(dtype) * scale.astype(dtype) + shift.astype(dtype)


def renormalize(
    images: Array, old: tuple[tuple[float, ...], tuple[float, ...]], new: tuple[tuple[float, ...], tuple[float, ...]]
) -> Array:  # fmt: skip
    """Images (N, H, W, C) that were normalized by one (mean, std), as if it had been by another."""
    if old == new:
        return images
    (mean, std), (new_mean, new_std) = np.asarray(old, np.float64), np.asarray(new, np.float64)
    return images * (std / new_std).astype(images.dtype) + ((mean - new_mean) / new_std).astype(images.dtype)
