"""Which class was taken for which: as a picture and as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxcnn.charts.words import LITERAL, save, word
from jaxcnn.host.text import printable


def draw_confusion(path: Path, confusion: np.ndarray, classes: tuple[str, ...], title: str) -> None:
    """The confusion matrix as a PNG: rows are the true classes, shaded by the share of the row."""
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count = len(classes)
    side = min(14.0, 3 + 0.5 * count)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    # a root, so that rare errors are seen beside a nearly perfect diagonal
    image = axis.imshow(share, cmap="Blues", norm=PowerNorm(0.4, 0, 1))
    figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8)
    if count <= 40:
        names = [word(name) for name in classes]
        axis.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 2 else 0, **LITERAL)
        axis.set_yticks(range(count), names, **LITERAL)
    if count <= 20:
        for row, column in np.ndindex(count, count):
            if confusion[row, column]:
                color = "white" if share[row, column] > 0.25 else "black"
                axis.text(
                    column,
                    row,
                    str(confusion[row, column]),
                    ha="center",
                    va="center",
                    color=color,
                    fontsize=8,
                )
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(printable(title), **LITERAL)
    save(figure, path)


def confusion_text(confusion: np.ndarray, classes: tuple[str, ...]) -> str:
    """The confusion matrix as text, rows the true classes; for many classes, the commonest confusions instead."""
    classes = tuple(map(printable, classes))
    if len(classes) > 20:
        wrong = np.where(np.eye(len(classes), dtype=bool), 0, confusion)
        worst = np.argsort(wrong, axis=None)[::-1][:10]
        pairs = [np.unravel_index(index, wrong.shape) for index in worst]
        lines = [f"{wrong[t, p]:>6}  {classes[t]} taken for {classes[p]}" for t, p in pairs if wrong[t, p]]
        return "commonest confusions\n" + "\n".join(lines or ["  none"])
    longest = max(map(len, classes))
    heads = [name if longest <= 3 else str(number) for number, name in enumerate(classes)]
    rows = [f"{number} {name}" if longest > 3 else name for number, name in enumerate(classes)]
    wide, cell = max(4, *map(len, rows)), max(3, *map(len, heads), len(str(confusion.max())))
    lines = [f"{'true':<{wide}} | " + " ".join(f"{head:>{cell}}" for head in heads) + "  predicted"]
    lines.append("-" * wide + "-+-" + "-" * ((cell + 1) * len(heads) - 1))
    for name, counts in zip(rows, confusion, strict=True):
        lines.append(f"{name:<{wide}} | " + " ".join(f"{count or '.':>{cell}}" for count in counts))
    return "\n".join(lines)
