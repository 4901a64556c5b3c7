"""Names of any kind as words in a picture."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.host.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LITERAL: dict[str, Any] = {"parse_math": False}  # of matplotlib's texts: between two "$" stands no formula but a price
LONGEST = 40  # characters of a name that leave room for the picture


def word(name: str) -> str:
    """A name that any font has letters for, or signs in their place, and that is not longer than the picture."""
    shown = printable(name)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def save(figure: Figure, path: Path | BytesIO) -> None:
    """Write a figure as a PNG, to a file or into memory.

    Letters that matplotlib's font lacks become boxes, of which nothing more is said.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(path, dpi=120, format="png")
