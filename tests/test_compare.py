"""Several seeds of one run, and runs beside each other."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jaxcnn.commands.main import main
from jaxcnn.config import Adam, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.training import comparison, train
from jaxcnn.training.seeds import fit_seeds

SMALL = TrainConfig(
    name="a",
    network="mlp",
    network_options={"width": 8},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(Adam(), lr=1e-2),
    epochs=2,
    batch_size=256,
)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[dict, Path]:
    """Three runs of one kind, two of another."""
    folder = tmp_path_factory.mktemp("runs")
    summary = fit_seeds(SMALL, 3, results=folder, console=QUIET)
    faster = replace(SMALL, name="b", seed=5, optimizer=OptimizerConfig(Adam(), lr=3e-2))
    fit_seeds(faster, 2, results=folder, console=QUIET)
    return summary, folder


def results(folder: Path, *names: str) -> list[float]:
    return [json.loads((folder / name / "result.json").read_text())["test_accuracy"] for name in names]


def test_seeds_are_runs_of_their_own_and_their_spread_is_told(runs):
    summary, folder = runs
    values = results(folder, "a_seed0", "a_seed1", "a_seed2")
    assert len(set(values)) == 3 and summary == json.loads((folder / "a_seeds.json").read_text())
    assert summary["seeds"] == [0, 1, 2]
    assert summary["test_accuracy"]["values"] == values
    assert summary["test_accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert summary["test_accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))


@pytest.mark.thorough
def test_seeds_go_on_in_the_middle(runs, tmp_path):
    epochs = train(replace(SMALL, name="a_seed0"), results=tmp_path, console=QUIET)
    next(epochs)
    epochs.close()
    (tmp_path / "a_seed1").mkdir()
    for name in "config.json", "result.json":
        (tmp_path / "a_seed1" / name).write_text((runs[1] / "a_seed1" / name).read_text())
    before = (tmp_path / "a_seed1/result.json").stat().st_mtime_ns
    assert fit_seeds(SMALL, 3, results=tmp_path, resume=True, console=QUIET) == runs[0]
    assert (tmp_path / "a_seed1/result.json").stat().st_mtime_ns == before


def test_runs_that_differ_in_their_seeds_are_one_kind(runs):
    names = ["b_seed5", "a_seed2", "a_seed0", "b_seed6"]
    groups = comparison.kinds([comparison.finished(runs[1] / name) for name in names])
    assert [(group.name, len(group.runs)) for group in groups] == [("b", 2), ("a", 2)]
    assert comparison.differences(groups) == {"optimizer.lr": [3e-2, 1e-2]}


def test_how_far_apart_kinds_are_is_told_in_pooled_deviations():
    one, other = comparison.spread([1.0, 2.0, 3.0]), comparison.spread([4.0, 6.0])
    pooled = np.sqrt((2 * 1 + 1 * 2) / 3)  # variances 1 and 2, of 2 and 1 degrees of freedom
    assert comparison.apart(one, other) == pytest.approx(3 / pooled)
    assert comparison.apart(comparison.spread([1.0]), comparison.spread([2.0])) is None
    assert comparison.apart(comparison.spread([1.0, 1.0]), comparison.spread([2.0])) == np.inf


def test_the_command_tells_and_draws(runs, capsys, tmp_path):
    _, folder = runs
    names = [str(folder / name) for name in ("a_seed0", "a_seed1", "a_seed2", "b_seed5", "b_seed6")]
    picture = tmp_path / "c.png"
    assert main(["compare", *names, "--picture", str(picture)]) == 0
    shown = capsys.readouterr().out
    one, other = (
        np.mean(results(folder, *group)) for group in (("a_seed0", "a_seed1", "a_seed2"), ("b_seed5", "b_seed6"))
    )
    assert "optimizer.lr" in shown and "0.01" in shown and f"{one:.2%} ± " in shown and f"{other:.2%} ± " in shown
    better, worse = ("a", "b") if one > other else ("b", "a")
    assert f"{better} is better than {worse} by {abs(one - other):.2%} of test accuracy" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["compare", *names[:2]]) == 0
    assert "they differ in their seeds alone" in capsys.readouterr().out


def test_what_cannot_be_compared_gets_a_sentence(runs, capsys, tmp_path):
    _, folder = runs
    assert main(["compare", str(folder / "a_seed0")]) == 2
    assert "compare takes two runs or more" in capsys.readouterr().err
    (tmp_path / "config.json").write_text((folder / "a_seed0/config.json").read_text())
    assert main(["compare", str(folder / "a_seed0"), str(tmp_path)]) == 2
    assert "is not finished: it has no result.json" in capsys.readouterr().err
    with pytest.raises(InputError, match="a spread is that of two seeds or more, not of 0"):
        fit_seeds(SMALL, 0, results=tmp_path)
    with pytest.raises(InputError, match="limit_steps is for a dry run"):
        fit_seeds(SMALL, 2, results=tmp_path / "dry", limit_steps=2)
    assert not (tmp_path / "dry").exists()
