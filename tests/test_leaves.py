"""The leaves that networks are made of: their shapes, parameters and values are those of the operations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops
from jaxcnn.spec import (
    AdaptivePool,
    BatchNorm,
    Bias,
    Channels,
    ConvTranspose,
    LayerNorm,
    Leaf,
    LocalResponseNorm,
    Pad,
    Pool,
    RadialBasis,
    Scale,
    Shuffle,
    StochasticDepth,
    Upsample,
    seq,
)

X = np.random.default_rng(0).normal(size=(2, 7, 6, 4)).astype(np.float32)

LEAVES: dict[str, tuple[Leaf, Any]] = {
    "ConvTranspose": (
        ConvTranspose(6, 3, 2, 1, 1, groups=2),
        lambda x, p: ops.conv_transpose(
            x, p["kernel"], p["bias"], stride=2, padding=1, output_padding=1, groups=2
        ),
    ),
    "ConvTranspose, same": (
        ConvTranspose(3, (4, 3), (2, 1), "same", bias=False),
        lambda x, p: ops.conv_transpose(x, p["kernel"], stride=(2, 1), padding="same"),
    ),
    "LayerNorm": (LayerNorm(1e-3), lambda x, p: ops.layer_norm(x, p["scale"], p["bias"], eps=1e-3)),
    "LocalResponseNorm": (LocalResponseNorm(3, 0.1, 0.5, 2.0), lambda x, p: ops.local_response_norm(
        x, size=3, alpha=0.1, beta=0.5, k=2.0)),
    "Pool, ceil": (
        Pool("max", 3, 2, ceil_mode=True),
        lambda x, p: ops.max_pool(x, 3, 2, ceil_mode=True),
    ),
    "Pool, dilated": (Pool("avg", 2, 1, 1, 2), lambda x, p: ops.avg_pool(x, 2, 1, padding=1, dilation=2)),
    "Pool, p-norm": (Pool("lp", 2, p=3.0), lambda x, p: ops.lp_pool(x, 2, p=3.0)),
    "AdaptivePool, average": (AdaptivePool((3, None)), lambda x, p: ops.adaptive_avg_pool(x, (3, None))),
    "AdaptivePool, maximum": (AdaptivePool(2, "max"), lambda x, p: ops.adaptive_max_pool(x, 2)),
    "Shuffle": (Shuffle(2), lambda x, p: ops.channel_shuffle(x, 2)),
    "Pad": (
        Pad(((1, 2), (0, -1)), 3.0),
        lambda x, p: jnp.pad(x[:, :, :-1], ((0, 0), (1, 2), (0, 0), (0, 0)), constant_values=3.0),
    ),
    "Pad, all around": (Pad(1), lambda x, p: jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))),
    "Channels": (Channels(1, 3), lambda x, p: x[..., 1:3]),
    "Channels, to the last": (Channels(2), lambda x, p: x[..., 2:]),
    "Scale": (Scale(0.25), lambda x, p: x * 0.25),
    "Scale, trainable": (Scale(0.25, trainable=True), lambda x, p: x * p["scale"]),
    "Bias": (Bias(), lambda x, p: x + p["bias"]),
    "Bias, per place": (Bias(per_place=True), lambda x, p: x + p["bias"].reshape(7, 6, 4)),
    "Upsample": (Upsample(2), lambda x, p: ops.upsample(x, 2)),
    "Upsample, linear": (
        Upsample((2, 3), "bilinear", True),
        lambda x, p: ops.upsample(x, (2, 3), method="bilinear", align_corners=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAVES)
def test_a_leaf_computes_its_operation_and_knows_its_shape(name: str):
    leaf, operation = LEAVES[name]
    params, stats = jaxcnn.init(leaf, jax.random.key(0), X.shape[1:])
    noisy = jax.tree.map(lambda a: a + 0.1 * np.random.default_rng(1).normal(size=a.shape).astype(np.float32), params)
    y, _ = jaxcnn.apply(leaf, noisy, stats, jnp.asarray(X))
    np.testing.assert_array_equal(y, operation(jnp.asarray(X), noisy.get("", {})))
    assert jaxcnn.output_shape(leaf, X.shape[1:]) == y.shape[1:]


def test_a_transposed_convolution_is_drawn_by_its_number_of_inputs():
    params, _ = jaxcnn.init(ConvTranspose(5, 3, 1, bias=False), jax.random.key(0), (8, 8, 400))
    # He normal: variance 2 / (inputs times window); that of 18,000 draws is known to 1%, five of which are allowed.
    assert abs(float(jnp.var(params[""]["kernel"])) * 9 * 400 / 2 - 1) < 0.05


def test_stochastic_depth_drops_examples_in_training_only():
    x = jnp.ones((200, 2, 2, 3))
    y, _ = jaxcnn.apply(StochasticDepth(0.5), {}, {}, x, train=True, rng=jax.random.key(0))
    kept = np.asarray(y[:, 0, 0, 0]) > 0
    assert (np.asarray(y) == np.where(kept, 2, 0)[:, None, None, None]).all()
    assert 0.3 < kept.mean() < 0.7  # 200 draws: five deviations are 0.18
    np.testing.assert_array_equal(jaxcnn.apply(StochasticDepth(0.5), {}, {}, x)[0], x)


def test_batch_norm_may_average_biased_variances():
    x = jnp.asarray(X)
    for unbiased in (True, False):
        net = BatchNorm(momentum=0.0, unbiased=unbiased)
        params, stats = jaxcnn.init(net, jax.random.key(0), X.shape[1:])
        _, new = jaxcnn.apply(net, params, stats, x, train=True)
        expected = X.astype(np.float64).var((0, 1, 2), ddof=int(unbiased))
        np.testing.assert_allclose(new[""]["var"], expected, rtol=1e-5)  # float32; biased and unbiased differ by 1%


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (ConvTranspose(5, groups=2), "2 groups divide neither 4 channels nor 5 evenly"),
        (AdaptivePool((2, 2, 2)), "takes images of 3 dimensions|takes 3 dimensions"),
        (AdaptivePool(0), "size must be an integer of at least 1"),
        (Pad(-4), "a Pad of -4 leaves nothing of 7x6x4"),
        (Pad(((1, 1),)), "takes images of 1 dimensions, not 2"),
        (Channels(2, 5), "there are no channels 2 to 5 in 4"),
        (Channels(4), "there are no channels 4 to 4 in 4"),
        (RadialBasis(3), "a RadialBasis takes a vector, not 7x6x4"),
        (Shuffle(3), "3 groups do not divide 4 channels"),
        (Upsample(0), "scale must be an integer of at least 1"),
        (StochasticDepth(1.0), "stochastic depth's rate must be in"),
        (LocalResponseNorm(0), "size must be an integer of at least 1"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_leaf_that_cannot_work_says_so_before_anything_is_drawn(leaf: Leaf, message: str):
    with pytest.raises(ValueError, match=message) as error:
        jaxcnn.init(seq(body=leaf), jax.random.key(0), X.shape[1:])
    assert "body" in str(error.value.__notes__)


def test_radial_basis_has_centers_that_are_not_trained():
    params, stats = jaxcnn.init(RadialBasis(10), jax.random.key(0), (84,))
    assert params == {}
    centers = stats[""]["centers"]
    assert centers.shape == (84, 10) and set(np.unique(centers)) == {-1, 1}
    x = jnp.stack([centers[:, 3], -centers[:, 3]])
    y, _ = jaxcnn.apply(RadialBasis(10), params, stats, x)
    assert (int(y[0].argmax()), float(y[0, 3]), float(y[1, 3])) == (3, 0, -84 * 4)


def test_field_of_view_of_the_new_leaves():
    net = seq(pool=Pool("max", 3, 2, dilation=2), up=Upsample(2), deconv=ConvTranspose(4, 2, 2))
    fields = jaxcnn.receptive_field(net, (9, 9, 4))
    assert fields["pool"] == (5, 2, 2.5)  # places 0, 2, 4
    assert fields["up"] == (5, 1, 2.0)  # the same places, twice as often
    assert fields["deconv"] == (5, 0.5, 1.75)  # each place makes two
