"""Blocks that are computed again for the gradient: the same numbers, from less memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_steps import KEY, PLAIN, RECIPE, batch_of

import jaxcnn
from jaxcnn.config import DataConfig, TrainConfig
from jaxcnn.data.batches import Batch
from jaxcnn.host.errors import InputError
from jaxcnn.ops import native
from jaxcnn.ops.recompute import recomputed
from jaxcnn.rewrite import ghost_batch_norm, in_blocks
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Graph,
    Identity,
    Node,
    Pool,
    Spec,
    add,
    seq,
    steps,
)
from jaxcnn.training.diagnosis import first_not_finite
from jaxcnn.training.plan import prepare
from jaxcnn.training.steps import Recipe, empty_sums, guarded_step, init_state


def headless(classes: int) -> Graph:
    """A network of which nothing can be computed again."""
    return seq(pool=GlobalPool(), fc=Dense(classes))


def block(width: int) -> Graph:
    body = seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), drop=Dropout(0.3), conv2=Conv(width), bn2=BatchNorm())
    return add(body, Identity(), then=Act())


NET = seq(
    stem=Conv(8), bn=BatchNorm(), act=Act(), blocks=seq(*[block(8)] * 3),
    wide=Conv(8), relu=Act(), pool=Pool("max", 2), mean=GlobalPool(), fc=Dense(3),
)  # fmt: skip


def in_parts(net: Spec) -> list[list[str]]:
    """What is in each block."""
    net, blocks = in_blocks(net)
    found: list[list[str]] = []

    def whole(graph, path, position):
        if position in blocks:
            found.append([step.path for step in steps(graph, path)])
            return lambda value: value
        return None

    jaxcnn.spec.interpret(net, None, lambda *_: None, lambda *_: None, whole=whole)
    return found


def test_blocks_are_where_values_meet_and_runs_begin_with_a_convolution():
    residual = ["conv1", "bn1", "relu", "drop", "conv2", "bn2"]
    inner = [[f"blocks.{n}.{name}" for name in residual] + [f"blocks.{n}"] * 2 for n in range(3)]
    assert in_parts(NET) == [["stem", "bn", "act"], *inner, ["wide", "relu", "pool", "mean"]]
    read_twice = Graph((Node("a", Conv(3)), Node("b", Act(), ("a",)), Node("sum", Act(), ("a", "b"))))
    assert in_parts(read_twice) == []
    underlined = seq(a=Conv(3), b=Act(), _b=Conv(3), __b=Act())
    assert in_parts(underlined) == [["a", "b"], ["", ""]] and in_parts(in_blocks(underlined)[0]) == in_parts(underlined)
    layers = [part for part in in_parts(jaxcnn.create("densenet121")) if "denselayer" in part[0]]
    assert len(layers) == 6 + 12 + 24 + 16 and {len(part) for part in layers} == {6}  # not a dense block as one


@pytest.mark.parametrize("name", ["resnet20", "googlenet", "nasnet_mobile", "efficientnet_b0"])
def test_all_layers_keep_their_paths_and_arrays(name: str):
    net, shape = jaxcnn.create(name), jaxcnn.zoo.NETWORKS[name].input
    new, blocks = in_blocks(net)
    rows = [(row.path, row.leaf, row.layout.output) for row in jaxcnn.walk(net, shape)]
    assert [(row.path, row.leaf, row.layout.output) for row in jaxcnn.walk(new, shape)] == rows
    assert len(blocks) == len(in_parts(net)) > 8


def recipes() -> tuple[Recipe, Recipe]:
    """Of a training that keeps all, and of one that computes again."""
    net, blocks = in_blocks(NET)
    plain = replace(RECIPE, net=NET)
    return plain, replace(plain, net=net, blocks=blocks)


def compiled(recipe: Recipe, shape: tuple[int, ...], size: int):
    """A step for so many images, compiled."""

    def arguments():
        images = jnp.zeros((size, *shape), jnp.uint8)
        batch = Batch(images, jnp.zeros(size, jnp.int32), jnp.ones(size), jnp.zeros(size, jnp.int32))
        return init_state(recipe, KEY, shape), empty_sums(recipe), batch, KEY

    step = jax.jit(partial(guarded_step, recipe=recipe), donate_argnums=0)
    return step.lower(*jax.eval_shape(arguments)).compile()


def memory(step) -> int:
    """Bytes that a compiled step takes besides its arguments and results."""
    return step.memory_analysis().temp_size_in_bytes


def check_same(recipes: tuple[Recipe, Recipe], both) -> None:
    """Gradients with the same dropout, running averages that have moved once, padding."""
    begin = jax.device_get((init_state(recipes[0], KEY, (6, 6, 1)), empty_sums(recipes[0])))
    (one, sums), (two, again) = (step(*jax.device_put(begin), batch_of(61, 3), KEY) for step in both)
    # the same float32 formulas, which XLA may fuse otherwise in a program of their own
    chex.assert_trees_all_close(one.params, two.params, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(one.batch_stats, two.batch_stats, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(sums, again, rtol=1e-5)


def test_a_step_is_the_same_and_takes_less_memory():
    both = [compiled(recipe, (6, 6, 1), 64) for recipe in recipes()]
    check_same(recipes(), both)
    # of five blocks the largest is kept whole, and of the others what enters them
    assert memory(both[1]) < 0.7 * memory(both[0])


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "normalized"), [(2, 1), (1, 4)], ids=["in parts", "normalized in parts"])
def test_a_step_in_parts_is_the_same(parts, normalized):
    plain, again = (replace(recipe, net=ghost_batch_norm(recipe.net, normalized), parts=parts) for recipe in recipes())
    check_same((plain, again), [compiled(recipe, (6, 6, 1), 64) for recipe in (plain, again)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet20", "cifar_cnn"])
@pytest.mark.parametrize("switch", ["1", "0"], ids=["where there is a C++ program", "without"])
def test_whole_networks_take_two_thirds_of_the_memory_or_less(name: str, switch: str):
    net = jaxcnn.create(name, classes=10)
    new, blocks = in_blocks(net)
    with native.switched(switch):
        plain, again = (
            memory(compiled(Recipe(each, PLAIN, (0.5,) * 3, (0.25,) * 3, blocks=of), (32, 32, 3), 128))
            for each, of in ((net, frozenset()), (new, blocks))
        )
    assert again < 0.65 * plain


def test_a_gradient_that_is_no_number_stays_none():
    function = recomputed(lambda moved, fixed: (moved["x"] * fixed, jnp.sum(moved["x"])))
    _, back = jax.vjp(lambda x: function({"x": x}, jnp.float32(2))[0], jnp.ones(3))
    np.testing.assert_array_equal(back(jnp.array([1.0, 2.0, 3.0]))[0], [2, 4, 6])
    assert np.isnan(back(jnp.array([jnp.nan, 2.0, 3.0]))[0]).all()
    assert np.isnan(back(jnp.array([1.0, jnp.nan, 3.0]))[0][1])


def test_a_layer_inside_a_block_is_named_where_numbers_are_not_finite():
    recipe = recipes()[1]
    state = init_state(recipe, jax.random.key(0), (6, 6, 1))
    broken = state.params["blocks.1.conv2"] | {"kernel": jnp.full((3, 3, 8, 8), 3e38)}
    state = state.replace(params=state.params | {"blocks.1.conv2": broken})  # type: ignore[attr-defined]
    assert first_not_finite(recipe, state, batch_of(5), KEY) == "the output of layer 'blocks.1.conv2'"


def test_a_run_computes_blocks_again_or_says_that_there_are_none():
    config = TrainConfig(network="lenet5", data=DataConfig(size=(28, 28)), remat=True)
    recipe = prepare(config).recipe
    assert (recipe.net, recipe.blocks) == in_blocks(jaxcnn.create("lenet5")) and len(recipe.blocks) == 4
    with pytest.raises(InputError, match="remat: network 'test_remat:headless' has no blocks that could be computed"):
        prepare(replace(config, network="test_remat:headless"))
