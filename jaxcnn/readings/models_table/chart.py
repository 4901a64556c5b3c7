"""Accuracy against operations, with bubbles as large as the networks (after Canziani, Paszke and Culurciello 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxcnn.host.errors import InputError
from jaxcnn.readings.models_table import Known

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AREA = 16.0  # of a bubble, in square points per million parameters
_GRAYS = (14, 15)  # of tab20: the legend's color
_KINDS = ("png", "svg", "pdf")


def draw(table: Sequence[Known], file: Path) -> int:
    """Draw the networks whose published top-1 accuracy is known to a PNG, SVG or PDF file; returns how many there are.

    Networks of one file of the zoo share a color. Raises InputError for a file of another kind or in no folder, and
    where no accuracy is known.
    """
    if file.suffix[1:].lower() not in _KINDS:
        raise InputError(f"the chart is a file of kind {', '.join(_KINDS)}, not {file}")
    if not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent} for the chart")
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = sorted((one for one in table if one.top1 is not None), key=lambda one: -one.parameters)  # large ones behind
    if not known:
        raise InputError("there is no network with a published accuracy to draw")
    families = sorted({one.family for one in known})
    hues = [colormaps["tab20"](index) for index in range(20) if index not in _GRAYS]
    colors = {family: hues[index % len(hues)] for index, family in enumerate(families)}
    figure = Figure(figsize=(15, 9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="multiply-accumulates per image, millions", ylabel="top-1 accuracy on ImageNet, %")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for one in known:
        axes.scatter(
            *_place(one), s=AREA * one.parameters / 1e6, color=colors[one.family], alpha=0.55,
            edgecolors="white", linewidths=0.8,
        )  # fmt: skip
        axes.plot(*_place(one), ".", color="#555555", markersize=3)
    for millions in (10, 50, 150):
        axes.scatter([], [], s=AREA * millions, color="#bbbbbb", label=f"{millions} million")
    axes.legend(title="parameters", loc="lower right", labelspacing=3.2, borderpad=2, handletextpad=2, frameon=False)
    axes.margins(0.06, 0.08)
    figure.draw_without_rendering()
    _label(axes, known)
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise InputError(f"the chart {file} cannot be written: {error.strerror}") from error
    return len(known)


def _place(one: Known) -> tuple[float, float]:
    return one.macs / 1e6, one.top1 or 0


def _label(axes: Axes, known: Sequence[Known]) -> None:
    """Every network's name beside its bubble: of the places around it, the one where it covers least."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    pixel = 72 / figure.dpi  # in points
    centers = axes.transData.transform(np.array([_place(one) for one in known])) * pixel
    radii = np.sqrt([AREA * one.parameters / 1e6 / np.pi for one in known])
    taken = [(x - 2, y - 2, x + 2, y + 2) for x, y in centers]  # no name may cover a center
    bubbles = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(centers, 0.8 * radii, strict=True)]
    frame = np.array(axes.get_window_extent().extents) * pixel
    for one, (x, y), radius in sorted(zip(known, centers, radii, strict=True), key=lambda each: each[0].macs):
        width, height = 4.4 * len(one.name) + 2, 9.0  # of the name, in points at size 8
        best, least, apart = None, np.inf, 0.0
        for distance in (2, 6, 12, 20, 30, 42, 56, 72):
            for angle in np.arange(0, 2 * np.pi, np.pi / 8):
                across, up = np.cos(angle), np.sin(angle)
                out = min(radius, 20) + distance
                center = x + across * (out + width / 2), y + up * (out + height / 2)
                box = (center[0] - width / 2, center[1] - height / 2, center[0] + width / 2, center[1] + height / 2)
                names, others = (sum(_overlap(box, other) for other in boxes) for boxes in (taken, bubbles))
                cost = distance + 10 * names + 0.04 * others + 1e6 * (not _within(box, frame))
                if cost < least:
                    best, least, apart = box, cost, out
        assert best is not None
        taken.append(best)
        middle = (best[0] + best[2]) / 2 - x, (best[1] + best[3]) / 2 - y
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            one.name, _place(one), xytext=middle, textcoords="offset points", fontsize=8,
            ha="center", va="center", color="#222222", arrowprops=line if apart > 9 else None,
        )  # fmt: skip


def _overlap(first: Sequence[float], second: Sequence[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return width * height if width > 0 and height > 0 else 0


def _within(box: Sequence[float], frame: np.ndarray) -> bool:
    return bool(box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3])
