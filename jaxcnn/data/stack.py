"""From single images to one array of all."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from jaxcnn.data.config import DataConfig
from jaxcnn.data.resize import fit
from jaxcnn.host.errors import InputError
from jaxcnn.host.memory import require_memory

Row = tuple[int, str, np.ndarray]  # an image's place in the array, its name, its pixels

SMALLER = "give a smaller --data.size, or a --data.train-fraction"


def stack(count: int, images: Iterable[Row], config: DataConfig) -> np.ndarray:
    """One array uint8 (count, H, W, C) of (row, name, image) triples, in any order, each fitted as the config says.

    Raises InputError where one is missing, where two (named) differ in size or channels, and before anything is
    read that memory cannot hold.
    """
    stacked, first, found = None, "", np.zeros(count, bool)
    for row, name, image in images:
        try:
            pixels = fit(image, config.size, config.channels, config.fit, config.resize)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if stacked is None:
            # All at once, and here where the first image has told the size: it takes memory only as it is filled.
            require_images(count, pixels.shape)
            stacked, first = np.empty((count, *pixels.shape), np.uint8), name
        if pixels.shape != stacked.shape[1:]:
            raise InputError(_difference(first, stacked.shape[1:], name, pixels.shape))
        stacked[row] = pixels
        found[row] = True
    if stacked is None or not found.all():
        raise InputError(f"of {count} images only {found.sum()} were still there to be read")
    return stacked


def require_images(count: int, shape: tuple[int, ...]) -> None:
    """Raise InputError where memory cannot hold `count` images uint8 of this (H, W, C)."""
    size = "x".join(map(str, shape))
    require_memory(count * math.prod(shape), f"{count:,} images of {size}", SMALLER)


def _difference(first: str, shape: tuple[int, ...], second: str, other: tuple[int, ...]) -> str:
    def words(shape: tuple[int, ...]) -> str:
        return f"{shape[0]}x{shape[1]} with {shape[2]} channel{'s' if shape[2] > 1 else ''}"

    size = ["--data.size H W"] if shape[:2] != other[:2] else []
    channels = ["--data.channels 1 or 3"] if shape[2] != other[2] else []
    flags = " and ".join(size + channels)
    return f"{first} is {words(shape)}, but {second} is {words(other)}: give {flags}"
