"""What a run writes down on its way: figures by epoch and by step, and TensorBoard's events."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jaxcnn.config import SGD, Adam, Cosine, DataConfig, OptimizerConfig, Plateau, TrainConfig
from jaxcnn.host.events import Events, crc32c
from jaxcnn.training import fit, train
from jaxcnn.training.run_folder import read_metrics

SMALL = TrainConfig(
    name="small",
    network="mlp",
    network_options={"width": 16},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(Adam(), lr=2e-2, schedule=Cosine(end=1e-3)),
    epochs=3,
    batch_size=128,
    log_every=5,
    tensorboard=True,
)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    fit(SMALL, results=folder, console=QUIET)
    return folder / "small"


def steps(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_lines_of_steps_are_means_since_the_line_before(watched):
    rows, epochs = steps(watched), read_metrics(watched)
    assert [row["step"] for row in rows] == [5, 10, 17, 22, 29, 34]  # 12 steps an epoch, counted in each anew
    fine = replace(SMALL, name="fine", log_every=1)
    fit(fine, results=watched.parent, console=QUIET)
    each = steps(watched.parent / "fine")
    assert [row["step"] for row in each] == list(range(1, 37))
    for name in "train_loss", "gradient_norm":
        # sums in float32, of which differences are taken
        assert rows[0][name] == pytest.approx(np.mean([row[name] for row in each[:5]]), rel=1e-4)
        assert rows[2][name] == pytest.approx(np.mean([row[name] for row in each[12:17]]), rel=1e-4)
    assert epochs[1]["gradient_norm"] == pytest.approx(np.mean([row["gradient_norm"] for row in each[12:24]]), rel=1e-4)
    cosine = [1e-3 + (2e-2 - 1e-3) * (1 + np.cos(np.pi * (row["step"] - 1) / 36)) / 2 for row in each]
    assert [row["learning_rate"] for row in each] == pytest.approx(cosine, rel=1e-5)
    assert epochs[-1]["learning_rate"] == each[-1]["learning_rate"]


def test_a_resumed_run_has_every_step_once(watched, tmp_path):
    epochs = train(SMALL, results=tmp_path, console=QUIET)
    next(epochs)
    epochs.close()
    (tmp_path / "small/steps.jsonl").write_text((watched / "steps.jsonl").read_text() + '{"step": ')
    fit(SMALL, results=tmp_path, resume=True, console=QUIET)
    assert steps(tmp_path / "small") == steps(watched)


@pytest.mark.slow
def test_how_it_is_watched_may_be_another_when_it_is_resumed(tmp_path):
    quiet = replace(SMALL, log_every=0, tensorboard=False)
    epochs = train(quiet, results=tmp_path, console=QUIET)
    next(epochs)
    epochs.close()
    fit(replace(SMALL, log_every=6), results=tmp_path, resume=True, console=QUIET)
    assert [row["step"] for row in steps(tmp_path / "small")] == [18, 24, 30, 36]


def records(path: Path) -> list[bytes]:
    """The records of a file of events; asserts their checksums, computed bit by bit."""

    def checksum(content: bytes) -> int:
        crc = 0xFFFFFFFF
        for bit in (byte >> n & 1 for byte in content for n in range(8)):
            crc = crc >> 1 ^ (0x82F63B78 if (crc ^ bit) & 1 else 0)
        crc ^= 0xFFFFFFFF
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert struct.unpack("<I", content[8:12])[0] == checksum(content[:8])
        found.append(content[12 : 12 + length])
        assert struct.unpack("<I", content[12 + length : 16 + length])[0] == checksum(found[-1])
        content = content[16 + length :]
    return found


def test_the_checksum_is_castagnolis():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_records_are_whole(tmp_path):
    events = Events(tmp_path)
    events.add(300, {"loss": 0.5})
    version, scalar = records(next(tmp_path.iterdir()))
    assert version[9:] == b"\x1a\x0dbrain.Event:2"
    assert scalar[9:] == b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 0.5)


@pytest.mark.slow
def test_tensorboard_reads_what_was_written(watched):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(watched / "tensorboard"))
    found.Reload()
    rows = read_metrics(watched)
    for tag in "train_loss", "test_accuracy", "learning_rate":
        shown = [(event.step, event.value) for event in found.Scalars(tag)]
        assert shown == [(row["step"], pytest.approx(row[tag], rel=1e-6)) for row in rows]
    assert [event.step for event in found.Scalars("steps/train_loss")] == [row["step"] for row in steps(watched)]


@pytest.mark.slow
def test_on_a_plateau_the_rate_falls_also_where_the_run_was_resumed(tmp_path):
    config = replace(
        SMALL, optimizer=OptimizerConfig(SGD(0.0), 1e-7, schedule=Plateau(0.5, 0, threshold=0.5)), epochs=4
    )
    result = fit(config, results=tmp_path / "whole", console=QUIET)
    rates = [row["learning_rate"] for row in read_metrics(tmp_path / "whole/small")]
    assert rates == pytest.approx([1e-7, 1e-7, 5e-8, 2.5e-8])  # the loss all but stays
    epochs = train(config, results=tmp_path / "broken", console=QUIET)
    next(epochs), next(epochs)
    epochs.close()
    again = fit(config, results=tmp_path / "broken", resume=True, console=QUIET)
    assert again["params_sha256"] == result["params_sha256"]
    assert rates == [row["learning_rate"] for row in read_metrics(tmp_path / "broken/small")]
