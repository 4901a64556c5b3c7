"""What befalls images outside of a data set: noise, blur, little contrast, compression.

After Hendrycks and Dietterich 2019, with levels of its own, which the page tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxcnn.visualize.pictures import saved


class Corruption(NamedTuple):
    """A way to spoil an image uint8 (H, W, C), its levels from mild to strong, and what a level is."""

    name: str
    levels: tuple[float, ...]
    unit: str
    spoil: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def _noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return _bytes(image + rng.normal(0, level, image.shape))


def _blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return _bytes(gaussian_filter(image.astype(float), (level, level, 0), mode="nearest"))


def _contrast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean((0, 1), keepdims=True)
    return _bytes(mean + (image - mean) * level)


def _jpeg(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return saved(image, int(level))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


CORRUPTIONS = (
    Corruption("noise", (4, 8, 16, 32, 64), "deviation, of 255", _noise),
    Corruption("blur", (0.5, 1, 1.5, 2, 3), "deviation, in pixels", _blur),
    Corruption("contrast", (0.75, 0.5, 0.3, 0.2, 0.1), "of what it was", _contrast),
    Corruption("JPEG", (80, 50, 25, 10, 5), "quality", _jpeg),
)


def corrupted(images: np.ndarray, corruption: Corruption, level: float) -> np.ndarray:
    """Images uint8 (N, H, W, C) with a corruption; each image draws its own noise, the same at every level."""
    spoilt = [corruption.spoil(image, level, np.random.default_rng(number)) for number, image in enumerate(images)]
    return np.stack(spoilt)
