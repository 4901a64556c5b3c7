"""What a run shows while it trains and when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


class Reporter:
    """A progress bar over all steps of a run, and one line an epoch. Without a terminal, the lines alone."""

    def __init__(self, console: Console, progress: Progress, task: TaskID, epochs: int) -> None:
        self.console, self._progress, self._task, self._epochs = console, progress, task, epochs

    def step(self, epoch: int, step: int, loss: float, accuracy: float, images_per_second: float) -> None:
        """Show where training is: figures of the epoch so far."""
        speed = f"{images_per_second:,.0f} images/s" if images_per_second else ""
        self._progress.update(
            self._task,
            completed=step,
            description=f"epoch {epoch}/{self._epochs}",
            figures=f"loss {loss:.4f}  accuracy {accuracy:.2%}  {speed}",
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print one epoch's figures."""
        digits = len(str(self._epochs))
        text = (
            f"epoch {row['epoch']:>{digits}}/{self._epochs}"
            f"  train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:7.2%}"
        )
        if "test_accuracy" in row:
            text += f"  test loss {row['test_loss']:.4f} accuracy {row['test_accuracy']:7.2%}"
        text += f"  {row['images_per_second']:>8,.0f} images/s"
        self.console.print(Text(text), soft_wrap=True)


@contextmanager
def reporting(console: Console, epochs: int, steps: int, done: int) -> Iterator[Reporter]:
    """A live progress bar for `steps` steps, `done` of them already behind."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=60
    ) as bar:
        task = bar.add_task("compiling", total=steps, completed=done, figures="")
        yield Reporter(console, bar, task, epochs)


class Stopwatch:
    """How fast this process trains: images and seconds, without the first (compiling) step and without evaluation."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self._since: float | None = None
        self.images, self._seconds = 0, 0.0

    def start(self) -> None:
        """Begin to count."""
        self._since = time.perf_counter()

    def stop(self, images: int) -> None:
        """Count the images trained since `start`."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
            self.images += images
            self._since = None

    def speed(self, images: int = 0) -> float:
        """Images per second so far, with those trained since `start`; 0 before there are any."""
        running = time.perf_counter() - self._since if self._since is not None else 0.0
        seconds = self._seconds + running
        return (self.images + images) / seconds if seconds > 0 else 0.0


def confusion_text(confusion: np.ndarray, classes: tuple[str, ...]) -> str:
    """The confusion matrix as text, rows the true classes; for many classes, the commonest confusions instead."""
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


def show_result(
    console: Console, result: dict[str, Any], confusion: np.ndarray, classes: tuple[str, ...], folder: Path
) -> None:
    """Print how good the trained network is, where it errs, and where the files are."""
    table = Table("", "train", "test")
    table.add_row("accuracy", f"{result['train_accuracy']:.2%}", f"{result['test_accuracy']:.2%}")
    table.add_row("top-5 accuracy", f"{result['train_top5']:.2%}", f"{result['test_top5']:.2%}")
    table.add_row("loss (nats)", f"{result['train_loss']:.4f}", f"{result['test_loss']:.4f}")
    console.print(Text(f"{result['network']} on {result['dataset']}"), soft_wrap=True)
    console.print(table)
    console.print("confusion matrix of the test images")
    console.print(Text(confusion_text(confusion, classes)), soft_wrap=True)
    console.print()
    console.print(
        f"{result['steps']:,} steps in {result['seconds']:.1f} s, {result['images_per_second']:,.0f} images/s"
    )
    files = "result.json, metrics.jsonl, curves.png, confusion_matrix.png, checkpoints/"
    console.print(Text(f"files in {folder}/: {files}"), soft_wrap=True)
