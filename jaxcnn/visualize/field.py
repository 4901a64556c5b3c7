"""How much each pixel of its receptive field counts for a unit: the effective receptive field (Luo et al. 2016)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn import rewrite
from jaxcnn.forward_pass import apply
from jaxcnn.layout import Params
from jaxcnn.readings.receptive import Box, receptive_field
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare, at_once, batches, unchanged
from jaxcnn.visualize.paths import image_at

COUNTS = 1 - 0.9545  # of the greatest value: from here on Luo et al. say that a pixel is of the effective field


class EffectiveField(NamedTuple):
    """What the pixels count for a unit, beside the box outside of which none does.

    `map` (H, W) is the mean over images and their channels of the absolute gradient of the unit, all of its channels
    summed up. `box` [(top, bottom), (left, right)] is the exact receptive field, `place` the unit's, (row, column).
    """

    map: np.ndarray
    box: Box
    place: tuple[int, int]

    @property
    def deviations(self) -> tuple[float, float]:
        """The standard deviations of the map along rows and along columns, in pixels; 0 where it is 0."""
        total = float(self.map.sum()) or 1.0
        found = []
        for along in self.map.sum(1) / total, self.map.sum(0) / total:
            at = np.arange(len(along))
            found.append(float(np.sqrt(max(along @ at**2 - (along @ at) ** 2, 0.0))))
        return found[0], found[1]

    @property
    def share(self) -> float:
        """The share of the pixels of the box that count: by at least 1 - 0.9545 of what the greatest one does."""
        (top, bottom), (left, right) = self.box
        inside = self.map[top:bottom, left:right]
        return float((inside >= COUNTS * inside.max()).mean()) if inside.any() else 0.0


def effective_field(
    net: Spec, params: Params, batch_stats: Params, images: np.ndarray, path: str, place: tuple[int, int] | None = None,
    *, prepare: Prepare = unchanged,
) -> EffectiveField:  # fmt: skip
    """The effective receptive field of a unit, over images.

    Args:
      net, params, batch_stats: a network and its arrays.
      images: (N, H, W, C), the more the better.
      path, place: the unit; None is the one in the middle of the layer.
      prepare: from a batch of images to what the network takes.

    Raises:
      ValueError: no image, or a path or a place that the network does not have.
    """
    if not len(images):
        raise ValueError("an effective field is a mean over images, and there is none")
    shape = images.shape[1:]
    rows, columns, _ = image_at(net, shape, path)
    row, column = (rows // 2, columns // 2) if place is None else place
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"there is no place {row}, {column} in layer {path!r} of {rows}x{columns} places")
    before, size, total = rewrite.cut(net, path), at_once(shape), np.zeros(shape[:2])
    for start, batch in batches(images, min(size, len(images))):
        slopes = np.asarray(_slopes(before, params, batch_stats, batch, row, column, prepare), float)
        total += slopes[: len(images) - start].sum(0)
    return EffectiveField(total / len(images), receptive_field(net, shape, path, (row, column)), (row, column))


@partial(jax.jit, static_argnums=(0, 6))
def _slopes(
    net: Spec, params: Params, batch_stats: Params, images: Array, row: int, column: int, prepare: Prepare
) -> Array:
    def total(x: Array) -> Array:
        return jnp.sum(apply(net, params, batch_stats, x)[0][:, row, column])

    return jnp.abs(jax.grad(total)(prepare(images))).mean(-1)
