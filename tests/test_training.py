"""`fit`: what it writes, how it stops, and that a resumed run ends in the same bits."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxcnn
from jaxcnn.config import (
    SGD,
    Adam,
    Classification,
    Constant,
    Crop,
    DataConfig,
    MixUp,
    OptimizerConfig,
    Penalty,
    Step,
    TrainConfig,
)
from jaxcnn.data import load
from jaxcnn.data.pixels import normalize
from jaxcnn.host.errors import InputError
from jaxcnn.training import devices, loop
from jaxcnn.training import run as runs
from jaxcnn.training.epochs import kept_epochs
from jaxcnn.training.loop import Diverged, fit, train
from jaxcnn.training.run_folder import fingerprint, read_metrics
from jaxcnn.training.trained import trained

# 8x8 images and a small net: a run takes a second or two
SMALL = TrainConfig(
    name="small",
    network="mlp",
    network_options={"width": 64, "rate": 0.2},
    data=DataConfig("digits", augment=(Crop(1),)),
    optimizer=OptimizerConfig(Adam(), lr=2e-2),
    epochs=3,
    batch_size=128,
)
CONSTANT = replace(SMALL.optimizer, lr=5e-2, schedule=Constant())
JUDGED = replace(SMALL, data=replace(SMALL.data, validation_fraction=0.1), epochs=8, optimizer=CONSTANT)
QUIET = Console(quiet=True)


def run(config, folder, **options):
    return fit(config, results=folder, console=QUIET, **options)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return run(SMALL, folder, command="python train.py"), folder / "small"


def test_a_run_documents_itself(unbroken):
    result, folder = unbroken
    assert json.loads((folder / "result.json").read_text()) == result
    expected = {
        "name": "small", "network": "mlp", "dataset": "digits", "seed": 0, "epochs": 3, "steps": 36,
        "command": "python train.py",
    }  # fmt: skip
    assert expected.items() <= result.items()
    assert 0.5 < result["test_accuracy"] <= result["test_top5"] <= 1 and 0.5 < result["train_accuracy"] <= 1
    assert {"jax", "flax", "optax", "python"} <= result["versions"].keys()
    assert result["images_per_second"] > 0 and result["seconds"] > 0 and "cores" in result["machine"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["test_accuracy"] == result["test_accuracy"]
    for picture in "curves.png", "confusion_matrix.png":
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.partial"))


def test_training_learns(unbroken):
    rows = [json.loads(line) for line in (unbroken[1] / "metrics.jsonl").read_text().splitlines()]
    losses = [row["train_loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)


def test_the_fingerprint_covers_every_parameter_and_statistic_in_path_order():
    params = {"b": {"kernel": np.float32([1, 2])}, "a": {"kernel": np.float32([3])}}
    stats = {"c": {"mean": np.float32([4])}}
    digest = hashlib.sha256()
    for name, values in ("a.kernel", [3]), ("b.kernel", [1, 2]), ("c.mean", [4]):
        digest.update(f"{name} float32 ({len(values)},)\n".encode() + np.float32(values).tobytes())
    from jaxcnn.training.run_folder import fingerprint

    assert fingerprint(params, stats) == digest.hexdigest()


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(unbroken, tmp_path):
    assert run(SMALL, tmp_path)["params_sha256"] == unbroken[0]["params_sha256"]
    assert run(replace(SMALL, seed=1), tmp_path / "b")["params_sha256"] != unbroken[0]["params_sha256"]


def stop_at(monkeypatch, step):
    """Send SIGTERM to this process when it is about to train for the `step`-th time."""
    original, count = runs.compiled, itertools.count(1)

    def compiled(*given):
        steps = original(*given)

        def train(*arguments):
            if next(count) == step:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps.train(*arguments)

        return steps._replace(train=train)

    monkeypatch.setattr(runs, "compiled", compiled)


@pytest.mark.every(2)
@pytest.mark.parametrize("stop", [1, 12, 17, 35])
def test_a_run_stopped_anywhere_resumes_to_the_same_bits(stop, unbroken, tmp_path, monkeypatch):
    """Step 12 ends an epoch; the others fall into one. The stop comes by a real signal."""

    stop_at(monkeypatch, stop)
    with pytest.raises(loop.Interrupted) as stopped:
        run(SMALL, tmp_path)
    assert stopped.value.code == 143 and f"step {stop} " in str(stopped.value)
    assert not (tmp_path / "small" / "result.json").exists()
    monkeypatch.undo()
    result = run(SMALL, tmp_path, resume=True)
    ignored = {"seconds", "images_per_second", "command"}
    assert {k: v for k, v in result.items() if k not in ignored} == {
        k: v for k, v in unbroken[0].items() if k not in ignored
    }
    history = [(tmp_path / "small" / "metrics.jsonl"), unbroken[1] / "metrics.jsonl"]
    mine, theirs = ([json.loads(line) for line in path.read_text().splitlines()] for path in history)
    for a, b in zip(mine, theirs, strict=True):
        assert {k: v for k, v in a.items() if k not in ignored} == {k: v for k, v in b.items() if k not in ignored}


MANY = replace(
    JUDGED, data=replace(JUDGED.data, augment=(Crop(1), MixUp(0.5))), ema=0.9, accumulate=2, epochs=3, patience=2
)


@pytest.mark.thorough
def test_with_averages_parts_and_mixtures_it_resumes_to_the_same_bits(tmp_path, monkeypatch):
    whole = run(MANY, tmp_path / "whole")
    folder = tmp_path / "whole" / "small"
    model, last = trained(folder, "best"), trained(folder, "last")
    assert fingerprint(model.params, model.batch_stats) == whole["params_sha256"]
    assert last.params.keys() == model.params.keys()
    rows = read_metrics(folder)
    assert all({"validation_accuracy", "validation_raw_accuracy"} <= row.keys() for row in rows)
    assert any(row["validation_loss"] != row["validation_raw_loss"] for row in rows)
    stop_at(monkeypatch, 15)
    with pytest.raises(loop.Interrupted):
        run(MANY, tmp_path / "broken")
    monkeypatch.undo()
    assert run(MANY, tmp_path / "broken", resume=True)["params_sha256"] == whole["params_sha256"]


def test_a_killed_run_resumes_from_its_last_checkpoint_to_the_same_bits(unbroken, tmp_path):
    """SIGKILL leaves no time to save: what counts is the checkpoint written within the epoch."""
    config = replace(SMALL, checkpoint_every=5)
    script = f"""
import os, signal
from jaxcnn.training import loop, run
from jaxcnn.config import *
original = run.compiled
count = 0
def compiled(*given):
    steps = original(*given)
    def train(*arguments):
        global count
        count += 1
        if count == 21:
            import time; time.sleep(1)  # the checkpoint of step 17 is written in the background
            os.kill(os.getpid(), signal.SIGKILL)
        return steps.train(*arguments)
    return steps._replace(train=train)
run.compiled = compiled
loop.fit({config!r}, results={str(tmp_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = sorted(int(path.name) for path in (tmp_path / "small" / "checkpoints" / "last").glob("[0-9]*"))
    assert 12 <= kept[-1] < 21
    result = run(config, tmp_path, resume=True)
    assert result["params_sha256"] == unbroken[0]["params_sha256"]


def test_the_networks_of_chosen_epochs_are_kept(unbroken, tmp_path):
    config = replace(SMALL, keep_epochs=(1, SMALL.epochs))
    result = run(config, tmp_path)
    assert result["params_sha256"] == unbroken[0]["params_sha256"]
    found = trained(tmp_path / "small")
    kept = kept_epochs(tmp_path / "small", found.net, found.facts.input)
    assert list(kept) == [1, SMALL.epochs] and SMALL.epochs > 2
    first, last = (fingerprint(*arrays) for arrays in kept.values())
    assert first != last == result["params_sha256"]
    with pytest.raises(InputError, match="has kept no epochs: train with --keep-epochs"):
        kept_epochs(unbroken[1], found.net, found.facts.input)


def test_a_finished_run_can_be_resumed_and_only_evaluates(unbroken, tmp_path):
    first = run(SMALL, tmp_path)
    again = run(SMALL, tmp_path, resume=True)
    assert again["params_sha256"] == first["params_sha256"] and again["test_loss"] == first["test_loss"]


def test_a_loss_that_is_not_finite_stops_with_step_layer_and_checkpoint(tmp_path):
    config = replace(SMALL, optimizer=OptimizerConfig(SGD(), lr=1e30, schedule=Constant()))
    with pytest.raises(Diverged, match=r"step \d+ \(epoch 1\) .* layer 'fc\d'; no checkpoint"):
        run(config, tmp_path)
    assert not (tmp_path / "small" / "result.json").exists()


def test_divergence_in_a_later_epoch_keeps_the_last_good_checkpoint(tmp_path):
    rising = OptimizerConfig(SGD(), lr=1e-3, schedule=Step((1.5,), 1e30))
    with pytest.raises(Diverged, match=r"\(epoch 2\).*last good checkpoint is kept in .*last/12"):
        run(replace(SMALL, optimizer=rising), tmp_path)
    # it is whole: the run can be resumed, and diverges again
    with pytest.raises(Diverged, match=r"last/12"):
        run(replace(SMALL, optimizer=rising), tmp_path, resume=True)


def test_training_is_traced_once_and_evaluation_once(tmp_path, monkeypatch):
    import chex

    chex.clear_trace_counter()
    train, evaluation = devices.guarded_step, devices.eval_step

    def traced_train(*arguments, recipe):
        return train(*arguments, recipe=recipe)

    def traced_evaluation(*arguments, recipe):
        return evaluation(*arguments, recipe=recipe)

    monkeypatch.setattr(devices, "guarded_step", chex.assert_max_traces(traced_train, n=1))
    monkeypatch.setattr(devices, "eval_step", chex.assert_max_traces(traced_evaluation, n=1))
    # 1,438 images in batches of 128: the last batch of each epoch is padded, and so is that of the 359 test images
    assert run(SMALL, tmp_path)["steps"] == 36


def test_label_smoothing_and_penalties_reach_the_objective(unbroken, tmp_path):
    smoothed = run(replace(SMALL, task=Classification(0.1), penalty=Penalty(l1=1e-5, l2=1e-4)), tmp_path)
    assert smoothed["params_sha256"] != unbroken[0]["params_sha256"]
    assert smoothed["test_loss"] > unbroken[0]["test_loss"]  # reported without smoothing, and less certain


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "lenet"}, r"no network 'lenet'; did you mean 'lenet5'"),
        ({"network_options": {"depth": 3}}, r"no option depth; it has: classes, width, rate"),
        ({"network_options": {"classes": 3}}, r"their number comes from the data"),
        ({"network": "nowhere:net", "network_options": {}}, r"cannot load network 'nowhere:net'"),
        (
            {"network": "lenet5", "network_options": {}},
            r"cannot take images of 8x8x1.*does not fit.*layer 'conv2'",
        ),
        ({"data": DataConfig("digits", mean=(0.5, 0.5, 0.5))}, r"one number for each of 1 channels"),
        ({"data": DataConfig("digit")}, r"unknown data source 'digit'.*did you mean digits"),
    ],
)
def test_input_that_cannot_work_is_refused_before_anything_is_written(change, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        run(replace(SMALL, **change), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_not_touched_without_being_told(unbroken, tmp_path):
    def state():
        return {path: path.stat().st_mtime_ns for path in unbroken[1].rglob("*") if path.name != ".lock"}

    before = state()
    with pytest.raises(InputError, match=r"exists: continue it with --resume, replace it with --overwrite"):
        run(SMALL, unbroken[1].parent)
    with pytest.raises(InputError, match=r"run with optimizer.lr = 0.02, not 0.5"):
        run(replace(SMALL, optimizer=OptimizerConfig(Adam(), lr=0.5)), unbroken[1].parent, resume=True)
    with pytest.raises(InputError, match="give one of them"):
        run(SMALL, unbroken[1].parent, resume=True, overwrite=True)
    with pytest.raises(InputError, match="nothing to resume"):
        run(SMALL, tmp_path, resume=True)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not the folder of a run"):
        run(SMALL, tmp_path, overwrite=True)
    assert (tmp_path / "small" / "thesis.txt").exists()
    assert before == state()


def test_overwrite_starts_anew(tmp_path):
    first = run(replace(SMALL, epochs=1), tmp_path)
    second = run(SMALL, tmp_path, overwrite=True)
    assert (first["steps"], second["steps"]) == (12, 36)


def test_without_validation_images_no_epoch_is_chosen(unbroken):
    result, folder = unbroken
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last"]
    assert "best_epoch" not in result and trained(folder).checkpoint == "last"


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run that is judged by validation images: its result, its folder, its rows."""
    folder = tmp_path_factory.mktemp("judged")
    result = run(JUDGED, folder)
    return result, folder / "small", read_metrics(folder / "small")


def test_the_best_epoch_is_chosen_by_the_validation_images_and_the_test_images_are_looked_at_once(judged):
    result, folder, rows = judged
    best = max(rows, key=lambda row: row["validation_accuracy"])
    assert not any(name.startswith("test") for row in rows for name in row)
    assert result["best_epoch"] == best["epoch"] < len(rows)
    assert result["validation_accuracy"] == best["validation_accuracy"]
    assert [path.name for path in (folder / "checkpoints/best").glob("[0-9]*")] == [str(best["step"])]
    chosen, last = trained(folder), trained(folder, "last")
    assert chosen.checkpoint == "best"
    assert fingerprint(chosen.params, chosen.batch_stats) == result["params_sha256"]
    assert fingerprint(last.params, last.batch_stats) != result["params_sha256"]
    test = load(JUDGED.data).test
    images = normalize(jnp.asarray(test.images), chosen.facts.mean, chosen.facts.std)
    logits, _ = jaxcnn.apply(chosen.net, chosen.params, chosen.batch_stats, images)
    assert result["test_accuracy"] == pytest.approx((np.argmax(logits, -1) == test.labels).mean())


def test_training_stops_when_no_epoch_has_been_better_for_so_long(judged, tmp_path):
    accuracies = [row["validation_accuracy"] for row in judged[2]]
    ends = [n for n in range(2, len(accuracies)) if accuracies.index(max(accuracies[:n])) < n - 1]
    patient = replace(JUDGED, patience=1)
    stopped = run(patient, tmp_path)
    assert stopped["steps"] == judged[2][ends[0] - 1]["step"] and stopped["best_epoch"] == ends[0] - 1
    assert run(patient, tmp_path, resume=True) | {"seconds": 0} == stopped | {"seconds": 0}


@pytest.mark.thorough
def test_evaluation_can_be_rarer_than_epochs(tmp_path):
    run(replace(SMALL, evaluate_every=2), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "small" / "metrics.jsonl").read_text().splitlines()]
    assert ["test_accuracy" in row for row in rows] == [False, True, True]


def test_an_update_that_overflows_in_the_last_step_of_an_epoch_is_not_saved_over_a_good_checkpoint(tmp_path):
    """The loss and the gradient of that step are finite; its learning rate is not survivable."""
    jump = OptimizerConfig(SGD(), lr=0.1, schedule=Step((1 + 11 / 12,), 1e38))
    with pytest.raises(
        Diverged, match=r"step 23 \(epoch 2\).*(parameters|test images).*checkpoint is kept in .*last/12"
    ):
        run(replace(SMALL, optimizer=jump), tmp_path)
    folder = tmp_path / "small"
    assert [path.name for path in (folder / "checkpoints" / "last").glob("[0-9]*")] == ["12"]
    assert "NaN" not in (folder / "metrics.jsonl").read_text() and not (folder / "result.json").exists()


@pytest.mark.thorough
def test_a_run_killed_between_its_two_checkpoints_resumes_to_the_same_bits(tmp_path, monkeypatch):
    """`best` may be ahead of `last` on disk: the two are written by writers of their own."""
    original = loop.Writer.save

    def save(checkpoints, step, model, state):
        if step < 22 or checkpoints.directory.name == "best":
            original(checkpoints, step, model, state)
        if step == 22 and checkpoints.directory.name == "best":
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Writer, "save", save)
    learned = replace(SMALL, data=replace(SMALL.data, validation_fraction=0.1))
    with pytest.raises(KeyboardInterrupt):
        run(learned, tmp_path)
    monkeypatch.undo()
    kept = {kind: [p.name for p in (tmp_path / "small/checkpoints" / kind).glob("[0-9]*")] for kind in ("last", "best")}
    assert kept == {"last": ["11"], "best": ["22"]}
    assert run(learned, tmp_path, resume=True)["params_sha256"] == run(learned, tmp_path / "x")["params_sha256"]


def test_a_run_stopped_before_its_first_checkpoint_is_resumed_from_the_beginning(unbroken, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_train_epoch", fail)
    with pytest.raises(KeyboardInterrupt):
        run(SMALL, tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "small/config.json").exists()
    assert run(SMALL, tmp_path, resume=True)["params_sha256"] == unbroken[0]["params_sha256"]


def test_reading_a_checkpoint_leaves_alone_what_another_process_is_writing(unbroken, tmp_path):
    run(replace(SMALL, epochs=1), tmp_path)
    folder = tmp_path / "small" / "checkpoints" / "last"
    foreign = folder / "24.orbax-checkpoint-tmp"
    foreign.mkdir()
    (foreign / "half").write_text("written")
    result = json.loads((tmp_path / "small" / "result.json").read_text())
    from jaxcnn.training.checkpoint import restore
    from jaxcnn.training.plan import prepare
    from jaxcnn.training.steps import init_state

    plan = prepare(replace(SMALL, epochs=1))
    state = init_state(plan.recipe, loop.jax.random.key(9), plan.facts.input)
    (params, stats), _ = restore(folder, (state.params, state.batch_stats))
    from jaxcnn.training.run_folder import fingerprint

    assert fingerprint(params, stats) == result["params_sha256"]
    assert (foreign / "half").exists()


@pytest.mark.thorough
def test_speed_is_measured_when_an_epoch_is_a_single_step(tmp_path):
    assert run(replace(SMALL, batch_size=1024, epochs=2), tmp_path)["images_per_second"] > 0
    rows = [json.loads(line) for line in (tmp_path / "small/metrics.jsonl").read_text().splitlines()]
    assert all(row["images_per_second"] > 0 for row in rows)


@pytest.mark.thorough
def test_a_batch_larger_than_the_data_is_cut_to_them_with_a_word(tmp_path):
    console = Console(record=True, width=200, quiet=False, file=open(os.devnull, "w"))  # noqa: SIM115
    result = fit(replace(SMALL, batch_size=5000, epochs=1), results=tmp_path, console=console)
    assert "batch_size 5000 is cut to 1438: there are 1438 training images" in console.export_text()
    assert result["steps"] == 1
    again = run(
        replace(SMALL, batch_size=5000, epochs=1), tmp_path, resume=True
    )  # the same run, though it asks for 5000
    assert again["params_sha256"] == result["params_sha256"]


def test_training_can_be_iterated_over_and_left(unbroken, tmp_path):
    rows = list(train(SMALL, results=tmp_path, console=QUIET))
    assert [row["epoch"] for row in rows] == [1, 2, 3] and rows == read_metrics(tmp_path / "small")
    for row in train(SMALL, results=tmp_path / "left", console=QUIET):
        assert row["epoch"] == 1
        break
    assert not (tmp_path / "left/small/result.json").exists()
    rest = list(train(SMALL, results=tmp_path / "left", resume=True, console=QUIET))
    assert [row["epoch"] for row in rest] == [2, 3]
    result = json.loads((tmp_path / "left/small/result.json").read_text())
    assert result["params_sha256"] == unbroken[0]["params_sha256"]


def test_a_hook_sees_every_epoch_and_may_end_training(tmp_path):
    seen = []
    result = run(SMALL, tmp_path, on_epoch=lambda row: seen.append(row["epoch"]) or row["epoch"] == 2)
    assert seen == [1, 2] and result["steps"] == 24
    assert result["test_accuracy"] == read_metrics(tmp_path / "small")[-1]["test_accuracy"]


def test_a_dry_run_goes_through_all_and_keeps_nothing(tmp_path, capsys):
    long = replace(JUDGED, optimizer=OptimizerConfig(schedule=Step((2.0,))))
    result = fit(long, results=tmp_path, limit_steps=2)
    said = capsys.readouterr().out
    assert (
        result["steps"] == 2
        and "a dry run: nothing is kept" in said
        and "epochs: 1 of 2 steps" in " ".join(said.split())
    )
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="limit_steps is for a dry run"):
        fit(SMALL, results=tmp_path, limit_steps=2, resume=True)
