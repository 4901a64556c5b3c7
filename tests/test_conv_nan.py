"""NaN and infinity stay where they belong: in their group of channels, and where windows see them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import agree, random

from jaxcnn import ops

pytestmark = pytest.mark.usefixtures("float64", "by_xla")

# Channels, width, groups, stride: depthwise, of a few channels, of many; the strides leave phases with fewer places.
GROUPED = [(6, 6, 6, 2), (6, 12, 6, 1), (8, 8, 4, 1), (6, 9, 3, 2), (16, 24, 2, 2), (64, 64, 2, 1)]


def conv(channels, width, groups, stride):
    kernel = jnp.asarray(random(1, 3, 3, channels // groups, width))
    return lambda x: ops.conv(x, kernel, stride=stride, padding=1, groups=groups)


@pytest.mark.every(3)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", GROUPED, ids=str)
def test_a_group_that_is_not_finite_leaves_the_others_alone(shape, value):
    channels, width, groups, _ = shape
    x = random(2, 2, 7, 6, channels)
    spoiled = x.copy()
    spoiled[..., : channels // groups] = value
    f = jax.jit(conv(*shape))
    others = slice(width // groups, None)
    agree(f(spoiled)[..., others], f(x)[..., others])
    assert not np.isfinite(f(spoiled)[..., : others.start]).any()


@pytest.mark.every(3)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", GROUPED, ids=str)
def test_a_gradient_that_is_not_finite_comes_back_to_its_own_group(shape, value):
    channels, width, groups, _ = shape
    y, back = jax.vjp(conv(*shape), jnp.asarray(random(2, 2, 7, 6, channels)))
    back = jax.jit(back)
    g = random(3, *y.shape)
    spoiled = g.copy()
    spoiled[..., : width // groups] = value
    others = slice(channels // groups, None)
    agree(back(spoiled)[0][..., others], back(g)[0][..., others])


@pytest.mark.every(4)
@pytest.mark.parametrize("channels", [1, 3, 8], ids=["one channel", "a few", "many"])
@pytest.mark.parametrize("grouped", [False, True], ids=["dense", "depthwise"])
@pytest.mark.parametrize(
    ("window", "stride"), [(3, 2), (2, 3), *(pytest.param(*case, marks=pytest.mark.slow) for case in [(5, 2), (4, 3)])]
)
def test_the_gradient_of_one_place_comes_back_to_the_places_its_window_sees(window, stride, grouped, channels):
    kernel = jnp.asarray(random(1, window, window, 1 if grouped else channels, channels))

    def f(x):
        return ops.conv(x, kernel, stride=stride, groups=channels if grouped else 1)

    y, back = jax.vjp(f, jnp.asarray(random(2, 1, 13, 12, channels)))
    g = np.zeros(y.shape)
    g[0, 1, 1] = np.nan
    seen = np.zeros((13, 12), bool)
    seen[stride : stride + window, stride : stride + window] = True
    assert (np.isnan(back(jnp.asarray(g))[0]).any((0, -1)) == seen).all()
