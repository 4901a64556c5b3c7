"""Several training steps in one program: the same steps, wherever a run is cut and however an epoch divides."""

import os
import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxcnn.config import (
    SGD,
    AlternatingFlip,
    Crop,
    DataConfig,
    MixUp,
    OptimizerConfig,
    Reconstruction,
    TrainConfig,
    Views,
)  # fmt: skip
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.training import loop
from jaxcnn.training import run as runs
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run
from jaxcnn.training.run_folder import read_metrics

# 12 steps an epoch, which 5 at once divide into 5, 5 and 2; each batch holds all that one can hold
CONFIG = TrainConfig(
    name="small", network="mlp", network_options={"width": 32, "rate": 0.2},
    data=DataConfig("digits", augment=(AlternatingFlip(), Crop(1), MixUp(0.5))),
    optimizer=OptimizerConfig(SGD(), lr=0.1), epochs=2, batch_size=128, steps_per_dispatch=5,
)  # fmt: skip
QUIET = Console(quiet=True)


def run(config, folder, **options):
    return fit(config, results=folder, console=QUIET, **options)


def test_a_dispatch_holds_the_batches_of_its_steps(tmp_path):
    here = Run(prepare(CONFIG), tmp_path)
    single, several = list(here.batches(1, 2)), list(here.dispatches(1, 2))
    assert [len(batch.ids) for batch in several] == [5, 5] and len(single) == 10
    assert int(several[0].turn.epoch) == 1
    for step, batch in enumerate(single):
        within = several[step // 5]._replace(turn=None)
        jax.tree.map(
            lambda one, many, at=step % 5: np.testing.assert_array_equal(one, many[at]),
            batch._replace(turn=None), within,
        )  # fmt: skip


def test_steps_in_one_program_are_the_steps_one_by_one(tmp_path):
    """Float32; what differs is in what order a compiler adds, so that 24 steps stay within 1e-4 of the largest."""
    here, there = Run(prepare(CONFIG), tmp_path), Run(prepare(replace(CONFIG, steps_per_dispatch=1)), tmp_path)
    for each in here, there:
        for epoch in range(2):
            for batch in each.dispatches(epoch, 0):
                each.state, each.sums = each.steps.train(each.state, each.sums, batch, epoch_key(0, epoch))
        assert each.done == 24
    for one, other in zip(jax.tree.leaves(here.state), jax.tree.leaves(there.state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * max(1e-3, float(np.abs(other).max())))


@pytest.mark.thorough
def test_a_run_that_is_stopped_ends_a_dispatch_and_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    whole = run(CONFIG, tmp_path / "whole")
    rows = read_metrics(tmp_path / "whole" / "small")
    assert [row["step"] for row in rows] == [12, 24] and all(row["images_per_second"] > 0 for row in rows)
    compiled = runs.compiled

    def stopping(*given):
        steps = compiled(*given)

        def train(state, *arguments):
            if int(state.step) == 12:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps.train(state, *arguments)

        return steps._replace(train=train)

    monkeypatch.setattr(runs, "compiled", stopping)
    with pytest.raises(loop.Interrupted, match="at step 17 "):
        run(CONFIG, tmp_path / "broken")
    monkeypatch.undo()
    assert run(CONFIG, tmp_path / "broken", resume=True)["params_sha256"] == whole["params_sha256"]


def test_numbers_that_are_not_finite_are_found_within_a_dispatch(tmp_path):
    config = replace(CONFIG, optimizer=OptimizerConfig(SGD(), lr=1e30))
    with pytest.raises(loop.Diverged, match=r"step [1-4] \(epoch 1\)"):
        run(config, tmp_path)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"log_every": 7}, "log_every must be a multiple of steps_per_dispatch 5, not 7"),
        ({"checkpoint_every": 4}, "checkpoint_every must be a multiple of steps_per_dispatch 5, not 4"),
        ({"steps_per_dispatch": 0}, "steps_per_dispatch must be at least 1, not 0"),
        ({"task": Reconstruction(), "views": Views(True)}, "views are for classification"),
    ],
)
def test_what_does_not_go_together_gets_a_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence):
        replace(CONFIG, **change)


def test_a_profile_of_several_steps_at_once_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match="profile looks at single steps"):
        run(CONFIG, tmp_path, profile=3)


def test_views_judge_a_run_and_the_gain_is_said(tmp_path, capsys):
    """`evaluate` gives the same two figures; the training images are looked at once each."""
    from jaxcnn.commands.main import main

    result = run(replace(CONFIG, views=Views(flip=True, shift=1), steps_per_dispatch=1), tmp_path)
    assert result["views"] == 10 and result["test_loss"] != result["test_one_view_loss"]
    assert read_metrics(tmp_path / "small")[-1]["test_accuracy"] == pytest.approx(result["test_accuracy"])
    assert main(["evaluate", str(tmp_path / "small"), "--flip", "--shift", "1"]) == 0
    shown = capsys.readouterr().out
    assert f"accuracy {result['test_accuracy']:.2%}" in shown.split("one alone")[0]
    assert f"accuracy {result['test_one_view_accuracy']:.2%}" in shown.split("one alone")[1]
    with pytest.raises(InputError, match="views: shift 8 must be less than the images' 8x8"):
        prepare(replace(CONFIG, views=Views(shift=8)))
