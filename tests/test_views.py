"""Test-time augmentation: the mean over several views of an image."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.commands.main import main
from jaxcnn.data import load
from jaxcnn.data.augment.views import Views, together
from jaxcnn.data.config import DataConfig
from jaxcnn.data.pixels import normalize
from jaxcnn.host.errors import InputError
from jaxcnn.training.trained import trained

IMAGES = np.arange(1, 25, dtype=np.float32).reshape(1, 4, 6, 1)


def test_views_are_shifted_at_the_edge_and_mirrored():
    found = [np.asarray(view)[0, ..., 0] for view in Views(flip=True, shift=1)(jnp.asarray(IMAGES))]
    around = np.pad(IMAGES[0, ..., 0], 1, mode="edge")
    expected = [IMAGES[0, ..., 0], *(around[d : d + 4, a : a + 6] for d in (0, 2) for a in (0, 2))]
    expected += [view[:, ::-1] for view in expected]
    assert len(found) == 10 == Views(flip=True, shift=1).count
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert Views().count == 1 and Views(shift=2).count == 5 and Views(flip=True).count == 2


def test_probabilities_are_averaged():
    logits = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32) * 3
    expected = np.asarray(jax.nn.softmax(logits)).mean(0)
    np.testing.assert_allclose(np.exp(together(list(jnp.asarray(logits)))), expected, rtol=1e-5)  # float32


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    words = "train --network mlp --epochs 2 --data.size 12 12 --batch-size 128 --results"
    assert main([*words.split(), str(folder)]) == 0
    return folder / "digits"


def test_evaluate_averages_over_views_and_says_the_gain(run, capsys):
    model = trained(run)
    data = load(DataConfig(size=(12, 12)))
    images = normalize(jnp.asarray(data.test.images), model.facts.mean, model.facts.std)

    def right(views) -> float:
        shares = sum(jax.nn.softmax(jaxcnn.apply(model.net, model.params, model.batch_stats, v)[0]) for v in views)
        return float((np.argmax(shares, -1) == data.test.labels).mean())

    capsys.readouterr()
    assert main(["evaluate", str(run), "--flip", "--shift", "1"]) == 0
    shown = capsys.readouterr().out
    many, one = right(Views(True, 1)(images)), right([images])
    assert f"accuracy {many:.2%}" in shown and "the mean of 10 views; one alone: " in shown
    assert f"accuracy {one:.2%}" in shown.split("one alone")[1] and many != one
    assert main(["evaluate", str(run), "--flip", "--shift", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["views"] == 10 and found["accuracy"] == pytest.approx(many)


def test_predict_averages_over_views(run, tmp_path, capsys):
    from PIL import Image

    pixels = load(DataConfig(size=(12, 12))).test.images[0, ..., 0]
    Image.fromarray(pixels).save(tmp_path / "digit.png")
    model = trained(run)
    images = normalize(jnp.asarray(pixels[None, ..., None]), model.facts.mean, model.facts.std)
    shares = [
        jax.nn.softmax(jaxcnn.apply(model.net, model.params, model.batch_stats, v)[0]) for v in Views(True)(images)
    ]
    capsys.readouterr()
    assert main(["predict", str(run), str(tmp_path / "digit.png"), "--flip", "--json", "--top", "1"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["classes"][0]["probability"] == pytest.approx(float(np.max(sum(shares) / 2)), rel=1e-4)


def test_shifts_that_cannot_be_are_refused(run, capsys):
    with pytest.raises(InputError, match="shift must not be negative"):
        Views(shift=-1)
    assert main(["evaluate", str(run), "--shift", "12"]) == 2
    assert "shift 12 must be less than the images' 12x12" in capsys.readouterr().err
