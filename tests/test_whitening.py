"""A first kernel that whitens: its channels, over the images it is made from, are uncorrelated and of one strength."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops
from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Act, Conv, Dense, Flatten, seq
from jaxcnn.training.plan import prepare
from jaxcnn.training.whitening import EPS, whitened

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def smooth_images(count: int) -> np.ndarray:
    """Bytes whose neighbours are alike, as those of photographs."""
    noise = np.random.default_rng(0).normal(size=(count, 11, 9, 3)).cumsum(1).cumsum(2)
    return np.clip(127 + 10 * noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("width", [8, 24])
def test_the_channels_are_uncorrelated_and_of_one_strength(width: int):
    net = seq(conv=Conv(width, 2, padding="valid"), act=Act(), flatten=Flatten(), head=Dense(2))
    images = smooth_images(50)
    params, _ = jaxcnn.init(net, jax.random.key(0), images.shape[1:])
    new = whitened(net, params, images, MEAN, STD)
    assert all(new[path] is params[path] for path in params if path != "conv")
    pixels = (images / 255.0 - MEAN) / STD
    out = np.asarray(ops.conv(jnp.asarray(pixels, jnp.float32), new["conv"]["kernel"], padding="valid"), np.float64)
    half = out.reshape(-1, width)[:, : width // 2]
    squares = half.T @ half / len(half)
    patches = np.stack([pixels[:, i : 10 + i, j : 8 + j] for i in (0, 1) for j in (0, 1)], 3).reshape(-1, 12)
    strengths = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1][: width // 2]
    # float32 of sums of twelve products, of components up to 1/sqrt(EPS) large
    np.testing.assert_allclose(squares, np.diag(strengths / (strengths + EPS)), atol=1e-4)
    np.testing.assert_array_equal(out[..., width // 2 :], -out[..., : width // 2])


@pytest.mark.parametrize(
    ("net", "sentence"),
    [
        (seq(flatten=Flatten(), head=Dense(2)), "the first layer, 'flatten', is Flatten.*, not a convolution"),
        (seq(conv=Conv(3, groups=3), flatten=Flatten(), head=Dense(2)), "not a convolution without groups"),
        (seq(conv=Conv(26, 2), flatten=Flatten(), head=Dense(2)), "has 26 channels: .* 12 components, .* up to 24 is"),
        (seq(conv=Conv(5, 2), flatten=Flatten(), head=Dense(2)), "has 5 channels"),
    ],
)
def test_a_network_that_cannot_whiten_gets_a_sentence(net, sentence: str):
    params, _ = jaxcnn.init(net, jax.random.key(0), (11, 9, 3))
    with pytest.raises(ValueError, match=sentence):
        whitened(net, params, smooth_images(2), MEAN, STD)


def test_a_run_begins_with_it():
    config = TrainConfig(whiten=True, freeze=("conv1",))
    plan = prepare(config)
    drawn, _ = jaxcnn.init(plan.recipe.net, jax.random.fold_in(jax.random.key(0), 0), plan.facts.input)
    assert plan.start is not None
    params, _ = plan.start
    assert plan.recipe.frozen == ("conv1",)
    np.testing.assert_array_equal(params["fc1"]["kernel"], drawn["fc1"]["kernel"])
    np.testing.assert_array_equal(params["conv1"]["kernel"][..., :3], -params["conv1"]["kernel"][..., 3:])
    with pytest.raises(InputError, match="whiten: the first layer, 'flatten'"):
        prepare(TrainConfig(whiten=True, network="mlp"))
    with pytest.raises(InputError, match="leave it or weights out"):
        TrainConfig(whiten=True, weights="imagenet")
