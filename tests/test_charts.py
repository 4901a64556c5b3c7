"""Charts of names that real folders have: prices, bytes that are no text, other scripts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn.charts.confusion import confusion_text, draw_confusion
from jaxcnn.charts.curves import Curve, draw_curves

NAMES = ("$5 to $10", "$10_to_^2$", "caf\udce9", "\u732b\u3068\u72ac", "a\nb\x1b[2J", "{x} \\frac $", "l" * 255)


@pytest.fixture
def confusion() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 9, (len(NAMES), len(NAMES)))


def test_the_confusion_matrix_of_any_names_is_drawn(tmp_path: Path, confusion: np.ndarray):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion(tmp_path / "c.png", confusion, NAMES, "folder:$a_{b$ caf\udce9: 12.00% of 9 test images")
    assert Image.open(tmp_path / "c.png").size[0] > 100


def test_a_price_is_drawn_as_it_is_written(tmp_path: Path, confusion: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw_confusion(tmp_path / "c.png", confusion, NAMES, "$t$")
    axis = drawn[0].axes[0]
    labels = [*axis.get_xticklabels(), *axis.get_yticklabels(), axis.title]
    assert not any(label.get_parse_math() for label in labels)
    assert axis.get_yticklabels()[0].get_text() == "$5 to $10" and axis.title.get_text() == "$t$"


def test_curves_take_any_title(tmp_path: Path):
    rows = [{"epoch": n, "train_loss": 1 / n, "test_accuracy": 0.1 * n} for n in (1, 2, 3)]
    draw_curves(tmp_path / "c.png", rows, [Curve("loss", "loss")], "folder:caf\udce9 $x_{$")
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize("classes", [NAMES, tuple(f"{name}{copy}" for copy in range(3) for name in NAMES)])
def test_the_text_of_any_names_can_be_printed_on_lines_of_their_own(classes: tuple[str, ...]):
    text = confusion_text(np.full((len(classes), len(classes)), 3), classes)
    assert text.encode("utf-8") and "\x1b" not in text
    assert len(text.splitlines()) == (2 + len(classes) if len(classes) <= 20 else 11)
    assert "caf\\xe9" in text or len(classes) > 20
