"""The dtype that goes in comes out; what is summed or interpolated on the way is float32 at least."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops
from jaxcnn.spec import BatchNorm, Conv, seq


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_ramp_in_bfloat16_is_interpolated_before_it_is_rounded(align_corners):
    ramp = np.arange(256.0)  # integers up to 256 are bfloat16 numbers
    y = ops.upsample(jnp.asarray(ramp[None, :, None], jnp.bfloat16), 3, method="bilinear", align_corners=align_corners)
    at = np.linspace(0, 255, 768) if align_corners else (np.arange(768) + 0.5) / 3 - 0.5
    expected = np.interp(at, np.arange(256), ramp)
    assert y.dtype == jnp.bfloat16
    assert (abs(np.float64(y[0, :, 0]) - expected) <= 2**-8 * expected + 1e-4).all()  # one rounding to 8 bits


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_running_average_keeps_the_dtype_of_the_old_one_and_rounds_once(dtype):
    old, new = jnp.asarray([1.0, 100.0], dtype), jnp.asarray([3.0, 101.0], jnp.float32)
    average = ops.running_average(old, new, 0.9)
    assert average.dtype == dtype
    np.testing.assert_array_equal(average, jnp.asarray([1.2, 100.1], jnp.float32).astype(dtype))


def test_statistics_in_bfloat16_stay_so_over_the_steps_of_a_scan():
    net = seq(conv=Conv(4), bn=BatchNorm())
    params, stats = jax.tree.map(
        lambda a: a.astype(jnp.bfloat16), jaxcnn.init(net, jax.random.key(0), (6, 6, 3))
    )  # fmt: skip
    batches = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 6, 6, 3)), jnp.bfloat16)

    def step(stats, x):
        y, stats = jaxcnn.apply(net, params, stats, x, train=True)
        return stats, y.dtype.type(0)

    last, _ = jax.lax.scan(step, stats, batches)
    assert {a.dtype for a in jax.tree.leaves(last)} == {jnp.dtype(jnp.bfloat16)}


def test_normalized_pixels_are_numbers_between_pixels():
    pixels = jnp.asarray(np.arange(256).reshape(1, 16, 16, 1), jnp.uint8)
    y = ops.normalize(pixels, jnp.full(1, 127.5), jnp.full(1, 100.0), None, jnp.zeros(1), eps=0.0)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y.ravel(), (np.arange(256) - 127.5) / 10, rtol=1e-6)


def test_an_adaptive_mean_in_bfloat16_is_rounded_once():
    """Of the means along both dimensions: rounding those along one first errs by two more half units."""
    x = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (4, 8, 9, 16)), jnp.bfloat16)
    expected = np.float64(x).reshape(4, 2, 4, 3, 3, 16).mean((2, 4))
    y = np.float64(ops.adaptive_avg_pool(x, (2, 3)))
    assert (abs(y - expected) <= 2**-8 * (1 + 1e-4)).all()  # half a unit of numbers from 1 to 2, and float32's sums
