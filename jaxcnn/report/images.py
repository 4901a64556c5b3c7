"""Pixels as pictures that a page holds."""

from __future__ import annotations

import base64
import io

import numpy as np

from jaxcnn.report.blocks import Picture
from jaxcnn.visualize.pictures import make_grid

LARGEST = 96  # pixels of a side that are shown one for one; a larger image is shrunk to it
KINDS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def picture(pixels: np.ndarray, alt: str) -> Picture:
    """Pixels uint8 (H, W, 1 to 4) as a picture: as PNG, to the bit; what is larger than LARGEST, shrunk, as JPEG."""
    image = _image(pixels)
    if max(pixels.shape[:2]) <= LARGEST:
        return Picture(_uri(image, "PNG", optimize=True), alt, *image.size)
    image.thumbnail((LARGEST, LARGEST))
    opaque = image.convert("L" if pixels.shape[-1] < 3 else "RGB")
    return Picture(_uri(opaque, "JPEG", quality=88, optimize=True), alt, *image.size)


def sprite(images: np.ndarray, columns: int, alt: str, padding: int = 1) -> Picture:
    """Images uint8 (N, h, w, 1 or 3) in rows of so many as one PNG; nothing is between them but the page."""
    opaque = np.concatenate([images, np.full_like(images[..., :1], 255)], -1)
    grid = make_grid(opaque, columns, padding, value=0)
    return Picture(_uri(_image(grid), "PNG", optimize=True), alt, grid.shape[1], grid.shape[0])


def thumbnail(pixels: np.ndarray, side: int = 32) -> np.ndarray:
    """Pixels uint8 (H, W, 1 or 3) of at most `side` a side: what is larger is shrunk."""
    if max(pixels.shape[:2]) <= side:
        return pixels
    image = _image(pixels)
    image.thumbnail((side, side))
    return np.asarray(image).reshape(image.height, image.width, -1)


def data_uri(text: str, kind: str = "text/csv") -> str:
    """A text as the address of a file that lies in the page."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _image(pixels: np.ndarray):
    from PIL import Image

    mode = KINDS[pixels.shape[-1]]
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def _uri(image, kind: str, **options: object) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
