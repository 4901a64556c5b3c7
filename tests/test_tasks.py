"""What is learned is a value: classification, and something that has no classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxcnn
from jaxcnn.config import Adam, Classification, DataConfig, OptimizerConfig, Reconstruction, TrainConfig
from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import Forward
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Act, Conv, ConvTranspose, Graph, seq
from jaxcnn.tasks import TASKS, Task
from jaxcnn.training import fit
from jaxcnn.training.trained import trained


def autoencoder(width: int = 8) -> Graph:
    """Of 8x8 digits, through 2x2 places."""
    down = seq(conv1=Conv(width, 3, 2), act1=Act(), conv2=Conv(width, 3, 2))
    up = seq(deconv1=ConvTranspose(width), act2=Act(), deconv2=ConvTranspose(1))
    return seq(encoder=down, decoder=up)


CONFIG = TrainConfig(
    name="auto",
    network=f"{__name__}:autoencoder",
    task=Reconstruction(),
    data=DataConfig("digits", validation_fraction=0.1),
    optimizer=OptimizerConfig(Adam(), lr=1e-2),
    epochs=8,
    batch_size=128,
)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return fit(CONFIG, results=folder, console=QUIET), folder / "auto"


@pytest.mark.thorough
def test_a_network_learns_to_copy_its_image(run):
    """Copying nothing, the mean of all pixels, has an error of 1: pixels are normalized."""
    result, folder = run
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["validation_loss"] > result["validation_loss"] == min(row["validation_loss"] for row in rows)
    assert result["test_loss"] < 0.5
    assert not any("accuracy" in key or "top5" in key for key in (*result, *rows[0]))


def test_its_error_is_that_of_its_arrays(run):
    result, folder = run
    _, facts, net, params, stats, _ = trained(folder, trust=True)
    from jaxcnn.data import load

    pixels = load(CONFIG.data).test.images / 255
    images = ((pixels - np.array(facts.mean)) / np.array(facts.std)).astype(np.float32)
    output, _ = jaxcnn.apply(net, params, stats, jnp.asarray(images))
    error = np.mean(np.square(np.asarray(output, np.float64) - images))
    np.testing.assert_allclose(result["test_loss"], error, rtol=1e-5)  # float32 sums of 23,000 squares


def test_the_best_checkpoint_is_the_one_with_the_least_error(run):
    rows = [json.loads(line) for line in (run[1] / "metrics.jsonl").read_text().splitlines()]
    best = min(rows, key=lambda row: row["validation_loss"])
    assert str(best["step"]) in [path.name for path in (run[1] / "checkpoints" / "best").glob("[0-9]*")]


def test_it_draws_curves_and_no_confusion(run):
    assert (run[1] / "curves.png").exists() and not (run[1] / "confusion_matrix.png").exists()


def test_a_network_that_makes_no_image_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"its output is 10, not an image of 8x8x1"):
        fit(replace(CONFIG, network="mlp"), results=tmp_path, console=QUIET)
    with pytest.raises(InputError, match=r"not one number for each of 10 classes"):
        fit(replace(CONFIG, task=Classification(), network=f"{__name__}:image"), results=tmp_path, console=QUIET)
    assert not list(tmp_path.iterdir())


def image(classes: int = 10) -> Graph:
    """A network whose output is an image."""
    return seq(conv=Conv(classes))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_counts_no_padding(name: str):
    """A batch of 5 and one of 5 with 3 of padding give the same sums and metrics."""
    task = TASKS[name]()
    draw = np.random.default_rng(0)
    images = jnp.asarray(draw.normal(size=(8, 4, 4, 1)), jnp.float32)
    output = images + 1 if isinstance(task, Reconstruction) else jnp.asarray(draw.normal(size=(8, 6)), jnp.float32)
    labels, mask = jnp.asarray(draw.integers(0, 6, 8)), jnp.asarray([1.0] * 5 + [0.0] * 3)
    whole = Batch(images, labels, mask, jnp.arange(8))
    part = Batch(images[:5], labels[:5], mask[:5], jnp.arange(5))
    for sums in Task.evaluated, Task.counts:
        method = getattr(task, sums.__name__)
        padded = method(Forward(output, {}, {}), images, whole)
        short = method(Forward(output[:5], {}, {}), images[:5], part)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), padded, short)  # float32 sums of 5
        if "loss" in padded:
            assert task.summary(padded, 5).keys() >= {"loss", task.best[0]}


def test_what_a_task_counts_begins_at_zeros_of_its_kind():
    for kind in TASKS.values():
        task = kind()
        run = Forward(jnp.ones((2, 4, 4, 1)) if isinstance(task, Reconstruction) else jnp.ones((2, 3)), {}, {})
        batch = Batch(jnp.ones((2, 4, 4, 1)), jnp.zeros(2, int), jnp.ones(2), jnp.arange(2))
        counted = task.counts(run, jnp.ones((2, 4, 4, 1)), batch)
        kinds = jax.tree.map(lambda array: (array.shape, array.dtype), counted)
        assert kinds == jax.tree.map(lambda array: (array.shape, array.dtype), task.zeros())
