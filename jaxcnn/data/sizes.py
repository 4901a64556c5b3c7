"""The sizes at which training images are seen, from epoch to epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jaxcnn.host.errors import InputError
from jaxcnn.host.settings import require

LARGEST_SIDE = 8192  # pixels: one such image takes 200 MB before any layer
Size = tuple[int, int]


def train_sizes(words: Sequence[str]) -> dict[int, Size]:
    """The (height, width) of the images after so many epochs, from "0=96" and "10=96x128". Raises InputError."""
    sizes: dict[int, Size] = {}
    for word in words:
        found = re.fullmatch(r"(\d+)=([1-9]\d*)(?:x([1-9]\d*))?", word)
        if found is None:
            raise InputError(f"data.train_sizes are EPOCH=SIDE or EPOCH=HEIGHTxWIDTH, as 0=96 10=96x128, not {word!r}")
        epoch, size = int(found[1]), (int(found[2]), int(found[3] or found[2]))
        require(not sizes or epoch > max(sizes), f"data.train_sizes come in the order of their epochs, unlike {word}")
        require(max(size) <= LARGEST_SIDE, f"data.train_sizes are at most {LARGEST_SIDE} pixels, unlike {word}")
        sizes[epoch] = size
    return sizes


def size_after(epochs: int, sizes: dict[int, Size]) -> Size | None:
    """The size of the images after so many epochs; None where it is the one that they have."""
    begun = [size for epoch, size in sizes.items() if epoch <= epochs]
    return begun[-1] if begun else None


def told(sizes: dict[int, Size]) -> str:
    """The sizes in words, with epochs as a run shows them, from 1."""
    parts = (f"at {height}x{width} from epoch {epoch + 1} on" for epoch, (height, width) in sizes.items())
    return f"training images are seen {', '.join(parts)}"
