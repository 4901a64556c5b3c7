"""Every method over one network of every family: shapes, finite numbers, and nothing outside of the receptive field."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import small_image, smallest_of_each_family

import jaxcnn
from jaxcnn.layout import walk
from jaxcnn.spec import Act
from jaxcnn.visualize import adversarial, explain, gradcam, strongest
from jaxcnn.visualize.explanation import METHODS
from jaxcnn.visualize.gradients import rectified, saliency
from jaxcnn.visualize.paths import image_at, stages
from jaxcnn.visualize.scores import Unit
from jaxcnn.zoo import NETWORKS

OPTIONS = {"integrated_gradients": {"steps": 2}, "occlusion": {"window": 14, "stride": 14}}
pytestmark = pytest.mark.timeout(900)  # up to minutes for a family, to compile eleven programs
QUICK = ("airbench", "lenet", "resnet_cifar", "squeezenet")
every_family = pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=pytest.mark.thorough if family in QUICK else pytest.mark.slow)
        for family in smallest_of_each_family()
    ],
)


@cache
def drawn(family: str):
    entry = NETWORKS[smallest_of_each_family()[family]]
    net = entry.build()
    shape = small_image(net, entry)
    x = jax.random.normal(jax.random.key(1), (2, *shape))
    return net, *jaxcnn.init(net, jax.random.key(0), shape), x


def others(net, shape) -> set[str]:
    """The activations that are no rectifiers."""
    return {row.leaf.name for row in walk(net, shape) if isinstance(row.leaf, Act)} - {"relu"}


@every_family
def test_every_method_gives_a_finite_map_or_says_why_not(family):
    net, params, stats, x = drawn(family)
    for method in METHODS:
        if method in ("guided", "deconvnet") and others(net, x.shape[1:]):
            with pytest.raises(ValueError, match=f"{method} is defined for relu, but"):
                explain(net, params, stats, x, 0, method)
            continue
        made = explain(net, params, stats, x, np.array([0, 1]), method, **OPTIONS.get(method, {}))
        assert made.map.shape == x.shape[:3] and np.isfinite(made.map).all() and made.map.any(), method
        assert made.values.shape == (2,) and np.isfinite(made.raw).all()
    maps = gradcam(net, params, stats, x, 0, "stages")
    assert all(np.isfinite(values).all() for values in maps.values())
    images = np.random.default_rng(0).integers(0, 256, x.shape, dtype=np.uint8)
    changed = adversarial(net, params, stats, images, np.array([0, 1]), 3, steps=2)
    assert np.isfinite(changed.logits).all() and abs(changed.images.astype(int) - images).max() <= 3


@every_family
def test_a_unit_is_explained_within_its_receptive_field(family):
    net, params, stats, x = drawn(family)
    shape = x.shape[1:]
    path = stages(net, shape)[0]
    height, width, _ = image_at(net, shape, path)
    found = strongest(net, params, stats, np.asarray(x), path, 1, batch_size=2)
    assert np.isfinite(found.values).all()
    for place in (0, 0), (height // 2, width - 1):
        (top, bottom), (left, right) = jaxcnn.receptive_field(net, shape, path, place)
        unit = Unit(path, 0, place)
        gradients = [saliency(net, params, stats, x, unit)]
        if not others(jaxcnn.rewrite.cut(net, path), shape):
            gradients += [rectified(net, params, stats, x, unit, rule) for rule in ("guided", "deconvnet")]
        for gradient in gradients:
            outside = jnp.asarray(gradient).at[:, top:bottom, left:right].set(0)
            assert (outside == 0).all() and np.isfinite(gradient).all()
