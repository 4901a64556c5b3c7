"""`jaxcnn bench data`: what it decodes and streams, its goals and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxcnn.bench import decoders, measure_data, photographs
from jaxcnn.bench.measure import Timing
from jaxcnn.commands.main import main
from jaxcnn.data import load
from jaxcnn.data.config import DataConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("photographs")
    photographs.write(place)
    return place


def test_the_streams_give_the_same_crops(folder: Path):
    images = load(DataConfig(f"folder:{folder}", size=(224, 224), stream=True)).train.images[:40]
    files = measure_data._files(images)
    one_by_one = decoders.by_pillow_cropped(files)()
    rows = decoders.read_ahead(images, [np.arange(40)], decoders.from_files(decoders.CROP, 0, 0), (224, 224))
    np.testing.assert_array_equal(next(rows), one_by_one)
    np.testing.assert_array_equal(decoders.Photographs(images)[7], one_by_one[7])
    assert decoders.stream_of_jaxcnn(images)() == 40


def test_bench_data_writes_its_table(folder: Path, tmp_path: Path, capsys):
    words = ["bench", "data", "--quick", "--cases", "decoding", "--photographs", str(folder), "--output", str(tmp_path)]
    assert main([*words, "--peers", "jaxcnn"]) == 0
    text = (tmp_path / "bench-data.md").read_text()
    assert "| decoding | jaxcnn |" in text and text in capsys.readouterr().out


def test_a_stream_shall_be_as_fast_as_all_cores(monkeypatch):
    monkeypatch.setattr(measure_data, "workers", lambda: 2)
    one, other = measure_data.goals("stream")
    timings = {"jaxcnn": Timing((5.5,)), "one thread": Timing((10.0,)), "torch": Timing((6.0,))}
    assert "met (0.55)" in one.verdict(timings) and "met (0.92)" in other.verdict(timings)
    assert "MISSED" in one.verdict(timings | {"one thread": Timing((9.0,))})
