"""Learning from a teacher: the loss and its gradient, on which images, and a run that is taught."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxcnn
from jaxcnn import optimizers
from jaxcnn.config import SGD, Constant, DataConfig, Distillation, MixUp, OptimizerConfig, TrainConfig
from jaxcnn.config import Reconstruction as ToTheImage
from jaxcnn.data.batches import Batch, Others
from jaxcnn.data.pixels import normalize
from jaxcnn.host.errors import InputError
from jaxcnn.layout import Params
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, Flatten, GlobalPool, seq
from jaxcnn.training import checkpoint, conclusion, train
from jaxcnn.training.diagnosis import first_not_finite
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run
from jaxcnn.training.run_folder import Record, fingerprint, read_record, write_record
from jaxcnn.training.steps import Recipe, init_state, train_step, training_inputs
from jaxcnn.training.teacher import Teacher
from jaxcnn.training.trained import trained

STUDENT = seq(flat=Flatten(), fc=Dense(3))
TEACHER = seq(conv=Conv(4, bias=True), bn=BatchNorm(), act=Act(), drop=Dropout(0.5), pool=GlobalPool(), fc=Dense(3))
PLAIN = optimizers.make(OptimizerConfig(SGD(momentum=0.0), lr=0.1, schedule=Constant()), 1, 1)
TAUGHT = Teacher(TEACHER, (0.2,), (0.5,), Distillation("a run", temperature=3.0, share=0.7))
RECIPE = Recipe(STUDENT, PLAIN, (0.5,), (0.25,), teacher=TAUGHT)
KEY = jax.random.key(5)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def distance(of_teacher: np.ndarray, logits: np.ndarray, temperature: float) -> np.ndarray:
    """T^2 KL(teacher || student) in float64, term by term as it is written."""
    p, q = softmax(of_teacher / temperature), softmax(logits / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(-1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_loss_is_the_formula_and_its_gradient_the_difference_of_the_probabilities(temperature, float64):
    of_teacher, logits = np.random.default_rng(0).normal(size=(2, 6, 5)) * 3
    losses = np.random.default_rng(1).uniform(size=6)
    taught = Distillation("a run", temperature=temperature, share=0.7)
    found = taught(jnp.asarray(losses), jnp.asarray(logits), jnp.asarray(of_teacher))
    expected = 0.3 * losses + 0.7 * distance(of_teacher, logits, temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-13)  # some ten roundings of 1e-16
    only = replace(taught, share=1.0)
    gradient = jax.grad(lambda z: only(jnp.asarray(losses), z, jnp.asarray(of_teacher)).sum())(jnp.asarray(logits))
    closed = temperature * (softmax(logits / temperature) - softmax(of_teacher / temperature))
    np.testing.assert_allclose(gradient, closed, rtol=1e-12, atol=1e-14)


def arrays_of_the_teacher() -> tuple[Params, Params]:
    """Parameters, and statistics that are those of no batch."""
    like, _ = jaxcnn.abstract(TEACHER, (6, 6, 1))
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), like)
    moved = {"mean": jnp.asarray([0.5, -0.5, 1.0, 0.0]), "var": jnp.asarray([2.0, 0.5, 1.0, 3.0])}
    return params, {"bn": moved}


def mixed_batch(count: int, padding: int) -> Batch:
    rng, size = np.random.default_rng(1), count + padding
    images = jnp.asarray(rng.integers(0, 256, (2, size, 6, 6, 1), dtype=np.uint8))
    labels = jnp.asarray(rng.integers(0, 3, (2, size), dtype=np.int32))
    ids = jnp.arange(size, dtype=jnp.int32)
    mask = jnp.asarray([1.0] * count + [0.0] * padding)
    return Batch(images[0], labels[0], mask, ids, Others(images[1], labels[1], ids + size))


@pytest.mark.thorough
def test_the_teacher_sees_the_same_mixtures_normalized_as_it_is_used_to_and_does_not_train():
    recipe = replace(RECIPE, augment=(MixUp(1.0),))
    batch, teacher = mixed_batch(6, 2), arrays_of_the_teacher()
    state = init_state(recipe, jax.random.key(0), (6, 6, 1))
    after, metrics = jax.jit(partial(train_step, recipe=recipe))(state, batch, KEY, teacher)
    images, shared = jax.jit(partial(training_inputs, recipe))(batch, KEY)
    assert batch.others and shared.others and shared.others.share is not None
    share = np.asarray(shared.others.share, np.float64)
    one, two = (np.asarray(normalize(each, TAUGHT.mean, TAUGHT.std)) for each in (batch.images, batch.others.images))
    seen = share[:, None, None, None] * one + (1 - share)[:, None, None, None] * two
    of_teacher, _ = jax.jit(partial(jaxcnn.apply, TEACHER))(*teacher, jnp.asarray(seen, jnp.float32))
    logits, _ = jaxcnn.apply(STUDENT, state.params, state.batch_stats, images)
    of_teacher, logits = np.asarray(of_teacher, np.float64), np.asarray(logits, np.float64)
    log_p, rows = np.log(softmax(logits)), np.arange(8)
    entropy = -share * log_p[rows, batch.labels] - (1 - share) * log_p[rows, batch.others.labels]
    expected = 0.3 * entropy + 0.7 * distance(of_teacher, logits, 3.0)
    assert 0.7 * distance(of_teacher, logits, 3.0)[:6].sum() > 0.1 * expected[:6].sum()  # it is seen in the sum
    # float32: some hundred roundings of 6e-8 in logits of size 1, which a temperature of 3 magnifies by 9 / 3
    np.testing.assert_allclose(metrics.sums["loss"], expected[:6].sum(), rtol=1e-4)
    np.testing.assert_allclose(metrics.objective, expected[:6].mean(), rtol=1e-4)
    assert after.params.keys() == state.params.keys()


def test_the_arrays_of_the_teacher_are_arguments_of_the_step():
    state, batch, teacher = init_state(RECIPE, jax.random.key(0), (6, 6, 1)), mixed_batch(4, 0), arrays_of_the_teacher()
    batch = batch._replace(others=None)
    traced = jax.make_jaxpr(lambda *given: train_step(*given, recipe=RECIPE))(state, batch, KEY, teacher)
    assert max((np.size(const) for const in traced.consts), default=0) <= 1
    with pytest.raises(ValueError, match="a recipe with a teacher needs its arrays"):
        train_step(state, batch, KEY, recipe=RECIPE)


@pytest.mark.slow
def test_a_batch_in_parts_is_taught_as_the_whole():
    batch, teacher = mixed_batch(8, 0)._replace(others=None), arrays_of_the_teacher()
    state = init_state(RECIPE, jax.random.key(0), (6, 6, 1))
    whole, parts = (
        jax.jit(partial(train_step, recipe=replace(RECIPE, parts=parts)))(state, batch, KEY, teacher)[0].params
        for parts in (1, 4)
    )
    chex.assert_trees_all_close(whole, parts, rtol=1e-5, atol=1e-6)  # sums of float32 in another order


def test_a_teacher_whose_numbers_are_not_finite_is_found_in_the_loss():
    batch, (params, stats) = mixed_batch(4, 0)._replace(others=None), arrays_of_the_teacher()
    bad = params | {"fc": jax.tree.map(lambda x: x * jnp.nan, params["fc"])}
    state = init_state(RECIPE, jax.random.key(0), (6, 6, 1))
    assert first_not_finite(RECIPE, state, batch, KEY, (bad, stats)) == "the loss"


# runs

SMALL = TrainConfig(
    name="teacher",
    network="mlp",
    network_options={"width": 8},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(SGD(), lr=0.1),
    epochs=2,
    batch_size=256,
)
QUIET = Console(quiet=True)


def run(config: TrainConfig, folder: Path, **options) -> dict:
    return fit(config, results=folder, console=QUIET, **options)


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    """They take longer than the training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conclusion, "draw_curves", None)
        yield


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("teacher")
    return run(SMALL, folder), folder / "teacher"


def taught(folder: Path, share: float = 0.5) -> TrainConfig:
    return replace(SMALL, name="student", distill=Distillation(str(folder), share=share))


@pytest.mark.slow
def test_with_share_0_the_bits_are_those_without_a_teacher(teacher, tmp_path):
    assert run(taught(teacher[1], 0.0), tmp_path)["params_sha256"] == teacher[0]["params_sha256"]


@pytest.mark.thorough
def test_a_taught_run_that_is_stopped_ends_in_the_same_bits(teacher, tmp_path):
    place = shutil.copytree(teacher[1], tmp_path / "teacher")
    shown = Console(file=io.StringIO(), width=1000, force_terminal=False)
    whole = fit(taught(place), results=tmp_path / "whole", console=shown)
    assert isinstance(shown.file, io.StringIO)
    assert f"taught by {place}: 50% of the loss, at temperature 4" in shown.file.getvalue()
    assert whole["params_sha256"] != teacher[0]["params_sha256"]
    epochs = train(taught(place), results=tmp_path, console=QUIET)
    next(epochs)
    epochs.close()
    moved = taught(place.rename(tmp_path / "moved"))
    assert run(moved, tmp_path, resume=True)["params_sha256"] == whole["params_sha256"]
    kept = checkpoint.places(tmp_path / "student/checkpoints/last")[0]
    untaught = Run(prepare(SMALL), tmp_path)
    checkpoint.read(kept, untaught.state.model, untaught._training())  # it has no other arrays, or this refuses it


def test_a_run_is_resumed_with_the_teacher_that_it_had(teacher, tmp_path):
    config = taught(teacher[1])
    lessons = prepare(config).lessons
    assert lessons and lessons.fingerprint == teacher[0]["params_sha256"]
    record = Record(config, trained(teacher[1]).facts, teacher=lessons.fingerprint)
    folder = tmp_path / "student"
    folder.mkdir()
    for saved, given, sentence in (
        (record._replace(teacher="ab" * 32), config, f"the run had another teacher than {teacher[1]} is now"),
        (record, replace(config, distill=Distillation()), f"was run with distill.teacher = '{teacher[1]}', not None"),
    ):
        write_record(folder, saved)
        assert read_record(folder) == saved
        with pytest.raises(InputError, match=sentence):
            run(given, tmp_path, resume=True)
        assert sorted(path.name for path in folder.iterdir()) in (["config.json"], [".lock", "config.json"])
        assert read_record(folder) == saved


def refused(config: TrainConfig, folder: Path) -> str:
    """The sentence that a config gets; nothing is written for it."""
    with pytest.raises(InputError) as error:
        fit(config, results=folder, console=QUIET)
    assert not (folder / config.name).exists()
    return str(error.value)


def test_a_teacher_that_cannot_teach_gets_a_sentence(teacher, tmp_path):
    folder, student = teacher[1], taught(teacher[1])
    larger = replace(student, data=replace(SMALL.data, size=(16, 16)))
    assert refused(larger, tmp_path) == (
        f"the teacher {folder} takes images of 8x8x1, not of 16x16x1: give it the same data.size"
    )
    other = shutil.copytree(folder, tmp_path / "other")
    saved = json.loads((other / "config.json").read_text())
    for classes, difference in (
        ([*"0123456798"], "number 8 is '9' there and '8' here"),
        ([*"012"], "3 there and 10 here"),
    ):
        saved["facts"]["classes"] = classes
        (other / "config.json").write_text(json.dumps(saved))
        assert refused(taught(other), tmp_path) == (
            f"the teacher {other} tells other classes apart than digits: {difference}"
        )
    saved["config"]["task"] = {"kind": "reconstruction"}
    (other / "config.json").write_text(json.dumps(saved))
    assert refused(taught(other), tmp_path) == (
        f"the teacher {other} has learned reconstruction: one for distill.teacher has learned classification"
    )
    assert refused(taught(tmp_path / "none"), tmp_path).endswith("is not the folder of a run: it has no config.json")
    with pytest.raises(InputError, match="teacher cannot teach itself: choose another --name"):
        fit(replace(student, name="teacher"), results=folder.parent, console=QUIET, overwrite=True)
    assert fingerprint(*trained(folder)[3:5]) == teacher[0]["params_sha256"]


def test_a_teacher_of_ones_own_code_is_run_where_it_is_named(teacher, tmp_path):
    other = shutil.copytree(teacher[1], tmp_path / "other")
    saved = json.loads((other / "config.json").read_text())
    saved["config"]["network"] = "jaxcnn.zoo.lenet:mlp"
    (other / "config.json").write_text(json.dumps(saved))
    own = taught(other)
    assert "say --distill.network jaxcnn.zoo.lenet:mlp if you trust it" in refused(own, tmp_path)
    named = replace(own.distill, network="other:net")
    assert refused(replace(own, distill=named), tmp_path).endswith(
        "is jaxcnn.zoo.lenet:mlp, not distill.network other:net"
    )
    lessons = prepare(replace(own, distill=replace(own.distill, network="jaxcnn.zoo.lenet:mlp"))).lessons
    assert lessons and lessons.fingerprint == teacher[0]["params_sha256"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": 0.0}, "distill.temperature must be above 0, not 0.0"),
        ({"share": 1.5}, "distill.share must be in [0, 1], not 1.5"),
        ({"network": "a:b"}, "distill.network a:b is that of a teacher: give the folder of its run as distill.teacher"),
    ],
)
def test_settings_that_cannot_be_get_a_sentence(settings, sentence):
    with pytest.raises(InputError) as error:
        Distillation(**settings)
    assert str(error.value) == sentence


def test_a_teacher_is_for_classification():
    with pytest.raises(InputError, match="its task is classification, not reconstruction"):
        TrainConfig(task=ToTheImage(), distill=Distillation("a run"))
