"""What a run shows while it trains and when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from jaxcnn.tasks import Task


class Figure(NamedTuple):
    """A column of the lines that are printed: its head, how wide it is, and what stands in it."""

    head: str
    width: int
    text: str = ""


class Reporter:
    """A progress bar over all steps of a run, and one line an epoch. Without a terminal, the lines alone, which then
    say how much time is left."""

    def __init__(self, console: Console, progress: Progress, bar: TaskID, epochs: int, task: Task, judge: str) -> None:
        self.console, self._progress, self._bar, self._epochs, self._judge = console, progress, bar, epochs, judge
        self._steps = progress.tasks[bar].total or 0
        self._since = progress.tasks[bar].completed, time.perf_counter()  # a step, and when it was done
        self._shown = (task.loss, *task.metrics[:1])
        self._headed = False

    def step(self, epoch: int, step: int, metrics: dict[str, float], images_per_second: float) -> None:
        """Show where training is: figures of the epoch so far."""
        given = [metric for metric in self._shown if metric.key in metrics]
        shown = [f"{metric.label} {metric.text(metrics[metric.key])}" for metric in given]
        shown += [f"{images_per_second:,.0f} images/s"] if images_per_second else []
        self._progress.update(
            self._bar, completed=step, description=f"epoch {epoch}/{self._epochs}", figures="  ".join(shown)
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print one epoch's figures; before the first, what they are."""
        name = f"epoch {row['epoch']:>{len(str(self._epochs))}}/{self._epochs}"
        figures = self._figures(row)
        if not self.console.is_terminal:
            figures.append(Figure("left", len("00:00:00"), self._left(row["step"])))
        if not self._headed:
            self._line(" " * len(name), [figure._replace(text=figure.head) for figure in figures])
            self._headed = True
        self._line(name, figures)

    def _figures(self, row: dict[str, Any]) -> list[Figure]:
        figures = []
        for split in "train", self._judge:
            for metric in self._shown:
                head = f"{split} {metric.label}" if metric is self._shown[0] else metric.label
                key = f"{split}_{metric.key}"
                figures.append(Figure(head, max(len(head), metric.width), metric.text(row[key]) if key in row else ""))
        return [*figures, Figure("images/s", len("images/s"), f"{row['images_per_second']:,.0f}")]

    def _left(self, step: int) -> str:
        """How long the steps after this one will take, at the pace since the first line, evaluations included; in the
        first line at that of the first epoch, which compiles."""
        (before, then), now = self._since, time.perf_counter()
        if not self._headed:
            self._since = step, now
        seconds = round((self._steps - step) * (now - then) / max(step - before, 1))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    def _line(self, name: str, figures: list[Figure]) -> None:
        cells = "".join(f"  {figure.text:>{figure.width}}" for figure in figures)
        self.console.print(Text(f"{name}{cells}"), soft_wrap=True)


@contextmanager
def reporting(
    console: Console, task: Task, epochs: int, steps: int, done: int, judge: str
) -> Iterator[Reporter]:  # fmt: skip
    """A live progress bar for `steps` steps, `done` of them already behind; it is as long as the figures let it be.

    Each epoch is judged by the images called `judge`.
    """
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(max_width=40, ratio=1)),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        TextColumn("left", table_column=Column(no_wrap=True)),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=60,
        expand=True,
    ) as bar:  # fmt: skip
        number = bar.add_task("compiling", total=steps, completed=done, figures="")
        yield Reporter(console, bar, number, epochs, task, judge)


def tell(console: Console, text: str) -> None:
    """Print a sentence: on a terminal in lines that fit it, broken between words; elsewhere in one line."""
    console.print(Text(text), soft_wrap=not console.is_terminal)


@contextmanager
def drawing(console: Console) -> Iterator[None]:
    """Pictures that cannot be drawn are a line on the console: what they would show is in the files beside them."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        tell(console, f"not every picture could be drawn: {type(error).__name__}: {reason}")


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

    def leave_out(self, seconds: float) -> None:
        """Do not count seconds that have gone since `start` without training."""
        if self._since is not None:
            self._since += seconds

    def speed(self, images: int = 0) -> float:
        """Images per second so far, with those trained since `start`; 0 before there are any."""
        running = time.perf_counter() - self._since if self._since is not None else 0.0
        seconds = self._seconds + running
        return (self.images + images) / seconds if seconds > 0 else 0.0


def show_result(console: Console, task: Task, result: dict[str, Any], text: str, files: list[str]) -> None:
    """Print how good the trained network is, what the task has to say of it, and where the files are."""
    splits = [split for split in ("train", "validation", "test") if f"{split}_loss" in result]
    table = Table("", *splits)
    for metric in (*task.metrics, task.loss):
        if f"test_{metric.key}" in result:
            unit = f" ({metric.unit})" if metric.unit == "nats" else ""
            table.add_row(metric.label + unit, *(metric.text(result[f"{split}_{metric.key}"]) for split in splits))
    tell(console, f"{result['network']} on {result['dataset']}")
    console.print(table)
    if "views" in result:
        one = {key.removeprefix("test_one_view_"): value for key, value in result.items()}
        tell(console, f"the test images by the mean of {result['views']} views; by one alone: {task.told(one)}")
    if "best_epoch" in result:
        tell(console, f"of epoch {result['best_epoch']}, the best by the validation images")
    if text:
        console.print(Text(text), soft_wrap=True)
        console.print()
    console.print(
        f"{result['steps']:,} steps in {result['seconds']:.1f} s, {result['images_per_second']:,.0f} images/s"
    )
    tell(console, f"files in {files[0]}/: {', '.join(files[1:])}" if files else "a dry run: nothing is kept")
