"""`features` reads named activations, by path or pattern, from one forward pass: with branches, and compiled."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import random

import jaxcnn
from jaxcnn import rewrite
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Node, add, concat, mul, seq


def block(width: int) -> Graph:
    return add(seq(conv1=Conv(width), bn1=BatchNorm(), relu=Act(), conv2=Conv(width)), Identity(), then=Act())


NET = seq(
    stem=Conv(4),
    layer1=seq(block(4), block(4)),
    mixed=concat(branch1=Conv(2, 1), branch2=seq(conv=Conv(3), act=Act())),
    gate=mul(Identity(), squeeze=seq(pool=GlobalPool(keepdims=True), fc=Conv(5, 1), act=Act("sigmoid"))),
    heads=Graph(
        (
            Node("aux", seq(pool=GlobalPool(), fc=Dense(3))),
            Node("pool", GlobalPool()),
            Node("fc", Dense(3), ("pool",)),
        )
    ),
)


@pytest.fixture(scope="module")
def trees():
    params, stats = jaxcnn.abstract(NET, (6, 5, 2))
    drawn = [
        jax.tree.map(lambda leaf: jnp.asarray(0.5 + abs(random(1, *leaf.shape)), "float32"), t) for t in (params, stats)
    ]
    return *drawn, jnp.asarray(random(0, 2, 6, 5, 2), jnp.float32)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["layer1.1"], ["layer1.1"]),
        ("layer1.1", ["layer1.1"]),
        (["layer1.*.conv2"], ["layer1.0.conv2", "layer1.1.conv2"]),
        (["layer1.?"], ["layer1.0", "layer1.1"]),
        (["mixed*"], ["mixed.branch1", "mixed.branch2.conv", "mixed.branch2.act", "mixed.branch2", "mixed"]),
        (["gate.squeeze", "heads.aux.fc", "heads.fc"], ["gate.squeeze", "heads.aux.fc", "heads.fc"]),
        (["heads.fc", "*.fc"], ["heads.fc", "gate.squeeze.fc", "heads.aux.fc"]),
    ],
)
def test_patterns_reach_into_blocks_branches_gates_and_heads(trees, wanted, found):
    assert set(jax.eval_shape(partial(jaxcnn.features, NET, paths=wanted), *trees)) == set(found)


def test_a_feature_is_the_output_of_the_network_cut_there(trees):
    everything = jaxcnn.features(NET, *trees, ["*"])
    for path in ("layer1.0", "mixed.branch2", "mixed", "gate.squeeze", "heads.aux", "heads.fc"):
        np.testing.assert_array_equal(everything[path], jaxcnn.apply(rewrite.cut(NET, path), *trees)[0])


def test_compiled_features_are_the_same(trees):
    paths = ["layer1.?", "mixed.*", "heads.aux.fc"]
    compiled = jax.jit(partial(jaxcnn.features, NET, paths=paths))(*trees)
    plain = jaxcnn.features(NET, *trees, paths)
    assert list(compiled) == sorted(plain)  # a dictionary that crosses jit comes back sorted by key
    for path in plain:
        np.testing.assert_allclose(compiled[path], plain[path], rtol=1e-5)  # float32: fused sums round otherwise


def test_what_nobody_reads_is_not_computed(by_xla, trees):
    """Compiled for the stem alone, the program holds the stem's convolution and no other."""
    compiled = jax.jit(partial(jaxcnn.features, NET, paths=["stem"])).lower(*trees).compile()
    stem = jax.jit(partial(jaxcnn.apply, rewrite.cut(NET, "stem"))).lower(*trees).compile()
    costs = [program.cost_analysis() for program in (compiled, stem)]
    assert costs[0] and costs[1] and costs[0]["flops"] == costs[1]["flops"] > 0


def test_one_pass_serves_every_feature(trees, monkeypatch):
    calls = []
    conv = jaxcnn.ops.conv
    monkeypatch.setattr(jaxcnn.ops, "conv", lambda *given, **options: calls.append(1) or conv(*given, **options))
    jaxcnn.features(NET, *trees, ["layer1.*", "mixed", "heads.*"])
    assert len(calls) == sum(isinstance(row.leaf, Conv) for row in jaxcnn.walk(NET, (6, 5, 2))) == 8
