"""Runs that are killed at random moments, again and again, and end in the bits of one that never was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KILLS = 20  # of each run, one in memory and one streamed


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Some digits as PNGs in class folders, which can be streamed."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for number in range(400):
        place = tmp_path / "digits" / str(found.target[number])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((found.images[number] * 15).astype(np.uint8)).save(place / f"{number:04}.png")
    return tmp_path / "digits"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "streamed"])
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(streamed: bool, digits: Path, tmp_path: Path):
    """Wherever it comes: while JAX loads, within an epoch, while a checkpoint, the metrics or a picture is written."""
    stream = ["--data.stream"] if streamed else []
    words = [
        sys.executable, "-m", "jaxcnn", "train", "--network", "mlp", "--data.source", f"folder:{digits}",
        *stream, "--data.validation-fraction", "0.1", "--data.augment", "crop=1", "--epochs", "12", "--batch-size",
        "32", "--checkpoint-every", "4", "--ema", "0.9", "--results", str(tmp_path),
    ]  # fmt: skip

    def run(name: str, *more: str, seconds: float | None = None) -> subprocess.CompletedProcess[str] | None:
        process = subprocess.Popen(
            [*words, "--name", name, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        return subprocess.CompletedProcess(words, process.returncode, said)

    start = time.monotonic()
    whole = run("whole")
    took = time.monotonic() - start
    assert whole and whole.returncode == 0, whole and whole.stdout
    moments, kills, ended = random.Random(int(streamed)), 0, 0
    while kills < KILLS:
        resume = ["--resume"] if (tmp_path / "killed" / "config.json").is_file() else []
        done = run("killed", *resume, seconds=moments.uniform(0.2, took))
        if done is None:
            kills += 1
            continue
        assert done.returncode == 0, done.stdout
        same(tmp_path)
        ended += 1
        (tmp_path / "killed").rename(tmp_path / f"ended{ended}")
    resume = ["--resume"] if (tmp_path / "killed" / "config.json").is_file() else []
    done = run("killed", *resume)
    assert done and done.returncode == 0, done and done.stdout
    same(tmp_path)


def same(results: Path) -> None:
    """The killed run's parameters and figures are the whole one's; each epoch stands once in its metrics."""
    whole, killed = (json.loads((results / name / "result.json").read_bytes()) for name in ("whole", "killed"))
    for key in "params_sha256", "best_epoch", "train_loss", "validation_loss", "test_loss", "steps":
        assert whole[key] == killed[key], key
    rows = [json.loads(line) for line in (results / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))
