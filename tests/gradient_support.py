"""Where the gradient of a unit arrives in the image, measured on the network with all weights positive.

Meant for float64: at the rim of a deep receptive field gradients are products of 1e-60 and less.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from reference import random

import jaxcnn
from jaxcnn import rewrite
from jaxcnn.readings.receptive.box import boxes
from jaxcnn.spec import (
    Act,
    AdaptivePool,
    BatchNorm,
    Dense,
    Dropout,
    GlobalPool,
    Identity,
    LayerNorm,
    Leaf,
    LocalResponseNorm,
    Pool,
    RadialBasis,
    Scale,
    Spec,
    StochasticDepth,
)


def transparent(_: str, leaf: Leaf) -> Leaf:
    """A layer that lets every gradient through: the others look at the same places, but may hide that they do.

    A maximum looks at its whole window and passes the gradient of one place; a saturated activation passes none.
    """
    match leaf:
        case Act() | BatchNorm() | LayerNorm() | LocalResponseNorm() | Dropout() | StochasticDepth() | Scale():
            return Identity()
        case Pool() | AdaptivePool() | GlobalPool():
            return dataclasses.replace(leaf, kind="avg")
        case RadialBasis(width):
            return Dense(width, bias=False)
    return leaf


def measured(net: Spec, shape: tuple[int, ...], path: str, units: list[tuple[int, ...]]) -> list:
    """The smallest boxes that hold the gradients of units, summed over channels, with all weights positive."""
    net = rewrite.map_leaves(rewrite.cut(net, path), transparent)
    params = {
        row.path: {
            name: jnp.asarray((0.1 + abs(random(1, *parameter.shape))) / max(1, math.prod(parameter.shape[:-1])))
            for name, parameter in row.layout.params.items()
        }
        for row in jaxcnn.walk(net, shape)
        if row.layout.params
    }

    @jax.jit
    def slopes(images, chosen):
        y, backward = jax.vjp(lambda x: jaxcnn.apply(net, params, {}, x)[0], images)
        return backward(jnp.zeros_like(y).at[chosen].set(1))[0]

    chosen = (np.arange(len(units)), *np.array(units).reshape(len(units), -1).T)
    gradients = np.asarray(slopes(jnp.asarray(0.1 + abs(random(0, len(units), *shape))), chosen))
    found = []
    for gradient in gradients:
        assert (gradient >= 0).all()
        places = np.nonzero(gradient.any(-1))
        found.append([(int(at.min()), int(at.max()) + 1) if len(at) else (0, 0) for at in places])
    return found


def compare(net: Spec, shape: tuple[int, ...], path: str, units: list[tuple[int, ...]]) -> None:
    predicted = [jaxcnn.receptive_field(net, shape, path, unit) for unit in units]
    assert predicted == measured(net, shape, path, units), path


def corners_and_middle(net: Spec, shape: tuple[int, ...], path: str) -> list[tuple[int, ...]]:
    grid = [len(along) for along in boxes(net, shape)[path]]
    return [tuple(n * part // 8 if part < 8 else n - 1 for n in grid) for part in (0, 1, 4, 8)]
