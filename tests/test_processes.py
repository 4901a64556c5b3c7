"""Several processes that train together: the bits of one process with as many devices, however they are stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
WORDS = (  # noqa: SIM905
    "train --network mlp --data.size 12 12 --data.augment crop=1 mixup --data.validation-fraction 0.1 --epochs 4 "
    "--batch-size 64 --ema 0.9"
).split()


def environment(devices: int) -> dict[str, str]:
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"}
    return os.environ | flags


def start(folder: Path, name: str, *more: str, count: int = 2, each: dict[int, list[str]] | None = None) -> list:
    """As many processes, each with one device."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    found = []
    for number in range(count):
        given = {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": str(count),
            "JAX_PROCESS_ID": str(number),
        }  # fmt: skip
        words = [
            *WORDS,
            "--name",
            name,
            "--results",
            str(folder),
            "--distributed",
            *more,
            *(each or {}).get(number, []),
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        found.append(subprocess.Popen([sys.executable, "-m", "jaxcnn", *words], env=environment(1) | given, **pipes))
    return found


def ended(processes: list, seconds: float = 240) -> list[tuple[int, str]]:
    """Exit statuses, and what was said."""
    try:
        return [
            (process.returncode, said) for process in processes for said, _ in [process.communicate(timeout=seconds)]
        ]
    finally:
        for process in processes:
            process.kill()


def result(folder: Path, name: str) -> dict:
    return json.loads((folder / name / "result.json").read_bytes())


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """One process with two devices."""
    folder = tmp_path_factory.mktemp("runs")
    words = [*WORDS, "--name", "alone", "--results", str(folder)]
    subprocess.run([sys.executable, "-m", "jaxcnn", *words], env=environment(2), check=True, capture_output=True)
    return folder


def test_two_processes_give_the_bits_of_two_devices(alone: Path):
    (status, said), (other, quiet) = ended(start(alone, "pair"))
    assert status == other == 0, said + quiet
    assert "epoch 4/4" in said and "epoch" not in quiet  # one speaks for both
    assert result(alone, "pair")["params_sha256"] == result(alone, "alone")["params_sha256"]
    assert result(alone, "pair")["test_loss"] == result(alone, "alone")["test_loss"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_signal_to_one_stops_both_and_they_go_on_to_the_same_bits(which: int, alone: Path):
    name = f"stopped{which}"
    pair = start(alone, name)
    while not (alone / name / "metrics.jsonl").is_file():
        assert pair[0].poll() is None
        time.sleep(0.05)
    pair[which].send_signal(signal.SIGTERM)
    stopped = ended(pair)
    assert [status for status, _ in stopped] == [143, 143], stopped
    assert "stopped and saved at step" in stopped[0][1] and not (alone / name / "result.json").exists()
    if which:  # the rest by one process with two devices
        words = [*WORDS, "--name", name, "--results", str(alone), "--resume"]
        subprocess.run([sys.executable, "-m", "jaxcnn", *words], env=environment(2), check=True, capture_output=True)
    else:
        assert [status for status, _ in ended(start(alone, name, "--resume"))] == [0, 0]
    assert result(alone, name)["params_sha256"] == result(alone, "alone")["params_sha256"]


def test_processes_that_are_told_unlike_things_say_so_and_write_nothing(alone: Path):
    found = ended(start(alone, "unlike", each={1: ["--optimizer.lr", "0.5"]}))
    for status, said in found:
        assert status == 2 and "process 1 of 2 has another config than process 0: start all with the same" in said
    assert not (alone / "unlike" / "config.json").exists()


def test_what_stops_one_at_the_beginning_stops_both(alone: Path):
    (status, said), (other, answer) = ended(start(alone, "alone"))  # a run that is there
    assert status == other == 2
    assert "exists: continue it with --resume" in said and "process 0 of 2 could not begin: it says why" in answer


def test_a_process_that_is_killed_does_not_let_the_other_hang(alone: Path):
    pair = start(alone, "killed", "--epochs", "2000")
    while not (alone / "killed" / "metrics.jsonl").is_file():
        assert pair[0].poll() is None
        time.sleep(0.05)
    pair[1].kill()
    begun = time.monotonic()
    (status, said), _ = ended(pair)
    assert status != 0 and time.monotonic() - begun < 120, said
    resumed = ended(start(alone, "killed", "--resume", "--epochs", "3000", "--stop-after", "1s"))
    assert [status for status, _ in resumed] == [0, 0], resumed
