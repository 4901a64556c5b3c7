"""How a run went, over its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxcnn.charts.words import LITERAL, save, word
from jaxcnn.host.text import printable


class Curve(NamedTuple):
    """A column of a run's rows: "train_", "validation_", "test_" or nothing stands before its key; the scale makes its
    unit."""

    key: str
    label: str
    scale: float = 1.0


def draw_together(
    path: Path, runs: Sequence[tuple[str, Sequence[list[dict[str, Any]]]]], key: str, label: str, scale: float = 1.0
) -> None:  # fmt: skip
    """A figure of several kinds of runs over the epochs, as a PNG: the runs of one kind in one color."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    for number, (name, kind) in enumerate(runs):
        for count, rows in enumerate(kind):
            points = [(row["epoch"], scale * row[key]) for row in rows if key in row]
            if points:
                shown = word(name) if count == 0 else "_"  # matplotlib leaves such names out of the legend
                axis.plot(*zip(*points, strict=True), color=f"C{number}", marker=".", alpha=0.8, label=shown)
    axis.set_xlabel("epoch")
    axis.set_ylabel(label)
    axis.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)


def draw_rates(
    path: Path, rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], good: float
) -> None:  # fmt: skip
    """The loss over the learning rate, which grows from step to step, as a PNG; a line where a rate is good."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(rates, losses, color="C0", alpha=0.35, label="each step")
    axis.plot(rates, smoothed, color="C0", label="running mean")
    axis.axvline(good, color="C1", linestyle="--", label=f"{good:.1e}")
    axis.set_xscale("log")
    axis.set_ylim(0, 1.1 * max(smoothed[0], min(max(smoothed), 2 * smoothed[0])))
    axis.set_xlabel("learning rate")
    axis.set_ylabel("loss")
    axis.grid(alpha=0.3)
    axis.legend()
    save(figure, path)


def draw_curves(path: Path, rows: list[dict[str, Any]], curves: Sequence[Curve], title: str) -> None:
    """Figures over the epochs, of training and of what judges it, two beside each other, as a PNG."""
    from matplotlib.figure import Figure

    columns = min(2, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(5 * columns, 3.6 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    for axis, curve in zip(axes, curves, strict=False):
        for split, style in ("train", "--"), ("validation", "-"), ("test", "-"), ("", "-"):
            key = f"{split}_{curve.key}" if split else curve.key
            points = [(row["epoch"], curve.scale * row[key]) for row in rows if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), style, marker="." if len(points) < 30 else "", label=split)
        axis.set_xlabel("epoch")
        axis.set_ylabel(curve.label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[1]:
            axis.legend()
    figure.suptitle(printable(title), **LITERAL)
    save(figure, path)
