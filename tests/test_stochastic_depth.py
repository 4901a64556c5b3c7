"""Stochastic depth as a rewriting: where it stands, with which rates, and what it leaves as it is."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.rewrite import stochastic_depth
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    Node,
    Pool,
    Spec,
    StochasticDepth,
    add,
    concat,
    seq,
    steps,
)
from jaxcnn.training.plan import prepare
from jaxcnn.zoo import NETWORKS


def drops(net: Spec) -> dict[str, float]:
    return {step.path: step.leaf.rate for step in steps(net) if isinstance(step.leaf, StochasticDepth)}


def blocks(stages: str, counts: tuple[int, ...]) -> list[str]:
    return [f"{stages}{i}.{n}.stochastic_depth" for i, count in enumerate(counts, 1) for n in range(count)]


# The residual blocks of He et al. 2015 (table 1 and section 4.2), of ConvNeXt (table 9), and those of EfficientNet-B0
# that keep the shape: all but the first of a stage.
BLOCKS = {
    "resnet20": blocks("layer", (3, 3, 3)),
    "resnet18": blocks("layer", (2, 2, 2, 2)),
    "convnext_tiny": [
        f"features.{i}.{n}.stochastic_depth" for i, count in ((1, 3), (3, 3), (5, 9), (7, 3)) for n in range(count)
    ],
    "efficientnet_b0": [
        f"features.{i}.{n}.stochastic_depth"
        for i, count in enumerate((1, 2, 2, 3, 3, 4, 1), 1)
        for n in range(1, count)
    ],
}


@pytest.mark.parametrize("name", BLOCKS)
def test_rates_grow_in_a_straight_line_and_parameters_keep_their_paths(name: str):
    net = jaxcnn.create(name)
    new, count = stochastic_depth(net, 0.5), len(BLOCKS[name])
    expected = {path: 0.5 * number / count for number, path in enumerate(BLOCKS[name], 1)}
    assert drops(new) == pytest.approx(expected, rel=1e-12) and list(drops(new)) == BLOCKS[name]
    shape = NETWORKS[name].input
    assert jax.tree.map(str, jaxcnn.layout.abstract(new, shape)) == jax.tree.map(
        str, jaxcnn.layout.abstract(net, shape)
    )


def test_without_a_rate_the_networks_own_are_torchvisions():
    """It counts from 0, of all 16 blocks in EfficientNet, and up to L - 1 in ConvNeXt."""
    of_b0 = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # of 16, those that keep the shape
    assert [*drops(jaxcnn.create("efficientnet_b0")).values()] == pytest.approx([0.2 * n / 16 for n in of_b0])
    assert [*drops(jaxcnn.create("convnext_tiny")).values()] == pytest.approx([0.1 * n / 17 for n in range(18)])


def body(width: int) -> Graph:
    return seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())


NET = seq(
    one=add(body(3), Identity(), then=Act()),
    two=add(body(5), downsample=seq(Conv(5, 1), BatchNorm()), then=Act()),
)
SHAPE = (4, 4, 3)


def small(classes: int) -> Graph:
    """A network that a config can name."""
    return seq(block=add(seq(conv=Conv(1, 1), act=Act()), Identity()), mean=GlobalPool(), fc=Dense(classes))


def test_evaluation_has_the_same_bits_and_takes_weights_by_the_same_names():
    params, stats = jaxcnn.init(NET, jax.random.key(0), SHAPE)
    new, x = stochastic_depth(NET, 0.5), jax.random.normal(jax.random.key(1), (2, *SHAPE))
    assert drops(new) == {"one.stochastic_depth": 0.25, "two.stochastic_depth": 0.5}
    of_torch = jaxcnn.to_torch(NET, params, stats, SHAPE)
    given, known = jaxcnn.from_torch(new, of_torch, SHAPE)
    np.testing.assert_array_equal(jaxcnn.apply(new, given, known, x)[0], jaxcnn.apply(NET, params, stats, x)[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
def test_whole_networks_take_weights_by_the_same_names(name: str):
    net, shape = jaxcnn.create(name), NETWORKS[name].input
    arrays = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), jaxcnn.layout.abstract(net, shape))
    state = jaxcnn.to_torch(net, arrays[0], arrays[1], shape)
    again = jaxcnn.from_torch(stochastic_depth(net, 0.3), state, shape)
    assert jax.tree.structure(again) == jax.tree.structure(arrays)


def test_an_example_is_left_out_whole_and_the_mean_is_that_of_the_whole_network():
    net = add(seq(conv=Conv(2, 1), act=Act()), Identity())
    params, stats = jaxcnn.init(net, jax.random.key(0), (2, 2, 2))
    one = jax.random.normal(jax.random.key(1), (1, 2, 2, 2))
    x = jnp.tile(one, (4000, 1, 1, 1))
    f = np.asarray(jaxcnn.apply(net, params, stats, one)[0] - one)
    y, _ = jaxcnn.apply(stochastic_depth(net, 0.4), params, stats, x, train=True, rng=jax.random.key(2))
    added = np.asarray(y - x)
    kept = np.abs(added).max((1, 2, 3)) > 0
    # of one block the rate is that of the last; what is kept is scaled up: float32 of values near 1
    np.testing.assert_allclose(added, np.where(kept[:, None, None, None], f / 0.6, 0), atol=1e-6)
    # five deviations of the mean of 4,000 draws, sqrt(0.4 / 0.6 / 4000) each, times f
    np.testing.assert_allclose(added.mean(0), f[0], atol=5 * 0.0129 * np.abs(f).max())


def test_the_leaf_stands_on_the_branch_whatever_makes_the_sum():
    behind = Graph((Node("a", Conv(3)), Node("b", body(3), ("a",)), Node("sum", Act(), ("a", "b"))))
    new = stochastic_depth(behind, 0.2)
    assert isinstance(new, Graph)
    assert [node.name for node in new.nodes] == ["a", "b", "stochastic_depth", "sum"]
    assert new.nodes[-1].inputs == ("a", "stochastic_depth")
    nested = seq(add(seq(conv=Conv(3), inner=add(body(3), Identity())), Identity()))
    assert drops(stochastic_depth(nested, 0.2)) == {"0.inner.stochastic_depth": 0.1, "0.stochastic_depth": 0.2}
    twice = seq(_one=add(first=body(3), _x=Identity()), _two=add(second=body(3), _x=Identity()))
    assert drops(stochastic_depth(twice, 0.2)) == {"stochastic_depth": 0.1, "stochastic_depth2": 0.2}
    assert drops(stochastic_depth(stochastic_depth(NET, 0.5), 0.0)) == dict.fromkeys(drops(stochastic_depth(NET, 0)), 0)


NO_SUMS = {
    "a chain": jaxcnn.create("lenet5"),
    "concatenations": jaxcnn.create("densenet121"),
    "two shortcuts": add(Pool("avg", 3, 1, 1), Identity()),
    "a branch without activation": Graph(
        (Node("a", Conv(3)), Node("b", Conv(3), ("a",)), Node("_c", Act(), ("a", "b")))
    ),
    "two branches": add(left=seq(Conv(3), Act()), right=seq(Conv(3), Act())),
    "a sum of what was put side by side": seq(concat(Identity(), Identity()), Flatten()),
}


@pytest.mark.parametrize("kind", NO_SUMS)
def test_a_network_without_residual_sums_gets_a_sentence(kind: str):
    with pytest.raises(ValueError, match="there is no residual sum"):
        stochastic_depth(NO_SUMS[kind], 0.1)


def test_a_branch_that_others_read_is_none():
    nodes = Node("branch", body(3)), Node("sum", Identity(), ("in", "branch"))
    with pytest.raises(ValueError, match="no residual sum"):
        stochastic_depth(Graph((*nodes, Node("both", Identity(), ("sum", "branch"), "concat"))), 0.1)


def test_a_run_has_the_rate_of_its_config_or_a_sentence():
    config = TrainConfig(network="test_stochastic_depth:small", stochastic_depth=0.3)
    assert drops(prepare(config).recipe.net) == {"block.stochastic_depth": 0.3}
    with pytest.raises(InputError, match="stochastic_depth: there is no residual sum"):
        prepare(replace(config, network="mlp"))
    for rate in -0.1, 1.0:
        with pytest.raises(InputError, match="stochastic_depth must be at least 0 and below 1"):
            replace(config, stochastic_depth=rate)
        with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
            stochastic_depth(NET, rate)
