"""Cross-validation: every training image is held out once, and what is told of a fold is of its images alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import jaxcnn
from jaxcnn import data
from jaxcnn.commands.main import main
from jaxcnn.config import SGD, Constant, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.data.pixels import channel_statistics, normalize
from jaxcnn.host.errors import InputError
from jaxcnn.training import conclusion, train
from jaxcnn.training.folds import fit_folds
from jaxcnn.training.plan import prepare
from jaxcnn.training.trained import trained

SMALL = TrainConfig(
    name="a",
    network="mlp",
    network_options={"width": 8},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(SGD(), lr=0.2, schedule=Constant()),
    epochs=2,
    batch_size=256,
)
QUIET = Console(quiet=True)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_have_the_same_share_of_every_class(folds):
    labels = np.random.default_rng(0).choice(5, 203, p=[0.4, 0.3, 0.2, 0.07, 0.03]).astype(np.int32)
    found = data.fold_of(labels, folds, seed=3)
    assert sorted(set(found.tolist())) == list(range(1, folds + 1))
    for members in [np.ones(203, bool), *(labels == label for label in range(5))]:
        counts = np.bincount(found[members], minlength=folds + 1)[1:]
        assert counts.sum() == members.sum() and np.ptp(counts) <= 1
    np.testing.assert_array_equal(found, data.fold_of(labels, folds, seed=3))
    assert (found != data.fold_of(labels, folds, seed=4)).any()


def test_every_training_image_is_held_out_exactly_once_and_no_test_image_is_used():
    whole = data.load(SMALL.data)
    held = []
    for fold in range(1, 4):
        dataset = data.load(replace(SMALL.data, folds=3, fold=fold, validation_fraction=0.1))
        assert dataset.validation and "359 test images are not used" in dataset.notes[-1]
        parts = [dataset.train.images, dataset.validation.images, dataset.test.images]
        assert rows(np.concatenate(parts)) == rows(whole.train.images)  # one image is in one part
        held.append(dataset.test)
    assert rows(np.concatenate([split.images for split in held])) == rows(whole.train.images)
    labels = np.concatenate([split.labels for split in held])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(whole.train.labels))


def rows(images: np.ndarray) -> list[bytes]:
    """Each image's bytes, in order; the digits have no two of the same, which a set of them would hide."""
    return sorted(image.tobytes() for image in images)


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conclusion, "draw_curves", None)  # no pictures: they take longer than the training
        return fit_folds(SMALL, 2, results=folder, console=QUIET), folder


def test_the_figure_of_a_fold_is_that_of_its_images_at_the_last_epoch(folds):
    summary, folder = folds
    assert summary == json.loads((folder / "a_folds.json").read_text()) and summary["folds"] == [1, 2]
    values = []
    for fold in 1, 2:
        run = trained(folder / f"a_fold{fold}", "last")
        dataset = data.load(run.config.data)
        assert run.config.data == replace(SMALL.data, folds=2, fold=fold)
        assert (run.facts.mean, run.facts.std) == channel_statistics(dataset.train.images)
        images = normalize(dataset.test.images, run.facts.mean, run.facts.std)
        logits, _ = jaxcnn.apply(run.net, run.params, run.batch_stats, images)
        values.append(float(np.mean(np.argmax(logits, -1) == dataset.test.labels)))
    assert summary["test_accuracy"]["values"] == pytest.approx(values)
    assert summary["test_accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert summary["test_accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert len(set(values)) == 2 and min(values) > 0.3  # chance is 0.1


@pytest.mark.slow
def test_folds_go_on_in_the_middle_and_for_more_epochs(folds, tmp_path):
    epochs = train(
        replace(SMALL, name="a_fold1", data=replace(SMALL.data, folds=2, fold=1)), results=tmp_path, console=QUIET
    )
    next(epochs)
    epochs.close()
    assert fit_folds(SMALL, 2, results=tmp_path, resume=True, console=QUIET) == folds[0]
    further = fit_folds(replace(SMALL, epochs=3), 2, results=tmp_path, resume=True, console=QUIET)
    assert further["test_loss"]["mean"] < folds[0]["test_loss"]["mean"]
    assert json.loads((tmp_path / "a_fold2/result.json").read_text())["epochs"] == 3


def test_folds_are_compared_as_one_kind(folds, capsys):
    assert main(["compare", *(str(folds[1] / f"a_fold{fold}") for fold in (1, 2))]) == 0
    shown = capsys.readouterr().out
    assert "they differ in their folds alone" in shown and "±" in shown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--folds 1", "a spread is that of two folds or more, not of 1"),
        ("--folds -3", "a spread is that of two folds or more, not of 0"),
        ("--folds 1000", "data.folds 1000 is more than the 146 images of the largest class"),
        ("--folds 3 --seeds 2", "--folds trains all folds with one seed"),
        ("--folds 3 --limit-steps 2", "limit_steps is for a dry run, which is one of one fold"),
    ],
)
def test_folds_that_cannot_be_get_a_sentence_and_leave_nothing(words, sentence, capsys, tmp_path):
    code = main(["train", "--network", "mlp", *words.split(), "--results", str(tmp_path / "results")])
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert code == 2 and sentence in said, said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folds", "fold", "sentence"),
    [
        (3, 0, "data.fold must be from 1 to 3, the data.folds, not 0"),
        (3, 4, "data.fold must be from 1 to 3, the data.folds, not 4"),
        (0, 2, "data.fold 2 is one of data.folds: give their number"),
        (1, 1, "data.folds must be at least 2, or 0 for none, not 1"),
        (-2, 0, "data.folds must be at least 2, or 0 for none, not -2"),
    ],
)
def test_a_fold_that_cannot_be_gets_a_sentence(folds, fold, sentence):
    with pytest.raises(InputError) as error:
        DataConfig(folds=folds, fold=fold)
    assert str(error.value) == sentence


def test_a_run_to_build_upon_that_may_have_seen_the_fold_is_named(folds):
    """Both held-out folds of the fixture: the one that is tested now, and the other one, which it has learned from."""
    notes = []
    for fold in 1, 2:
        weights = str(folds[1] / f"a_fold{fold}")
        notes += [prepare(replace(SMALL, weights=weights, data=replace(SMALL.data, folds=2, fold=1))).dataset.notes]
    assert not any("may have learned" in note for note in notes[0])
    assert notes[1][-1] == f"{weights} may have learned from images of the fold, whose figures are then too good"
