"""From a file's bytes to pixels, and from single images to one array."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = (".jpg", ".jpeg", ".png")


def read_image(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, channels: int | None = None
) -> np.ndarray:
    """Read one JPEG or PNG file as uint8 (H, W, C), upright, resized and recolored as `fit` does.

    Raises InputError, naming the file, where it is missing, truncated or not an image.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{os.fspath(path)} cannot be read: {error.strerror or error}") from error
    return fit(decode(data, os.fspath(path)), size, channels)


def decode(data: bytes, name: str) -> np.ndarray:
    """Decode a JPEG or PNG to uint8 (H, W, C): C is 1 for a gray image, else 3; transparency is dropped.

    A photograph is turned upright as its EXIF orientation says; 16-bit gray is scaled to 8 bits. Raises
    InputError, with `name`, for bytes that are no image or not all of one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            image.load()
            # Cameras and editors write broken EXIF beside sound pixels; that must not lose the image.
            with contextlib.suppress(Exception):
                ImageOps.exif_transpose(image, in_place=True)
            return _pixels(image)
    except UnidentifiedImageError:
        raise InputError(f"{name} is not a JPEG or PNG image ({len(data)} bytes)") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large an image: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # for broken bytes Pillow raises OSError, SyntaxError, ValueError, ...
        raise InputError(f"{name} is a damaged image: {error}") from error


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        # 16-bit gray. Pillow's own conversion to 8 bits clips at 255 or drops bits, depending on its version.
        return np.round(np.asarray(image).clip(0, 65535) / 257).astype(np.uint8)[..., np.newaxis]
    gray = image.mode in ("1", "L", "LA", "La")
    pixels = np.asarray(image.convert("L" if gray else "RGB"))
    return pixels[..., np.newaxis] if gray else pixels


def fit(image: np.ndarray, size: tuple[int, int] | None = None, channels: int | None = None) -> np.ndarray:
    """Give uint8 (H, W, C) the wanted (height, width) and channels; None leaves either as it is.

    Resizes with Pillow's bilinear filter, which averages over all the pixels it shrinks (antialias); gray is
    ITU-R 601-2 luma: 0.299 R + 0.587 G + 0.114 B.
    """
    recolor = channels is not None and channels != image.shape[2]
    resize = size is not None and tuple(size) != image.shape[:2]
    if not (recolor or resize):
        return image
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if recolor:
        picture = picture.convert("L" if channels == 1 else "RGB")
    if resize and size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def stack(
    count: int,
    images: Iterable[tuple[int, str, np.ndarray]],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """One array uint8 (count, H, W, C) of (row, name, image) triples, in any order, each put through `fit`.

    Raises InputError, naming two images, where they differ in size or channels.
    """
    stacked, first, filled = None, "", np.zeros(count, bool)
    for row, name, image in images:
        pixels = fit(image, size, channels)
        if stacked is None:
            stacked, first = np.empty((count, *pixels.shape), np.uint8), name
        if pixels.shape != stacked.shape[1:]:
            raise InputError(_difference(first, stacked.shape[1:], name, pixels.shape))
        stacked[row] = pixels
        filled[row] = True
    if stacked is None or not filled.all():
        raise InputError(f"of {count} images only {filled.sum()} were still there to be read")
    return stacked


def _difference(first: str, shape: tuple[int, ...], second: str, other: tuple[int, ...]) -> str:
    def words(shape: tuple[int, ...]) -> str:
        return f"{shape[0]}x{shape[1]} with {shape[2]} channel{'s' if shape[2] > 1 else ''}"

    size = ["--data.size H W"] if shape[:2] != other[:2] else []
    channels = ["--data.channels 1 or 3"] if shape[2] != other[2] else []
    flags = " and ".join(size + channels)
    return f"{first} is {words(shape)}, but {second} is {words(other)}: give {flags}"
