"""Pixels of one size and color to those that a network wants."""

from __future__ import annotations

from typing import Literal

import numpy as np

from jaxcnn.host.errors import InputError

Fit = Literal["crop", "pad", "squash"]
Interpolation = Literal["bilinear", "bicubic"]

WIDEST = 2**28  # pixels of an image while it is resized: only a line of pixels that is blown up has as many


def fit(
    image: np.ndarray,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    how: Fit = "crop",
    shorter: int | None = None,
) -> np.ndarray:
    """Give uint8 (H, W, C) the wanted (height, width) and channels; None leaves either as it is.

    Where the proportions differ, "crop" keeps the middle, "pad" adds black on both sides, and "squash" lets them go;
    where they agree, the three are the same. Resizes with Pillow's bilinear filter, which averages over all the
    pixels it shrinks (antialias); gray is ITU-R 601-2 luma: 0.299 R + 0.587 G + 0.114 B. `shorter` is for "crop": the
    shorter side's pixels when the middle is taken, as in torchvision's presets (256, for a size of 224x224).
    """
    if channels is not None and channels != image.shape[2]:
        image = _recolored(image, channels)
    if size is None or (shorter is None and tuple(size) == image.shape[:2]):
        return image
    if how == "squash":
        return resize(image, size)
    whole = covers(image, (shorter, shorter) if shorter else size) if how == "crop" else _within(image, size)
    return center(resize(image, whole), size)


def covers(image: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) of the image's proportions that covers `size`; a fraction of a pixel is cut off."""
    (height, width), (high, wide) = image.shape[:2], size
    if high * width >= wide * height:
        return high, high * width // height
    return wide * height // width, wide


def _within(image: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of the image's proportions, to the nearest pixel, within `size`."""
    (height, width), (high, wide) = image.shape[:2], size
    if high * width <= wide * height:
        return high, max(round(high * width / height), 1)
    return max(round(wide * height / width), 1), wide


def resize(image: np.ndarray, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> np.ndarray:
    """uint8 (H, W, C) to (*size, C), with antialias: "bilinear" or "bicubic". Raises InputError for absurd sizes."""
    if tuple(size) == image.shape[:2]:
        return image
    if size[0] * size[1] > WIDEST:
        height, width = image.shape[:2]
        raise InputError(
            f"{height}x{width} is too long and thin to be cropped: resized it has {size[0]}x{size[1]} pixels"
        )
    from PIL import Image

    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    picture = picture.resize((size[1], size[0]), filters[interpolation])
    return np.asarray(picture).reshape(*size, image.shape[2])


def center(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle (*size, C) of an image, and black where the image is smaller.

    Half a pixel goes to the even side, as in torchvision.
    """
    result = np.zeros((*size, image.shape[2]), image.dtype)
    spans = [_overlap(side, wanted) for side, wanted in zip(image.shape[:2], size, strict=True)]
    (rows, from_rows), (columns, from_columns) = spans
    result[rows, columns] = image[from_rows, from_columns]
    return result


def _overlap(side: int, wanted: int) -> tuple[slice, slice]:
    """Where in the result the image lies, and which part of the image that is, along one axis."""
    start = round((side - wanted) / 2)
    return slice(max(-start, 0), min(side - start, wanted)), slice(max(start, 0), min(start + wanted, side))


def _recolored(image: np.ndarray, channels: int) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L" if channels == 1 else "RGB")
    return np.asarray(picture).reshape(*image.shape[:2], -1)
