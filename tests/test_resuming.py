"""Going on with a run: for more epochs, with its data elsewhere, and with nothing else that is new."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from image_folders import write
from rich.console import Console

from jaxcnn.config import SGD, Constant, Cosine, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.optimizers import learning_rate
from jaxcnn.training import checkpoint
from jaxcnn.training.loop import fit
from jaxcnn.training.resuming import check_same, starting_point
from jaxcnn.training.run_folder import read_metrics, read_record


def run(folder: Path, config: TrainConfig, **options) -> tuple[dict, str]:
    """The result of a run in `folder`, and what it printed."""
    console = Console(record=True, width=300, file=io.StringIO())
    return fit(config, results=folder, console=console, **options), console.export_text()


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "here"
    write(folder / "train", 20)
    write(folder / "test", 4, split=1)
    return folder


@pytest.fixture(scope="module")
def config(images) -> TrainConfig:
    return TrainConfig(
        name="short", network="mlp", network_options={"width": 8}, data=DataConfig(f"folder:{images}"),
        optimizer=OptimizerConfig(SGD(), lr=1e-2, schedule=Constant()), epochs=1, batch_size=30,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder, config)
    return folder / "short"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "short"))


@pytest.mark.thorough
def test_a_finished_run_is_trained_further_and_keeps_what_it_was(copy, config, tmp_path):
    """With a constant rate, to the same bits as if it had been told so at first."""
    before = json.loads((copy / "result.json").read_text())
    longer = replace(config, epochs=3)
    result, said = run(copy.parent, longer, resume=True)
    assert "epochs: 3, not 1; 1 done; the learning rate's schedule is stretched over all of them" in said
    assert "goes on from step 2" in said
    assert (result["epochs"], result["steps"]) == (3, 6) and len(read_metrics(copy)) == 3
    assert result["params_sha256"] == run(tmp_path / "at once", longer)[0]["params_sha256"]
    record = read_record(copy)
    assert record.config == longer and record.before[0]["result"] == before and record.before[0]["epochs"] == 1
    assert starting_point(copy, longer).notes == (f"{copy} goes on from step 6",)


def test_the_result_of_before_is_gone_from_its_file_as_soon_as_the_run_is_another(copy, config, monkeypatch):
    from jaxcnn.training import loop

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_train_epoch", fail)
    with pytest.raises(KeyboardInterrupt):
        run(copy.parent, replace(config, epochs=2), resume=True)
    assert not (copy / "result.json").exists() and "result" in read_record(copy).before[0]
    with pytest.raises(InputError, match=r"was run with seed = 0, not 1"):
        starting_point(copy, replace(config, epochs=2, seed=1))
    assert len(starting_point(copy, replace(config, epochs=2)).record.before) == 1  # that is no change


def test_a_schedule_that_begins_anew_is_for_the_steps_that_are_left(copy, config):
    longer = replace(config, epochs=3)
    start = starting_point(copy, longer, restart_schedule=True)
    assert start.record.schedule_from == 2 and "begins anew for the rest" in start.notes[-1]
    cosine = OptimizerConfig(SGD(), lr=0.1, schedule=Cosine(), warmup_epochs=0.5)
    anew, alone = learning_rate(cosine, 10, 12, begin=70), learning_rate(cosine, 10, 5)
    np.testing.assert_array_equal([anew(step) for step in range(70, 120)], [alone(step) for step in range(50)])
    with pytest.raises(InputError, match="begins anew where there are more epochs"):
        starting_point(copy, config, restart_schedule=True)


@pytest.mark.thorough
def test_a_schedule_that_began_anew_is_the_same_when_the_run_is_stopped_once_more(copy, config, monkeypatch):
    cosine = replace(config, optimizer=OptimizerConfig(SGD(), lr=1e-2, schedule=Cosine()))
    folder = copy.parent / "cosine"
    run(folder, cosine)
    shutil.copytree(folder, copy.parent / "stopped")
    longer = replace(cosine, epochs=3)
    whole, said = run(folder, longer, resume=True, restart_schedule=True)
    assert "begins anew" in said

    from jaxcnn.training import loop

    def finish(epoch_run, epoch, last, *arguments):
        original(epoch_run, epoch, last, *arguments)
        raise KeyboardInterrupt

    original = loop._finish_epoch
    monkeypatch.setattr(loop, "_finish_epoch", finish)
    with pytest.raises(KeyboardInterrupt):
        run(copy.parent / "stopped", longer, resume=True, restart_schedule=True)
    monkeypatch.undo()
    parts, _ = run(copy.parent / "stopped", longer, resume=True, restart_schedule=True)  # the same words again
    assert read_record(copy.parent / "stopped/short").schedule_from == 2
    assert parts["params_sha256"] == whole["params_sha256"]


def test_fewer_epochs_than_a_run_has_behind_it_are_refused(copy, config):
    longer = replace(config, epochs=3)
    run(copy.parent, longer, resume=True)
    with pytest.raises(InputError, match="is in its epoch 3: epochs must be at least that, not 2"):
        starting_point(copy, replace(config, epochs=2))


def test_data_that_were_moved_are_named_again(copy, config, images, tmp_path):
    moved = Path(shutil.copytree(images, tmp_path / "there"))
    elsewhere = replace(config, data=DataConfig(f"folder:{moved}"))
    result, said = run(copy.parent, elsewhere, resume=True)
    assert f"data.source is 'folder:{moved}' now, was 'folder:{images}'" in said and result["epochs"] == 1
    assert read_record(copy).config == elsewhere


def test_other_data_are_refused_and_nothing_is_changed(copy, config, images, tmp_path):
    """Of one pixel, which neither the number of images nor the rounded statistics show."""
    other = Path(shutil.copytree(images, tmp_path / "there"))
    shutil.copy(other / "train/cat/0.png", other / "train/cat/1.png")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(
        InputError, match=r"had other data than folder:.*there: its images, classes or statistics differ"
    ):
        run(copy.parent, replace(config, data=DataConfig(f"folder:{other}")), resume=True)
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_the_fingerprint_of_data_is_of_every_pixel_and_label(copy, config):
    start, facts = starting_point(copy, config), read_record(copy).facts
    assert check_same(start, facts, "").record.facts == facts and len(facts.data) == 64
    with pytest.raises(InputError, match="had other data"):
        check_same(start, facts._replace(data="0" * 64), "")
    # a run from before there were fingerprints gets one
    old = start._replace(record=start.record._replace(facts=facts._replace(data="")))
    assert check_same(old, facts, "").record.facts == facts


def test_a_run_that_is_stopped_before_its_first_checkpoint_says_that_it_begins_at_step_0(copy, config):
    shutil.rmtree(copy / "checkpoints")
    (copy / "result.json").unlink()
    start = starting_point(copy, config)
    assert start.place is None and start.notes == (f"no checkpoint of {copy} had been completed: it begins at step 0",)
    assert checkpoint.newest(checkpoint.folders(copy)) == (None, [])
