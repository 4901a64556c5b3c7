"""Pictures and bars beside each other, each with a title, a caption and its scale."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.charts.words import LITERAL, save, word
from jaxcnn.host.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

SIGNED = "RdBu_r"  # a color map that color-blind people can read
WIDTH, LINE, GAP, SCALE = 2.3, 0.15, 0.18, 0.32  # inches: of a picture, a line of text, between panels, of a scale
CHARACTERS = 40  # of a line under a picture


@dataclass(frozen=True)
class Picture:
    """Pixels uint8, (H, W, 1) or (H, W, 3).

    `limit` draws the scale of signed colors under it, from -limit to limit; `box`, a frame around its rows and columns
    [(top, bottom), (left, right)].
    """

    pixels: np.ndarray
    title: str = ""
    caption: str = ""
    limit: float | None = None
    box: Sequence[tuple[int, int]] | None = None


@dataclass(frozen=True)
class Bars:
    """Names with shares from 0 to 1, the first on top; that of number `right` is marked."""

    names: Sequence[str]
    shares: Sequence[float]
    title: str = ""
    right: int | None = None


Panel = Picture | Bars


def figure(panels: Sequence[Panel], columns: int, title: str = "", width: float = WIDTH) -> Image:
    """Panels in rows of so many, each `width` inches wide, as one image in color.

    Raises ValueError where there is no panel, or no column.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    if not panels or columns < 1:
        raise ValueError(f"a figure has at least one panel and one column, not {len(panels)} and {columns}")
    columns = min(columns, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(_parts(panel, width)[-1] for panel in row) + GAP for row in rows]
    head = 2 * GAP + (LINE if title else 0)
    total = columns * (width + GAP) + GAP, sum(heights) + head
    drawn = Figure(figsize=total)
    if title:
        drawn.text(0.5, 1 - GAP / total[1], printable(title), ha="center", va="center", fontsize=10, **LITERAL)
    top = head - GAP / 2
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            _place(drawn, panel, (GAP + column * (width + GAP), top), width, total)
        top += height
    data = io.BytesIO()
    save(drawn, data)
    return Image.open(data).convert("RGB")


def _parts(panel: Panel, width: float) -> tuple[float, float, float, float]:
    """Inches from the top of a panel to its picture, to what is under it, to its caption, and to its end."""
    titled = LINE * len(_lines(panel.title, width))
    if isinstance(panel, Bars):
        return titled, titled + 0.6 * width, titled + 0.6 * width + LINE, titled + 0.6 * width + LINE
    high, wide = panel.pixels.shape[:2]
    below = titled + width * high / wide + 0.04
    caption = below + (0 if panel.limit is None else SCALE)
    return titled, below, caption, caption + LINE * len(_lines(panel.caption, width))


def _lines(text: str, width: float) -> list[str]:
    most = round(CHARACTERS * width / WIDTH)
    return [line for part in text.splitlines() for line in textwrap.wrap(printable(part), most)]


def _place(drawn: Figure, panel: Panel, corner: tuple[float, float], width: float, total: tuple[float, float]) -> None:
    left, top = corner
    picture, below, caption, _ = _parts(panel, width)

    def axes(first: float, height: float, inset: float = 0.0) -> Axes:
        place = (left + inset) / total[0], 1 - (top + first + height) / total[1]
        return drawn.add_axes((*place, (width - inset) / total[0], height / total[1]))

    def write(lines: list[str], first: float, size: int) -> None:
        for number, line in enumerate(lines):
            at = left / total[0], 1 - (top + first + number * LINE) / total[1]
            drawn.text(*at, line, va="top", fontsize=size, **LITERAL)

    write(_lines(panel.title, width), 0, 8)
    match panel:
        case Bars():
            names = [word(name) for name in panel.names]
            longest = max(map(len, names))
            _draw_bars(axes(picture, below - picture, min(width / 2, 0.1 + 0.07 * longest)), panel, names)
        case Picture():
            _draw_picture(axes(picture, below - picture - 0.04), panel)
            write(_lines(panel.caption, width), caption, 7)
            if panel.limit is not None:
                _draw_scale(axes(below + 0.02, 0.07), panel.limit)


def _draw_bars(axis: Axes, panel: Bars, names: list[str]) -> None:
    at = range(len(names))
    axis.barh(at, panel.shares, 0.6, color=["#b2182b" if number == panel.right else "#4a6fa5" for number in at])
    most = round(CHARACTERS / 2)
    shown = [name if len(name) <= most else f"{name[: most - 1]}…" for name in names]
    axis.set_yticks(at, shown, fontsize=7, **LITERAL)
    for number, share in enumerate(panel.shares):
        axis.text(share + 0.02, number, f"{share:.1%}", va="center", fontsize=6)
    axis.set_xlim(0, 1.25)
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _draw_picture(axis: Axes, panel: Picture) -> None:
    from matplotlib.patches import Rectangle

    options: dict[str, Any] = {"interpolation": "nearest", "aspect": "auto"}
    axis.imshow(np.broadcast_to(panel.pixels, (*panel.pixels.shape[:2], 3)), **options)
    axis.set_axis_off()
    if panel.box is not None:
        (top, bottom), (left, right) = panel.box
        frame = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="#ff7f0e", lw=1.5)
        axis.add_patch(frame)


def _draw_scale(axis: Axes, limit: float) -> None:
    axis.imshow(np.linspace(0, 1, 256)[None], cmap=SIGNED, aspect="auto", extent=(-limit, limit, 0, 1))
    axis.set_yticks([])
    axis.set_xticks([-limit, 0, limit], [f"{end:.2g}" for end in (-limit, 0.0, limit)], fontsize=6)
    for label, side in zip(axis.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set_horizontalalignment(side)
    axis.tick_params(axis="x", length=2, pad=1)
