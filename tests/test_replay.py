"""A divergence that happens again, and a run that stops by itself."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from rich.console import Console

from jaxcnn.commands.main import main
from jaxcnn.config import SGD, Constant, Crop, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.durations import seconds
from jaxcnn.host.errors import InputError
from jaxcnn.training.loop import Diverged, Interrupted, fit
from jaxcnn.training.replay import Replayed, replay

CONFIG = TrainConfig(
    name="small", network="mlp", network_options={"width": 32}, data=DataConfig("digits", augment=(Crop(1),)),
    optimizer=OptimizerConfig(SGD(), lr=0.1, schedule=Constant()), epochs=3, batch_size=128,
)  # fmt: skip
QUIET = Console(quiet=True)


def files(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lr, begun", [(1e30, 0), (2e4, 0)])
def test_a_divergence_happens_again(lr, begun, tmp_path):
    """At the same step and in the same place; nothing on the disk is touched."""
    config = replace(CONFIG, optimizer=replace(CONFIG.optimizer, lr=lr))
    with pytest.raises(Diverged) as error:
        fit(config, results=tmp_path, console=QUIET)
    told = json.loads((tmp_path / "small" / "diverged.json").read_bytes())
    assert f"step {told['step']} (epoch {told['epoch']})" in str(error.value) and told["where"] in str(error.value)
    before = files(tmp_path)
    assert replay(tmp_path / "small") == Replayed(told["step"], begun, told["where"], told["where"])
    assert files(tmp_path) == before


def test_it_goes_on_from_the_last_checkpoint_before(tmp_path, capsys):
    """The second epoch's rate lets it diverge: what is trained again begins at its first step."""
    from jaxcnn.config import Step

    schedule = Step((1,), 1e30)
    config = replace(CONFIG, optimizer=replace(CONFIG.optimizer, schedule=schedule))
    with pytest.raises(Diverged):
        fit(config, results=tmp_path, console=QUIET)
    found = replay(tmp_path / "small" / "diverged.json")
    assert found.from_step == 12 <= found.step < 24 and found.where == found.before
    assert main(["replay", str(tmp_path / "small")]) == 0
    assert f"step {found.step}, trained again from step 12" in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "small"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found._asdict()


def test_where_all_is_finite_this_time_it_is_said(tmp_path, capsys):
    fit(CONFIG, results=tmp_path, console=QUIET)
    (tmp_path / "small" / "diverged.json").write_text(json.dumps({"step": 30, "epoch": 3, "where": "the loss"}))
    assert main(["replay", str(tmp_path / "small")]) == 1
    assert "all numbers are finite, where the first that was not had been in the loss" in capsys.readouterr().out
    (tmp_path / "small" / "diverged.json").unlink()
    assert main(["replay", str(tmp_path / "small")]) == 2
    assert "a run whose numbers were not finite leaves it" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_run_stops_when_the_time_is_up_and_goes_on_to_the_same_bits(tmp_path):
    whole = fit(CONFIG, results=tmp_path / "whole", console=QUIET)
    with pytest.raises(Interrupted, match="the time is up: stopped and saved at step 1 ") as stopped:
        fit(CONFIG, results=tmp_path / "parts", console=QUIET, stop_at=time.monotonic())
    assert stopped.value.code == 0
    result = fit(CONFIG, results=tmp_path / "parts", console=QUIET, resume=True)
    assert result["params_sha256"] == whole["params_sha256"]


def test_the_command_line_says_how_to_go_on(tmp_path, capsys):
    words = ["train", "--network", "mlp", "--results", str(tmp_path), "--stop-after"]
    assert main([*words, "0.001s"]) == 0
    assert "the time is up: stopped and saved at step 1 in" in (said := capsys.readouterr().err) and "--resume" in said
    assert main([*words, "3 hours", "--overwrite"]) == 2
    assert "a time is a number and d, h, m or s, as 3h or 1h30m, not '3 hours'" in capsys.readouterr().err


def test_durations():
    assert [seconds(text) for text in ("3h", "1h30m", "90s", "1.5d")] == [10800, 5400, 90, 129600]
    for text in "", "3", "h", "3h 5m", "-3h":
        with pytest.raises(InputError, match="a time is a number"):
            seconds(text)
