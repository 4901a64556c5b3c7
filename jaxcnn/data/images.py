"""From the bytes of one file to upright pixels of 8 bits: the one decoder of training, prediction and weights."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePath
from typing import IO, TYPE_CHECKING

import numpy as np

from jaxcnn.data.resize import Fit, fit
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded
from jaxcnn.host.text import bytes_text, printable

if TYPE_CHECKING:
    from PIL import Image

LARGEST = 2**29  # bytes of one file that are read at most: as many as the largest image that Pillow opens has in RGB
ORIENTATION = 0x0112  # EXIF's tag
SILENCE = ("ignore", None, Warning, re.compile(r"PIL\b"), 0)  # as it stands among Python's filters
HEAD = 2**16  # bytes that tell an image from another file

# Pillow only recognizes these, or runs another program to read them (Ghostscript for EPS).
NO_PIXELS = {"BUFR", "EPS", "FPX", "GRIB", "HDF5", "IPTC", "MIC", "MPEG", "PDF", "WMF"}
# Their first bytes are like nobody else's. Of a BMP's two, "BM", the whole header must make sense.
UNMISTAKABLE = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "QOI", "PSD", "ICNS", "DDS")


def read_image(
    path: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    how: Fit = "crop",
    shorter: int | None = None,
) -> np.ndarray:
    """Read one image file as uint8 (H, W, C), upright, fitted as `fit` does.

    Raises InputError, naming the file, where it is missing, too large, damaged or not an image.
    """
    name = printable(os.fspath(path))
    try:
        with expanded(path).open("rb") as file:
            known = os.fstat(file.fileno())
            data = read_bytes(file, name, known.st_size if stat.S_ISREG(known.st_mode) else None)
    except FileNotFoundError:
        raise InputError(f"there is no image {name}") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error
    return decode(data, name, size, channels, how, shorter)


def read_bytes(file: IO[bytes], name: str, size: int | None = None) -> bytes:
    """All bytes of a file, which has `size` as its header says; None reads what comes, as from a pipe.

    Raises InputError, with `name`, for more than LARGEST bytes; of what is no image only its HEAD is read.
    """
    if size is None:
        data = file.read(HEAD)
        if len(data) == HEAD and is_image(name, data):
            data += file.read(LARGEST + 1 - HEAD)
    elif size > LARGEST:
        raise InputError(_too_large(name, size))
    else:
        data = file.read(size + 1)
    if len(data) > LARGEST:
        raise InputError(_too_large(name, len(data)))
    return data


def _too_large(name: str, size: int) -> str:
    return f"{name} has {bytes_text(size)}: of one image at most {bytes_text(LARGEST)} are read"


def decode(
    data: bytes,
    name: str,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    how: Fit = "crop",
    shorter: int | None = None,
) -> np.ndarray:
    """Decode any image that Pillow reads, its first frame, to uint8 (H, W, C), fitted as `fit` does.

    C is 1 for a gray image, else 3, where `channels` does not say. The format is that of the content, whatever the
    name. Transparency is dropped. A photograph is turned upright as its EXIF orientation says; 16-bit gray is scaled
    to 8 bits. Raises InputError, with `name`, for bytes that are no image or not all of one.
    """

    def fitted(image: Image.Image) -> np.ndarray:
        _load(image)
        return fit(_pixels(image), size, channels, how, shorter)

    return _decoded(data, name, fitted)


def decode_box(
    data: bytes, name: str, cut: Callable[[int, int], tuple[int, int, int, int]], size: tuple[int, int], channels: int
) -> np.ndarray:  # fmt: skip
    """Decode a part of an image, and resize it with antialias: uint8 (*size, `channels`).

    `cut(height, width)` of the upright image gives the part: top, left, height, width. Of a JPEG of which a part
    larger than twice `size` is wanted, fewer pixels are decoded in the first place, at least as many as `size` has.
    Raises InputError as `decode` does.
    """
    from PIL import Image

    def part(image: Image.Image) -> np.ndarray:
        width, height = image.size[::-1] if _lies_on_its_side(image) else image.size
        top, left, high, wide = cut(height, width)
        smaller, full = min(high // size[0], wide // size[1]), image.width
        drafted = image.draft(None, (image.width // smaller, image.height // smaller)) if smaller > 1 else None
        scale = drafted[1][2] / full if drafted else 1.0  # of the pixels; of their number only to the next one
        _load(image)
        picture = _picture(image)
        box = left * scale, top * scale, (left + wide) * scale, (top + high) * scale
        if scale == 1:  # as torchvision, whose weights Pillow rounds otherwise than those of a box
            picture, box = picture.crop((left, top, left + wide, top + high)), None
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        return fit(np.asarray(picture).reshape(*size, -1), channels=channels)

    return _decoded(data, name, part)


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether height and width change places where an image is turned upright."""
    with contextlib.suppress(Exception):
        return image.getexif().get(ORIENTATION, 1) > 4
    return False


def _load(image: Image.Image) -> None:
    """Decode an image's pixels, and turn them upright."""
    from PIL import ImageOps

    image.load()
    # Cameras and editors write broken EXIF beside sound pixels; that must not lose the image.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _decoded(data: bytes, name: str, take: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """What `take` makes of the image that bytes hold. Raises InputError, with `name`, where they hold none."""
    from PIL import Image, UnidentifiedImageError

    formats = _formats(PurePath(name).suffix.lower())
    try:
        with _opened(data, formats) as image:
            return take(image)
    except UnidentifiedImageError:
        raise InputError(f"{name} cannot be read as an image: {_instead(data)}") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large an image: {error}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # for broken bytes Pillow raises OSError, SyntaxError, ValueError, ...
        raise InputError(f"{name} is a damaged image: {error}") from error


def _instead(data: bytes) -> str:
    if data.startswith(b"version https://git-lfs"):
        return "it is a pointer of git-lfs, in place of the image: `git lfs pull` fetches it"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "it is a HEIC photograph, which Pillow does not read: convert it to JPEG"
    if not data:
        return "it is empty"
    return "Pillow knows no such format" + (f" ({len(data)} bytes)" if len(data) < HEAD else "")


def _pixels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(_picture(image))
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _picture(image: Image.Image) -> Image.Image:
    """A loaded image in 8 bits, gray (L) or RGB."""
    from PIL import Image

    if image.mode.startswith("I"):
        # 16-bit gray. Pillow's own conversion to 8 bits clips at 255 or drops bits, depending on its version.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(f"its values go from {values.min()} to {values.max()}, where 8 or 16 bits belong")
        return Image.fromarray(np.round(values / 257).astype(np.uint8))
    if image.mode == "F":
        raise InputError("its values are floating-point numbers, which do not say what is white; 8 or 16 bits do")
    wanted = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


@contextlib.contextmanager
def _opened(data: bytes, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """An image, without Pillow's warnings of odd files, in any thread.

    `warnings.catch_warnings` is no way to that: what one thread puts back, another has changed.
    """
    from PIL import Image

    if SILENCE not in warnings.filters:
        warnings.filterwarnings("ignore", module=SILENCE[3].pattern)
    with Image.open(io.BytesIO(data), formats=formats) as image:
        yield image


def is_image_name(name: str) -> bool:
    """Whether the name ends as an image's does: .jpg, .jfif, .webp, .bmp, ..., in capitals or not."""
    return PurePath(name).suffix.lower() in _endings()


def is_image(name: str, head: bytes) -> bool:
    """Whether a file is meant to be an image, by its name or by its first bytes (HEAD of them, or all)."""
    from PIL import Image

    if is_image_name(name):
        return True
    accepts = (Image.OPEN[kind][1] for kind in UNMISTAKABLE if kind in Image.OPEN)
    if any(accept and accept(head[:16]) for accept in accepts):
        return True
    try:
        with _opened(head, ("BMP",)):
            return True
    except Exception:  # Pillow's own for what is none, and whatever its reader meets
        return False


@cache
def _endings() -> dict[str, str]:
    """The formats that Pillow reads, by the endings of their files' names."""
    from PIL import Image

    kinds = Image.registered_extensions()
    readable = {*Image.ID, "MPO"} - NO_PIXELS  # MPO, a JPEG of several frames, is read as a JPEG
    return {ending: kind for ending, kind in kinds.items() if kind in readable}


@cache
def _formats(ending: str) -> tuple[str, ...]:
    """The formats that a file may be of: those that its content tells, and the one that only its name can."""
    from PIL import Image

    named = _endings().get(ending)
    kinds = [kind for kind in (*UNMISTAKABLE, *Image.ID) if kind in Image.OPEN and kind not in NO_PIXELS]
    return tuple(kind for kind in dict.fromkeys(kinds) if Image.OPEN[kind][1] or kind == named)
