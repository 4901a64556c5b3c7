"""A random resized crop of a photograph as it lies in its file, before anything has made it smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from jaxcnn.data.augment.resized_crop import CANDIDATES, ResizedCrop

Box = tuple[int, int, int, int]  # top, left, height, width


def from_files(crop: ResizedCrop, seed: int, epoch: int) -> Callable[[int], Callable[[int, int], Box]]:
    """The boxes of an epoch: of an image's id, then of its height and width, by the rule of `ResizedCrop`.

    A box is a function of (seed, epoch, id), and is drawn without JAX, for which every size would be another program.
    """

    def of_image(number: int) -> Callable[[int, int], Box]:
        return lambda height, width: box(crop, _uniform(seed, epoch, number), height, width)

    return of_image


def _uniform(seed: int, epoch: int, number: int) -> Iterator[float]:
    """Numbers in [0, 1). NumPy promises that the raw numbers of a bit generator never change."""
    raw = np.random.Philox(key=[(seed << 32) | epoch, number]).random_raw
    while True:
        yield from (raw(4) >> 11) * 2.0**-53


def box(crop: ResizedCrop, uniform: Iterator[float], height: int, width: int) -> Box:
    """The first of ten boxes that fits into an image of that size, else the largest allowed one in the middle."""
    (least, most), (narrow, wide) = crop.scale, map(math.log, crop.ratio)
    for _ in range(CANDIDATES):
        area = height * width * (least + (most - least) * next(uniform))
        ratio = math.exp(narrow + (wide - narrow) * next(uniform))
        high, across = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < high <= height and 0 < across <= width:
            top, left = int(next(uniform) * (height - high + 1)), int(next(uniform) * (width - across + 1))
            return top, left, high, across
    return crop.middle(height, width)
