"""Sizes as NumPy writes them, batches of no examples, and arrays that meet without rank promotion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_every_reading import SAMPLES, input_of

import jaxcnn
from jaxcnn import ops, spec
from jaxcnn.ops import native
from jaxcnn.spec import Leaf, seq


def normal(*shape: int, seed: int = 0, dtype="float32") -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


X = normal(2, 6, 6, 4)
POOLED, INDICES = ops.max_pool_with_indices(X, 2)
# Every size of every operation, as a function of what turns a number or a list into one.
SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "conv": lambda n, many: ops.conv(X, normal(3, 3, 2, 4), stride=n(2), padding=n(1), dilation=n(1), groups=n(2)),
    "conv, by dimension": lambda n, many: ops.conv(
        X, normal(3, 3, 4, 4), stride=many([2, 1]), padding=many([[1, 0], [2, 1]]), dilation=many([1, 2])
    ),
    "conv_transpose": lambda n, many: ops.conv_transpose(
        X, normal(3, 3, 2, 4), stride=n(2), padding=many([1, 0]), output_padding=many([1, 0]), groups=n(2)
    ),
    "depthwise_conv": lambda n, many: ops.depthwise_conv(X, normal(3, 3, 1, 4), stride=n(2)),
    "max_pool": lambda n, many: ops.max_pool(X, many([2, 3]), n(2), padding=n(1), dilation=n(1)),
    "max_unpool": lambda n, many: ops.max_unpool(POOLED, INDICES, many([6, 6])),
    "avg_pool": lambda n, many: ops.avg_pool(X, n(3), many([2, 1]), padding=many([1, 0])),
    "lp_pool": lambda n, many: ops.lp_pool(X, n(3)),
    "adaptive_avg_pool": lambda n, many: (ops.adaptive_avg_pool(X, n(4)), ops.adaptive_avg_pool(X, many([2, 5]))),
    "adaptive_max_pool": lambda n, many: (ops.adaptive_max_pool(X, n(4)), ops.adaptive_max_pool(X, many([2, 5]))),
    "upsample": lambda n, many: (ops.upsample(X, n(2)), ops.upsample(X, many([2, 3]), method="bilinear")),
    "channel_shuffle": lambda n, many: ops.channel_shuffle(X, n(2)),
    "local_response_norm": lambda n, many: ops.local_response_norm(X, size=n(3)),
    "dropout": lambda n, many: ops.dropout(X, n(0), jax.random.key(0)),
}


@pytest.mark.parametrize(
    ("number", "many"),
    [(np.int64, np.array), (np.int32, tuple), (np.uint8, lambda a: np.array(a, np.uint8)), (jnp.array, jnp.array)],
    ids=["int64", "int32", "uint8", "jax"],
)
@pytest.mark.parametrize("name", SIZES)
def test_a_size_of_numpy_is_the_same_as_pythons(name: str, number, many):
    expected = SIZES[name](int, list)
    for one, other in zip(jax.tree.leaves(SIZES[name](number, many)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, np.float32(2), None, "2"])
@pytest.mark.parametrize("name", ["conv", "conv_transpose", "channel_shuffle", "local_response_norm"])
def test_what_is_no_number_of_groups_is_refused_in_a_sentence_that_says_so(name: str, wrong):
    calls = {
        "conv": lambda: ops.conv(X, normal(3, 3, 2, 4), groups=wrong),
        "conv_transpose": lambda: ops.conv_transpose(X, normal(3, 3, 2, 4), groups=wrong),
        "channel_shuffle": lambda: ops.channel_shuffle(X, wrong),
        "local_response_norm": lambda: ops.local_response_norm(X, size=wrong),
    }
    with pytest.raises(ValueError, match=rf"{name}: (groups|size) must be an integer of at least 1, not ") as raised:
        calls[name]()
    assert str(raised.value).endswith(f"not {wrong!r}")


def kinds(leaf: Leaf) -> list[Leaf]:
    if isinstance(leaf, spec.Pool | spec.AdaptivePool | spec.GlobalPool):
        return [replace(leaf, kind=kind) for kind in ("max", "avg", *(["lp"] if isinstance(leaf, spec.Pool) else []))]
    return [leaf, spec.Conv(4, 3, groups=4)] if isinstance(leaf, spec.Conv) else [leaf]


LEAVES = [one for leaf in SAMPLES.values() for one in kinds(leaf)]


def trained(leaf: Leaf, examples: int):
    """The output in training and in evaluation, the new statistics, the old ones, and all gradients."""
    shape = input_of(leaf)
    net = seq(leaf=leaf)
    params, stats = jaxcnn.init(net, jax.random.key(0), shape)

    def loss(params, x):
        y, new = jaxcnn.apply(net, params, stats, x, train=True, rng=jax.random.key(1))
        return jnp.square(y).sum(), (y, new)

    x = normal(examples, *shape)
    gradients, (y, new) = jax.grad(loss, (0, 1), has_aux=True)(params, x)
    return (y, jaxcnn.apply(net, params, stats, x)[0]), new, stats, gradients


@pytest.fixture(params=["1", pytest.param("0", marks=pytest.mark.slow)], ids=["C++", "XLA"])
def both_ways(request: pytest.FixtureRequest):
    with native.switched(request.param):
        yield


def test_no_layer_leans_on_rank_promotion(both_ways):
    """In training, evaluation and gradient. It is seen when they are traced; nothing needs to be computed."""
    for leaf in LEAVES:
        with jax.numpy_rank_promotion("raise"):
            jax.eval_shape(lambda leaf=leaf: trained(leaf, 2))


ALONE: dict[str, Callable[[jax.Array], Any]] = {
    "conv in bfloat16": lambda x: ops.conv(x, jnp.ones((3, 3, 2, 8), x.dtype), jnp.ones(8, x.dtype), groups=2),
    "depthwise": lambda x: ops.depthwise_conv(x, jnp.ones((3, 3, 1, 8), x.dtype), stride=2),
    "conv_transpose": lambda x: ops.conv_transpose(x, jnp.ones((3, 3, 3, 4), x.dtype), stride=2, groups=2),
    "max_pool": lambda x: ops.max_pool(x, 3, 2, padding=1),
    "max_pool_with_indices": lambda x: ops.max_pool_with_indices(x, 2)[0],
    "max_unpool": lambda x: ops.max_unpool(x, jnp.zeros(x.shape, int), (7, 7)),
    "avg_pool": lambda x: ops.avg_pool(x, 3, 2, padding=1, count_include_pad=False),
    "lp_pool": lambda x: ops.lp_pool(x, 3, 2, p=9.0),
    "batch_norm": lambda x: ops.batch_norm(x, None, jnp.ones(4, x.dtype), mask=jnp.ones(len(x), bool))[0],
    "layer_norm": lambda x: ops.layer_norm(x, jnp.ones(4, x.dtype), None),
    "radial_basis": lambda x: ops.radial_basis(x, jnp.ones((4, 3), x.dtype)),
    "upsample": lambda x: ops.upsample(x, 2, method="bilinear"),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ALONE)
def test_no_operation_leans_on_rank_promotion(name: str, dtype):
    """Values, and both modes of differentiation. What is computed follows from the dtype: bfloat16 goes by XLA."""
    x = X.astype(dtype)

    def derivatives(x):
        y, back = jax.vjp(ALONE[name], x)
        return y, back(y), jax.jvp(ALONE[name], (x,), (x,))

    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(derivatives, x)


@pytest.mark.thorough
def test_a_batch_of_no_examples_goes_through_every_layer_and_changes_nothing(both_ways):
    """Gradients of parameters are sums of nothing, running averages stay."""
    for leaf in LEAVES:
        outputs, new, old, (of_params, of_x) = trained(leaf, 0)
        for y in outputs:
            assert y.shape == (0, *jaxcnn.output_shape(seq(leaf=leaf), input_of(leaf))), leaf
        assert of_x.shape == (0, *input_of(leaf))
        assert all((np.asarray(gradient) == 0).all() for gradient in jax.tree.leaves(of_params)), leaf
        for one, other in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(leaf))


def test_a_batch_of_which_no_example_counts_moves_no_running_average():
    net = seq(bn=spec.BatchNorm())
    params, stats = jaxcnn.init(net, jax.random.key(0), (6, 6, 4))
    for mask, stays in (jnp.zeros(2), True), (jnp.array([0.0, 1.0]), False):
        y, new = jax.jit(lambda mask: jaxcnn.apply(net, params, stats, X[:2], train=True, mask=mask))(mask)
        assert np.isfinite(y).all()
        for name in stats["bn"]:
            assert (new["bn"][name] == stats["bn"][name]).all() == stays, (name, mask)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", ALONE)
def test_a_batch_of_no_examples_goes_through_every_operation(both_ways, name: str):
    y, back = jax.vjp(ALONE[name], X[:0])
    assert y.shape == (0, *ALONE[name](X).shape[1:]) and back(y)[0].shape == (0, 6, 6, 4)
    assert jax.jvp(ALONE[name], (X[:0],), (X[:0],))[1].shape == y.shape


def test_the_statistics_of_no_examples_are_zeros(both_ways):
    _, mean, variance = ops.batch_norm(X[:0], None, jnp.ones(4))
    assert (mean == 0).all() and (variance == 0).all()
