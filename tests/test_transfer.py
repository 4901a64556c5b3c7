"""Transfer learning: what is frozen stays to the bit, training begins with given weights, and can still be resumed."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import jaxcnn
from jaxcnn import optimizers, rewrite
from jaxcnn.commands.main import main
from jaxcnn.config import SGD, Adam, AdamW, Constant, DataConfig, OptimizerConfig, Penalty, TrainConfig
from jaxcnn.data import load
from jaxcnn.data.batches import Batch
from jaxcnn.data.pixels import normalize
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, seq
from jaxcnn.training import loop
from jaxcnn.training import run as runs
from jaxcnn.training.beginning import initial_key
from jaxcnn.training.diagnosis import first_not_finite
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.steps import Recipe, init_state, train_step
from jaxcnn.training.trained import trained
from jaxcnn.weights.preprocessing import Preprocessing
from jaxcnn.weights.published import PUBLISHED, Published

BODY = seq(conv=Conv(4), bn=BatchNorm(), act=Act())
NET = seq(body=BODY, conv2=Conv(4), bn2=BatchNorm(), pool=GlobalPool(), fc=Dense(3))
KEY = jax.random.key(5)
RULES = {
    "sgd": OptimizerConfig(SGD(weight_decay=0.1), lr=0.1, schedule=Constant()),
    "adamw": OptimizerConfig(AdamW(weight_decay=0.1), lr=0.1, schedule=Constant()),
}


def recipe_of(rule: str, *patterns: str) -> Recipe:
    net, frozen = rewrite.freeze(NET, patterns)
    made = optimizers.make(RULES[rule], 1, 1)
    return Recipe(net, made, (0.5,), (0.25,), penalty=Penalty(l1=1e-3, l2=1e-2), frozen=frozen)


def batch() -> Batch:
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (6, 8, 8, 1), np.uint8), rng.integers(0, 3, 6, np.int32)
    return Batch(jnp.asarray(images), jnp.asarray(labels), jnp.ones(6), jnp.arange(6, dtype=jnp.int32))


def unlike(tree):
    """Statistics that are those of no batch."""
    return jax.tree.map(lambda leaf: leaf + 0.3, tree)


def same(left, right) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True))


# The step.


@pytest.mark.parametrize("rule", RULES)
def test_what_is_frozen_keeps_every_bit_and_all_else_moves(rule: str):
    recipe = recipe_of(rule, "body")
    state = init_state(recipe, jax.random.key(0), (8, 8, 1))
    state = state.replace(batch_stats=unlike(state.batch_stats))
    after = state
    for _ in range(3):
        after, _ = train_step(after, batch(), KEY, recipe=recipe)
    for path in state.params:
        for name, array in state.params[path].items():
            assert same(array, after.params[path][name]) == path.startswith("body."), f"{path} {name}"
    assert same(state.batch_stats["body.bn"], after.batch_stats["body.bn"])
    assert not same(state.batch_stats["bn2"], after.batch_stats["bn2"])


@pytest.mark.parametrize("rule", RULES)
def test_the_optimizer_knows_nothing_of_what_is_frozen(rule: str):
    every, some = (init_state(recipe_of(rule, *patterns), KEY, (8, 8, 1)) for patterns in ((), ("body", "bn2")))
    frozen = {path: layer for path, layer in every.params.items() if path.startswith("body.") or path == "bn2"}
    assert set(frozen) == {"body.conv", "body.bn", "bn2"}
    moments = 1 if rule == "sgd" else 2
    missing = _numbers(every.opt_state) - _numbers(some.opt_state)
    assert missing == moments * _numbers(frozen) > 0


def _numbers(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.ndim)


def _flat(tree) -> list[tuple[str, jax.Array]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]


def test_a_step_with_a_frozen_body_is_that_of_the_head_alone_over_its_features():
    recipe = recipe_of("sgd", "body", "conv2", "bn2")
    state = init_state(recipe, jax.random.key(0), (8, 8, 1))
    state = state.replace(batch_stats=unlike(state.batch_stats))
    after, metrics = train_step(state, batch(), KEY, recipe=recipe)
    x = normalize(batch().images, (0.5,), (0.25,))
    body = rewrite.cut(NET, "pool")
    features, _ = jaxcnn.apply(body, state.params, state.batch_stats, x)  # in evaluation: by running statistics
    penalties = recipe.penalty

    def loss(layer):
        logits = features @ layer["kernel"] + layer["bias"]
        entropy = -jax.nn.log_softmax(logits)[jnp.arange(6), batch().labels].mean()
        kernel = layer["kernel"]
        return entropy + penalties.l1 * jnp.abs(kernel).sum() + penalties.l2 / 2 * jnp.square(kernel).sum()

    rule = optimizers.make(RULES["sgd"], 1, 1)
    head = {"fc": state.params["fc"]}
    gradients = {"fc": jax.grad(loss)(head["fc"])}
    updates, _ = rule.update(gradients, rule.init(head), head)
    for name, update in updates["fc"].items():
        # the same float32 formulas in another order
        expected = head["fc"][name] + update
        np.testing.assert_allclose(after.params["fc"][name], expected, rtol=1e-5, atol=1e-6)
    norm = np.sqrt(sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(gradients)))
    np.testing.assert_allclose(metrics.gradient_norm, norm, rtol=1e-5)


def test_the_first_layer_that_is_not_finite_is_named_with_a_frozen_body_too():
    recipe = recipe_of("sgd", "body")
    state = init_state(recipe, KEY, (8, 8, 1))
    assert first_not_finite(recipe, state, batch(), KEY) == "the update"
    broken = state.replace(params=state.params | {"fc": jax.tree.map(lambda leaf: leaf + 3e38, state.params["fc"])})
    assert first_not_finite(recipe, broken, batch(), KEY) == "the output of layer 'fc'"


def test_given_weights_are_copied_into_the_state():
    recipe = recipe_of("sgd")
    start = unlike(jaxcnn.init(NET, KEY, (8, 8, 1)))
    state = init_state(recipe, jax.random.key(1), (8, 8, 1), start)
    assert same((state.params, state.batch_stats), start)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state.params, start[0]))]
    assert len(set(pointers)) == len(pointers)  # the step gives its own buffers away


# The run.

SMALL = TrainConfig(
    name="small",
    network="mlp",
    network_options={"width": 32},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(Adam(), lr=1e-2),
    epochs=2,
    batch_size=128,
)
QUIET = Console(quiet=True)


def run(config: TrainConfig, folder: Path, **options):
    return fit(config, results=folder, console=QUIET, **options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A file of PyTorch's names for an mlp that tells twelve classes of 8x8 images."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("weights") / "twelve.npz"
    shapes = {"fc1.weight": (32, 64), "fc1.bias": (32,), "fc2.weight": (12, 32), "fc2.bias": (12,)}
    np.savez(path, **{name: (0.1 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()})
    return path


def tuned(weights: Path, **changes) -> TrainConfig:
    return replace(SMALL, weights=str(weights), head="new", freeze=("fc1",), **changes)


def test_training_begins_with_the_weights_of_a_file_and_a_head_of_its_own_seed(weights: Path):
    given = np.load(weights)
    params, stats = prepare(tuned(weights)).start or pytest.fail("no weights were read")
    np.testing.assert_array_equal(params["fc1"]["kernel"], given["fc1.weight"].T)
    np.testing.assert_array_equal(params["fc1"]["bias"], given["fc1.bias"])
    assert params["fc2"]["kernel"].shape == (32, 10) and stats == {}
    other, _ = prepare(tuned(weights, seed=1)).start or pytest.fail("no weights were read")
    assert same(params["fc1"], other["fc1"]) and not same(params["fc2"], other["fc2"])
    drawn = init_state(prepare(SMALL).recipe, initial_key(SMALL), (8, 8, 1))
    np.testing.assert_array_equal(params["fc2"]["kernel"], drawn.params["fc2"]["kernel"])


def test_a_frozen_layer_comes_out_of_a_run_as_it_was_in_the_file(weights: Path, tmp_path: Path):
    result = run(tuned(weights), tmp_path)
    assert result["test_accuracy"] > 0.3  # a linear classifier over random features, for 24 steps; chance is 0.1
    np.testing.assert_array_equal(trained(tmp_path / "small").params["fc1"]["kernel"], np.load(weights)["fc1.weight"].T)
    assert main(["evaluate", str(tmp_path / "small")]) == 0  # without the weights' file or the frozen layers


@pytest.mark.every(2)
@pytest.mark.parametrize("lost", [False, True])
def test_a_stopped_run_resumes_to_the_same_bits_without_its_weights_too(lost, weights, tmp_path, monkeypatch):
    """Once there is a checkpoint, the file of weights is not needed any more."""
    mine = tmp_path / "mine.npz"
    mine.write_bytes(weights.read_bytes())
    config = tuned(mine)
    expected = run(config, tmp_path / "unbroken")
    original, count = runs.compiled, 0

    def compiled(*given):
        steps = original(*given)

        def train(*arguments):
            nonlocal count
            count += 1
            if count == 15:
                os.kill(os.getpid(), signal.SIGTERM)
            return steps.train(*arguments)

        return steps._replace(train=train)

    monkeypatch.setattr(runs, "compiled", compiled)
    with pytest.raises(loop.Interrupted):
        run(config, tmp_path)
    monkeypatch.undo()
    if lost:
        mine.unlink()
    assert run(config, tmp_path, resume=True)["params_sha256"] == expected["params_sha256"]


@pytest.mark.thorough
def test_a_run_stopped_before_its_first_checkpoint_begins_with_its_weights_again(weights, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_train_epoch", fail)
    with pytest.raises(KeyboardInterrupt):
        run(tuned(weights), tmp_path)
    monkeypatch.undo()
    result = run(tuned(weights), tmp_path, resume=True)
    assert result["params_sha256"] == run(tuned(weights), tmp_path / "unbroken")["params_sha256"]


def test_training_begins_where_another_run_ended(tmp_path: Path):
    run(replace(SMALL, epochs=1), tmp_path)
    before = trained(tmp_path / "small")
    config = replace(SMALL, name="more", weights=str(tmp_path / "small"))
    params, stats = prepare(config).start or pytest.fail("no weights were read")
    assert same((params, stats), (before.params, before.batch_stats))
    with pytest.raises(InputError, match=r"small: the arrays do not fit the network: .*fc1\.kernel"):
        prepare(replace(config, network_options={"width": 16}))
    with pytest.raises(InputError, match="not the folder of a run"):
        prepare(replace(config, weights=str(tmp_path)))


def test_training_begins_with_published_weights_by_name(weights: Path, tmp_path: Path, monkeypatch):
    digest = f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    monkeypatch.setitem(PUBLISHED, ("mlp", "imagenet"), Published(weights.as_uri(), digest, Preprocessing(), 10))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert same(prepare(tuned(Path("imagenet"))).start, prepare(tuned(weights)).start)
    assert (tmp_path / "jaxcnn" / "weights" / "twelve.npz").is_file()
    with pytest.raises(InputError, match="there are no published weights 'imagenet_v2' of mlp; give imagenet, a file"):
        prepare(tuned(Path("imagenet_v2")))


def test_a_run_with_other_weights_is_not_resumed(weights: Path, tmp_path: Path):
    run(tuned(weights, epochs=1), tmp_path)
    with pytest.raises(InputError, match=r"was run with freeze = \['fc1'\], not \[\]"):
        run(replace(tuned(weights, epochs=1), freeze=()), tmp_path, resume=True)
    with pytest.raises(InputError, match=r"was run with weights = '.*twelve\.npz', not 'other\.npz'"):
        run(tuned(Path("other.npz"), epochs=1), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"freeze": ("fc3",)}, r"freeze: nothing is called 'fc3'; did you mean 'fc\d'"),
        ({"freeze": ("fc*",)}, r"freeze: fc\* leaves no parameter to train"),
        ({"weights": "nowhere.npz", "head": "new"}, r"nowhere\.npz"),
    ],
)
def test_what_cannot_be_frozen_or_loaded_is_refused_before_anything_is_written(change, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        run(replace(SMALL, **change), tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_of_other_classes_are_refused_with_the_option_that_helps(weights: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"fc2\.weight is 12x32, not 10x32.*head='new'"):
        run(replace(SMALL, weights=str(weights)), tmp_path)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"head": "new"}, "head new goes with weights"),
        ({"freeze": ("",)}, "freeze must be patterns that are not empty"),
        ({"freeze": "fc1"}, "freeze must be"),
        ({"head": "old", "weights": "a.npz"}, "head must be"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, sentence: str):
    with pytest.raises(InputError, match=sentence):
        TrainConfig(**fields)


# Few images.


def test_a_share_of_the_training_images_is_the_same_of_every_class_and_leaves_the_test_images():
    every, some = load(DataConfig("digits")), load(DataConfig("digits", train_fraction=0.1))
    counts, kept = np.bincount(every.train.labels), np.bincount(some.train.labels)
    assert (np.abs(kept - counts * 0.1) <= 0.5).all()
    assert same(every.test, some.test)
    other = load(DataConfig("digits", train_fraction=0.1, split_seed=1))
    assert len(other.train.labels) == len(some.train.labels) and not same(other.train.images, some.train.images)
    pool = {image.tobytes() for image in every.train.images}
    assert {image.tobytes() for image in some.train.images} <= pool


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5])
def test_a_share_that_is_none_is_refused(fraction: float):
    with pytest.raises(InputError, match=r"train_fraction must be in \(0, 1\]"):
        DataConfig("digits", train_fraction=fraction)
