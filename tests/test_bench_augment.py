"""`jaxcnn bench augment`: its rows, its goals, its table."""

import numpy as np
import pytest

from jaxcnn.bench import augmenters, measure_augment, peers
from jaxcnn.bench.measure import QUICK, Timing
from jaxcnn.commands.main import main
from jaxcnn.host.errors import InputError


@pytest.mark.parametrize("row", augmenters.OURS)
def test_every_row_changes_its_images_and_keeps_what_they_are(row):
    images = measure_augment.photographs(3)
    found = np.asarray(augmenters.by_jaxcnn(row, images)())
    side = augmenters.CUT if row == "center crop" else augmenters.SIDE
    assert found.shape == (3, side, side, 3) and found.dtype == np.uint8
    assert row in measure_augment.LECTURE and (found.shape != images.shape or (found != images).any())


def test_a_goal_is_beside_the_best_of_those_that_take_a_batch():
    times = {"jaxcnn": 0.4, "kornia": 1.0, "augmax": 0.9, "albumentations": 0.2}
    timings = {name: Timing((seconds,) * 3) for name, seconds in times.items()}
    half, beside = measure_augment.goals("rotate", 32)
    assert half.verdict(timings) == "≤ 0.5 of batched peers: met (0.44)"
    assert beside.verdict(timings) == "≤ 1.5 of albumentations: **MISSED** (2.00)"
    assert measure_augment.goals("crop", 32)[0].limit == 1 and measure_augment.goals("rotate", 1) == []


def test_a_library_that_fails_is_left_out_with_a_note(monkeypatch):
    def broken(row: str, images: np.ndarray) -> augmenters.Work:
        raise RuntimeError("operator nms does not exist")

    monkeypatch.setitem(augmenters.MAKERS, "kornia", broken)
    notes: list[str] = []
    chosen = [peer for peer in peers.AUGMENTERS if peer.name in ("jaxcnn", "kornia")]
    (result,) = measure_augment.measure(["crop/1"], chosen, 0, QUICK, lambda line: None, notes)
    assert list(result.timings) == ["jaxcnn"]
    assert notes == ["kornia is left out of crop: RuntimeError: operator nms does not exist."]


def test_the_command_writes_its_table(tmp_path, capsys):
    assert main(["bench", "augment", "--quick", "--cases", "*flip/1", "--output", str(tmp_path)]) == 0
    text = (tmp_path / "bench-augment.md").read_text()
    assert "# The speed of augmentations" in text and "## Batch 1" in text and "| vertical flip " in text
    with pytest.raises(InputError, match="there is no peer 'opencv'; there are: jaxcnn, torchvision"):
        peers.choose(["opencv"], "cpu", peers.AUGMENTERS)
