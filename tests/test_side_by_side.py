"""The page for those who come from PyTorch, Keras or Flax NNX: every block runs, and the four networks are the same."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import jaxcnn
from jaxcnn import spec
from jaxcnn.weights import pretrained
from jaxcnn.weights.files import write
from jaxcnn.weights.preprocessing import Preprocessing
from jaxcnn.weights.published import PUBLISHED, Published

PAGE = Path(__file__).parent / "tutorials" / "from_pytorch_keras_flax.md"
BLOCKS = re.findall(r"^```python (\w+)( downloads)?\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
LIBRARIES = {"jaxcnn": "jaxcnn", "pytorch": "torch", "keras": "keras", "nnx": "flax"}
TITLES = {"jaxcnn": "jaxcnn", "pytorch": "PyTorch", "keras": "Keras", "nnx": "Flax NNX"}
SHAPE = (8, 8, 1)
IMAGES = np.float32(load_digits().images[:16, ..., None] / 16)
LABELS = load_digits().target[:16]

os.environ.setdefault("KERAS_BACKEND", "jax")  # whichever test imports Keras first


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory):
    """A folder in which `mobilenet_v2` has published weights, drawn at random, and there is a photograph."""
    folder = tmp_path_factory.mktemp("published")
    net, shape = jaxcnn.create("mobilenet_v2"), (224, 224, 3)
    random = np.random.default_rng(0)
    drawn = jax.tree.map(lambda a: np.float32(random.uniform(0.1, 1, a.shape)), jaxcnn.abstract(net, shape))
    write(folder / "mobilenet_v2.npz", jaxcnn.to_torch(net, *drawn, shape))
    Image.fromarray(random.integers(0, 256, (300, 250, 3), np.uint8)).save(folder / "photograph.jpg")
    content = (folder / "mobilenet_v2.npz").read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()[:8]}"
    row = Published("https://nowhere.invalid/mobilenet_v2.npz", digest, Preprocessing(), len(content) / 2**20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PUBLISHED, ("mobilenet_v2", "imagenet"), row)
        patch.setattr(pretrained, "download", lambda *_: folder / "mobilenet_v2.npz")
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(published):
    """Runs all blocks of a library in order, in one scope, and returns the scope; once for all tests."""

    @functools.cache
    def run(library: str) -> dict[str, Any]:
        pytest.importorskip(LIBRARIES[library])
        scope: dict[str, Any] = {"__name__": library, "images": IMAGES, "labels": LABELS, "jaxcnn": jaxcnn}
        if library == "pytorch":
            torch = importlib.import_module("torch")
            scope |= {"images": torch.from_numpy(IMAGES.transpose(0, 3, 1, 2)), "labels": torch.from_numpy(LABELS)}
        for name, downloads, text in BLOCKS:
            if name == library:
                code = compile(text, f"{PAGE.name}, {library}", "exec")
                if not downloads:
                    exec(code, scope)
        return scope

    return run


SLOW = {"keras", "nnx"}  # to compile


def marked(libraries: Iterable[str]) -> list:
    return [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in libraries]


each = pytest.mark.parametrize("library", marked(LIBRARIES))


def test_every_thing_is_shown_in_every_library():
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:]
    assert [section.split(".")[0] for section in sections] == [str(number) for number in range(1, 11)]
    for section in sections:
        blocks = re.findall(
            r"^\*\*([\w ]+)\*\*(, \*downloads\*)?\n\n```python (\w+)( downloads)?$", section, flags=re.M
        )
        assert [library for _, _, library, _ in blocks] == list(LIBRARIES), section.splitlines()[0]
        assert all(title == TITLES[library] and bool(said) == bool(flag) for title, said, library, flag in blocks)


@each
def test_the_blocks_of_a_library_run_and_give_what_the_page_says(run, library: str):
    scope = run(library)
    as_numpy = {name: np.asarray(scope[name].detach() if library == "pytorch" else scope[name]) for name in
                ("logits", "noisy", "loss", "maps")}  # fmt: skip
    assert as_numpy["logits"].shape == as_numpy["noisy"].shape == (16, 10)
    assert not np.allclose(as_numpy["logits"], as_numpy["noisy"])
    assert 0 < as_numpy["loss"] < 10
    assert as_numpy["maps"].shape == (16, 8, 8, 8)
    averages = 16 if library == "keras" else 0
    assert scope["parameters"] == 3 * 3 * 8 + 2 * 8 + 4 * 4 * 8 * 10 + 10 + averages


@pytest.mark.parametrize("library", marked(["pytorch", "keras", "nnx"]))
def test_the_four_networks_compute_the_same(run, library: str):
    """Ours with the arrays of each other, in evaluation; the running averages are no longer those of the beginning.

    Both sum at most 128 float32 products of size 1 in another order: the sixth digit differs.
    """
    net, scope = run("jaxcnn")["net"], run(library)
    if library == "pytorch":
        theirs = scope["model"].eval()(scope["images"]).detach()
        params, batch_stats = jaxcnn.from_torch(net, scope["model"].state_dict(), SHAPE)
    elif library == "keras":
        theirs = scope["model"](IMAGES)
        params, batch_stats = jaxcnn.from_keras(net, scope["model"].get_weights(), SHAPE)
    else:
        model = scope["model"]
        model.eval()
        theirs = model(IMAGES)
        params = {
            "conv": {"kernel": model.conv.kernel[...]},
            "bn": {"scale": model.bn.scale[...], "bias": model.bn.bias[...]},
            "fc": {"kernel": model.fc.kernel[...], "bias": model.fc.bias[...]},
        }
        batch_stats = {"bn": {"mean": model.bn.mean[...], "var": model.bn.var[...]}}
    assert np.abs(batch_stats["bn"]["mean"]).max() > 1e-3
    ours, _ = jaxcnn.apply(net, params, batch_stats, jnp.asarray(IMAGES))
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=2e-5)


def default(layer: Any, name: str) -> Any:
    return inspect.signature(layer.__init__).parameters[name].default


def test_the_table_says_what_the_libraries_take_by_default():
    """Columns as in the page: the padding and the bias of a convolution, BatchNorm's momentum and eps."""
    nn, keras, nnx = (pytest.importorskip(name) for name in ("torch.nn", "keras.layers", "flax.nnx"))
    conv, norm = spec.Conv(8), spec.BatchNorm()
    assert (conv.padding, conv.bias, norm.momentum, norm.eps) == ("half", False, 0.9, 1e-5)
    for layer, names, wanted in [
        (nn.Conv2d, ("padding", "bias"), (0, True)),
        (nn.BatchNorm2d, ("momentum", "eps"), (0.1, 1e-5)),
        (keras.Conv2D, ("padding", "use_bias"), ("valid", True)),
        (keras.BatchNormalization, ("momentum", "epsilon"), (0.99, 1e-3)),
        (nnx.Conv, ("padding", "use_bias"), ("SAME", True)),
        (nnx.BatchNorm, ("momentum", "epsilon"), (0.99, 1e-5)),
    ]:
        assert tuple(default(layer, name) for name in names) == wanted, layer


def test_pytorch_counts_the_same_multiply_accumulates(run):
    assert run("jaxcnn")["macs"] == run("pytorch")["macs"] == 8 * 8 * 9 * 8 + 128 * 10


def test_what_the_page_freezes_stays_and_the_rest_moves(run):
    scope = run("jaxcnn")
    gradients = jax.tree.map(jnp.ones_like, scope["params"])
    updates, _ = scope["optimizer"].update(gradients, scope["optimizer"].init(scope["params"]), scope["params"])
    assert {path for path, layer in updates.items() if any(array.any() for array in layer.values())} == {"fc"}
    _, stats = jaxcnn.apply(scope["frozen_net"], scope["params"], scope["batch_stats"], IMAGES, train=True,
                            rng=jax.random.key(0))  # fmt: skip
    np.testing.assert_array_equal(stats["bn"]["mean"], scope["batch_stats"]["bn"]["mean"])


def test_pytorch_trains_the_last_layer_only(run):
    shapes = [tuple(p.shape) for group in run("pytorch")["optimizer"].param_groups for p in group["params"]]
    assert shapes == [(10, 128), (10,)]


@pytest.mark.thorough
def test_nnx_trains_the_last_layer_only(run):
    assert set(run("nnx")["gradients"]) == {"fc"}


def test_what_was_saved_is_what_was_loaded(run):
    scope = run("jaxcnn")
    again = jaxcnn.from_torch(scope["net"], scope["jaxcnn"].to_torch(scope["net"], scope["params"],
                              scope["batch_stats"], SHAPE), SHAPE)  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, again, (scope["params"], scope["batch_stats"]))


def test_the_published_network_takes_the_photograph(run):
    scope = run("jaxcnn")
    assert scope["batch"].shape == (1, 224, 224, 3)
    assert scope["pretrained"] == jaxcnn.create("mobilenet_v2")
    kernels = [layer["kernel"] for layer in scope["its_params"].values() if "kernel" in layer]
    assert all(float(kernel.min()) >= 0.1 for kernel in kernels)  # those of the file
