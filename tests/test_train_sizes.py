"""Training images at sizes that change from epoch to epoch: the pixels, the runs, what is refused."""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from jaxcnn.config import SGD, CenterCrop, Crop, CutMix, DataConfig, Flip, OptimizerConfig, ResizedCrop, TrainConfig
from jaxcnn.data.augment import at_size, augment
from jaxcnn.data.sizes import size_after, train_sizes
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Act, Conv, Dense, Flatten, GlobalPool, Graph, seq
from jaxcnn.training import devices
from jaxcnn.training import run as runs
from jaxcnn.training.loop import Interrupted, train
from jaxcnn.training.plan import prepare
from jaxcnn.training.steps import training_inputs


def small(classes: int) -> Graph:
    """A network for images of every size."""
    return seq(conv=Conv(4), act=Act(), mean=GlobalPool(), fc=Dense(classes))


def fixed(classes: int) -> Graph:
    """A network for images of one size."""
    return seq(conv=Conv(4), act=Act(), flatten=Flatten(), fc=Dense(classes))


CONFIG = TrainConfig(
    name="small", network="test_train_sizes:small", epochs=2, batch_size=64,
    data=DataConfig("digits", train_fraction=0.1, test_fraction=0.1, augment=(Crop(1),), train_sizes=("0=5x6", "1=8")),
    optimizer=OptimizerConfig(SGD(), lr=0.1),
)  # fmt: skip
KEY = jax.random.key(3)


def test_an_epoch_has_the_size_that_began_last():
    sizes = train_sizes(["2=96", "10=128x160"])
    assert [size_after(n, sizes) for n in (0, 1, 2, 9, 10, 99)] == [
        None, None, (96, 96), (96, 96), (128, 160), (128, 160)
    ]  # fmt: skip


def pictures(count: int = 3) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (count, 16, 12, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(9, 7), (20, 12)], ids=["smaller", "larger"])
def test_images_are_resized_with_antialias_once_they_are_augmented(size):
    images, ids = pictures(), jnp.arange(3)
    augmentations = (Crop(3), Flip())
    changed = np.asarray(augment(images, ids, KEY, augmentations))
    resized = augment(images, ids, KEY, at_size(size, augmentations))
    pillow = [Image.fromarray(each).resize(size[::-1], Image.Resampling.BILINEAR) for each in changed]
    np.testing.assert_array_equal(resized, np.stack(pillow))  # bytes of the same arithmetic


def test_a_resized_crop_gives_the_size_itself_and_what_is_mixed_comes_after():
    crop, mixed = ResizedCrop(), CutMix()
    assert at_size((9, 7), (crop, Flip(), mixed)) == (replace(crop, size=(9, 7)), Flip(), mixed)
    seldom = ResizedCrop(probability=0.5)  # images that are not cropped must be resized as well
    whole = CenterCrop(fraction=1.0, size=(9, 7))
    assert at_size((9, 7), (seldom, mixed)) == (seldom, whole, mixed)


def rows(folder, epochs: int = CONFIG.epochs, **options) -> list[dict]:
    """The figures of each epoch, but for the times. Nothing is concluded or drawn."""
    given = itertools.islice(train(CONFIG, results=folder, console=Console(quiet=True), **options), epochs)
    return [{name: row[name] for name in row if name not in ("seconds", "images_per_second")} for row in given]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The figures of a run, and the sizes of the images for which programs were traced."""
    seen, step, evaluation = [], devices.guarded_step, devices.eval_step

    def traced_step(*arguments, recipe):
        seen.append(training_inputs(recipe, *arguments[2:])[0].shape[1:3])
        return step(*arguments, recipe=recipe)

    def traced_evaluation(*arguments, recipe):
        seen.append(("tested", *arguments[2].images.shape[1:3]))
        return evaluation(*arguments, recipe=recipe)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "guarded_step", traced_step)
        patch.setattr(devices, "eval_step", traced_evaluation)
        return rows(tmp_path_factory.mktemp("unbroken")), seen


def test_there_is_one_program_for_each_size_and_testing_keeps_its_own(unbroken):
    assert unbroken[1] == [(5, 6), ("tested", 8, 8), (8, 8)]


@pytest.mark.parametrize("stop", [5, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_stopped_at_either_size_resumes_to_the_same_bits(stop, unbroken, tmp_path, monkeypatch):
    original, count = runs.compiled, itertools.count(1)

    def compiled(*given):
        steps = original(*given)

        def step(*arguments):
            if next(count) == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps.train(*arguments)

        return steps._replace(train=step)

    monkeypatch.setattr(runs, "compiled", compiled)
    with pytest.raises(Interrupted, match=f"step {stop} "):
        rows(tmp_path)
    monkeypatch.undo()
    left = unbroken[0][stop // 3 :]  # three steps an epoch
    assert rows(tmp_path, len(left), resume=True) == left


def data(**changes) -> TrainConfig:
    return replace(CONFIG, data=replace(CONFIG.data, **changes))


def test_the_own_size_changes_nothing():
    plan = prepare(data(train_sizes=("1=8",)))
    assert plan.recipe_at(0) == plan.recipe_at(1) == plan.recipe


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": "test_train_sizes:fixed"}, "'fc' has a kernel of 256x10 for 8x8x1, and of 120x10 for 5x6x1"),
        ({"network": "lenet5"}, "cannot take images of"),
        ({"data": data(augment=(ResizedCrop(), Crop(5))).data}, "padding 5 must be less than the images' 5x6"),
        ({"data": data(augment=(ResizedCrop(size=(6, 6)),)).data}, "say --data.train-sizes 0=6x6"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_at_a_size_is_refused_before_anything_is_written(change, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        next(train(replace(CONFIG, **change), results=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("96",), "EPOCH=SIDE or EPOCH=HEIGHTxWIDTH, as 0=96 10=96x128, not '96'"),
        (("0=0",), "not '0=0'"),
        (("0=96", "0=128"), "in the order of their epochs, unlike 0=128"),
        (("0=9000",), "at most 8192 pixels, unlike 0=9000"),
        (("2=4",), "epoch 2 never begins, as there are 2"),
    ],
)
def test_sizes_that_cannot_be_meant_get_a_sentence(words, sentence):
    with pytest.raises(InputError, match=sentence):
        data(train_sizes=words)
