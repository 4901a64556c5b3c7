"""What a training shows fits 80 columns, in the lines of its epochs and in the live one."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from jaxcnn.tasks import Classification, Reconstruction, Task
from jaxcnn.training import progress
from jaxcnn.training.progress import reporting, tell

ROW = {
    "epoch": 7, "step": 100, "train_loss": 0.12345, "train_accuracy": 0.9876, "test_loss": 12.34567,
    "test_accuracy": 1.0, "test_top5": 1.0, "images_per_second": 123456.7, "seconds": 9.0,
}  # fmt: skip
TASK = Classification()


def shown(terminal: bool, width: int, task: Task = TASK, epochs: int = 100) -> str:
    """What two epochs print, the first without an evaluation, and a step between."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None, _environ={})
    with reporting(console, task, epochs, steps=12_345_678, done=0, judge="test") as report:
        report.epoch({key: value for key, value in ROW.items() if not key.startswith("test_")})
        report.step(8, 1_234_567, {"loss": 0.5, "accuracy": 0.25, "top5": 0.75}, 123456.7)
        report._progress.refresh()
        report.epoch(ROW | {"epoch": 8})
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n")


def test_every_epoch_is_a_line_under_one_head():
    head, first, second = shown(terminal=False, width=80).splitlines()
    assert head.split() == ["train", "loss", "accuracy", "test", "loss", "accuracy", "images/s", "left"]
    assert first.split()[:-1] == ["epoch", "7/100", "0.1235", "98.76%", "123,457"]
    assert second.split()[:-1] == ["epoch", "8/100", "0.1235", "98.76%", "12.3457", "100.00%", "123,457"]
    assert max(map(len, (head, first, second))) <= 80
    for word, figure in ("train loss", "0.1235"), ("test loss", "12.3457"), ("left", second.split()[-1]):
        assert head.index(word) + len(word) == second.index(figure) + len(figure)  # right below it


def test_a_task_of_one_metric_has_fewer_columns():
    head, _, second = shown(terminal=False, width=80, task=Reconstruction()).splitlines()
    assert head.split() == ["train", "squared", "error", "test", "squared", "error", "images/s", "left"]
    assert second.split()[2:-1] == ["0.1235", "12.3457", "123,457"]


def test_without_a_terminal_a_line_says_how_much_time_is_left(monkeypatch):
    clock = iter([100.0, 150.0, 160.0, 170.0, 182.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    console = Console(file=io.StringIO(), force_terminal=False, width=100)
    with reporting(console, TASK, epochs=2000, steps=20_000, done=5, judge="test") as report:
        for epoch in 2, 3, 4, 2000:
            report.epoch(ROW | {"epoch": epoch, "step": 10 * epoch})
    lines = console.file.getvalue().splitlines()
    left = [line.split()[-1] for line in lines[1:]]
    # 15 steps in 50 s leave 19,980 of them; then 10 in 10 s since the first line, 20 in 20 s, and none is left
    assert left == ["18:30:00", "5:32:50", "5:32:40", "0:00:00"]
    assert max(map(len, lines)) <= 100


def test_on_a_terminal_the_live_line_alone_says_it():
    (head,) = {line for line in shown(terminal=True, width=200).splitlines() if "train loss" in line}
    assert "images/s" in head and "left" not in head


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_live_line_keeps_its_numbers(width):
    lines = [line.rstrip() for line in shown(terminal=True, width=width, epochs=10_000).splitlines()]
    assert max(map(len, lines)) <= width
    (live,) = {line for line in lines if "loss 0.5000" in line}
    for part in "epoch 8/10000", "accuracy 25.00%", "123,457 images/s", "left":
        assert part in live


def test_a_sentence_is_broken_between_words_on_a_terminal_alone():
    text = "a sentence of some words, and a folder/with/a/path"
    for terminal in True, False:
        console = Console(file=io.StringIO(), force_terminal=terminal, width=30, color_system=None, _environ={})
        tell(console, text)
        lines = console.file.getvalue().splitlines()
        assert " ".join(line.strip() for line in lines) == text and (len(lines) > 1) == terminal
