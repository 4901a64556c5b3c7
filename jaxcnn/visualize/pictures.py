"""From numbers to colors, with a scale that is told and never hidden."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np

from jaxcnn.charts.panels import SIGNED

CLIPPED = 0.995  # of the absolute values lie within the scale, so that a single one does not hide the others


class Scaled(NamedTuple):
    """Pixels uint8 (H, W, 3), the value of the strongest color, and the share of values beyond it."""

    pixels: np.ndarray
    limit: float
    clipped: float


def make_grid(images: np.ndarray, columns: int, padding: int = 2, value: int = 255) -> np.ndarray:
    """Images uint8 (N, h, w, C) in rows of so many, with `padding` pixels of `value` around each: one image.

    Raises ValueError where there are none.
    """
    if images.ndim != 4 or not len(images) or columns < 1:
        raise ValueError(f"a grid has images (N, H, W, C) and at least one column, not {images.shape} and {columns}")
    count, height, width, channels = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    size = rows * (height + padding) + padding, columns * (width + padding) + padding, channels
    grid = np.full(size, value, np.uint8)
    for number, image in enumerate(images):
        top, left = (padding + place * (side + padding) for place, side in
                     zip(divmod(number, columns), (height, width), strict=True))  # fmt: skip
        grid[top : top + height, left : left + width] = image
    return grid


def around_gray(values: np.ndarray, limit: float | None = None) -> Scaled:
    """Signed values (..., 1 or 3) as levels around gray: 0 is gray, `limit` white, -limit black."""
    limit, clipped = _limits(values, limit)
    levels = np.rint(np.clip(127.5 * (1 + values / (limit or 1)), 0, 255)).astype(np.uint8)
    return Scaled(levels, limit, clipped)


def from_black(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Values (...) as gray levels of one scale, (..., 1), and the scale in words: black is 0, or the least below."""
    low, high = min(float(values.min()), 0.0), float(values.max())
    levels = np.rint(255 * (values - low) / ((high - low) or 1)).astype(np.uint8)
    return levels[..., None], f"black {low:.3g}, white {high:.3g}"


def overlay(image: np.ndarray, values: np.ndarray, limit: float | None = None) -> Scaled:
    """Signed values (H, W) in color over a gray image uint8 (H, W, C): red speaks for, blue against, none is gray."""
    from matplotlib import colormaps

    limit, clipped = _limits(values, limit)
    shares = np.clip(values / (limit or 1), -1, 1)
    colors = colormaps[SIGNED](0.5 + shares / 2)[..., :3]
    gray = 0.25 + 0.6 * image.mean(-1, keepdims=True) / 255
    opacity = 0.9 * np.abs(shares)[..., None] ** 0.7
    mixed = opacity * colors + (1 - opacity) * gray
    return Scaled(np.rint(255 * mixed).astype(np.uint8), limit, clipped)


def _limits(values: np.ndarray, limit: float | None) -> tuple[float, float]:
    sizes = np.abs(values)
    if limit is None:
        limit = float(np.quantile(sizes, CLIPPED, method="higher")) or float(sizes.max())
    return limit, float((sizes > limit).mean())


def saved(image: np.ndarray, quality: int | None = None) -> np.ndarray:
    """An image uint8 (H, W, 1 or 3) as it is read again from a PNG, or from a JPEG of a quality from 1 to 95."""
    from PIL import Image

    file, gray = io.BytesIO(), image.shape[-1] == 1
    drawn = Image.fromarray(image[..., 0] if gray else image)
    if quality is None:
        drawn.save(file, "PNG")
    else:
        drawn.save(file, "JPEG", quality=quality)
    read = np.asarray(Image.open(file))
    return read[..., None] if gray else read


WORDS = (
    ("upper left", "above", "upper right"),
    ("left", "in the middle", "right"),
    ("lower left", "below", "lower right"),
)


def where(values: np.ndarray) -> str:
    """In words the ninth of a map (H, W) whose positive values are the most."""
    positive = np.maximum(values, 0)
    parts = [np.array_split(row, 3, axis=1) for row in np.array_split(positive, 3, axis=0)]
    totals = np.array([[part.sum() for part in row] for row in parts])
    row, column = np.unravel_index(totals.argmax(), (3, 3))
    return WORDS[row][column]
