"""What a training shows fits 80 columns, in the lines of its epochs and in the live one."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from jaxcnn.tasks import Classification, Reconstruction, Task
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
    assert head.split() == ["train", "loss", "accuracy", "test", "loss", "accuracy", "images/s"]
    assert first.split() == ["epoch", "7/100", "0.1235", "98.76%", "123,457"]
    assert second.split() == ["epoch", "8/100", "0.1235", "98.76%", "12.3457", "100.00%", "123,457"]
    assert max(map(len, (head, first, second))) <= 80
    for word, figure in ("train loss", "0.1235"), ("test loss", "12.3457"):
        assert head.index(word) + len(word) == second.index(figure) + len(figure)  # right below it


def test_a_task_of_one_metric_has_fewer_columns():
    head, _, second = shown(terminal=False, width=80, task=Reconstruction()).splitlines()
    assert head.split() == ["train", "squared", "error", "test", "squared", "error", "images/s"]
    assert second.split()[2:] == ["0.1235", "12.3457", "123,457"]


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
