"""What makes a unit respond: its activation projected down to the pixels (Zeiler and Fergus 2014)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jaxcnn.forward_pass import features
from jaxcnn.layout import Params
from jaxcnn.readings.receptive import Box, receptive_field
from jaxcnn.spec import Spec
from jaxcnn.visualize.gradients import rectified, score_of
from jaxcnn.visualize.paths import image_at
from jaxcnn.visualize.scores import Unit


class Projection(NamedTuple):
    """Of every image a unit's projection (H, W, C), its receptive field, its activation and its place."""

    projections: np.ndarray  # (N, H, W, C), zero outside of the boxes
    boxes: list[Box]  # [(top, bottom), (left, right)] of every image
    values: np.ndarray  # (N,)
    places: np.ndarray  # (N, 2)


def deconvnet(
    net: Spec, params: Params, batch_stats: Params, x: Array, path: str, channel: int,
    place: str | tuple[int, int] = "strongest",
) -> Projection:  # fmt: skip
    """Project the activation of a unit back to the pixels, through switches and rectifiers.

    Args:
      net, params, batch_stats: a network and its arrays.
      x: (N, H, W, C), what the network takes.
      path, channel: whose activation.
      place: (row, column), or in every image where the channel is "strongest".

    Returns:
      `Projection(projections, boxes, values, places)`. A unit whose activation is 0 has the projection 0.

    Raises:
      ValueError: a path, channel or place that the network does not have, or another activation than relu before it.
    """
    shape = x.shape[1:]
    sizes = image_at(net, shape, path)
    Unit(path, channel, (0, 0)).check(net, shape)
    if place == "strongest":
        maps = np.asarray(jax.jit(features, static_argnums=(0, 4))(net, params, batch_stats, x, path)[path])
        flat = maps[..., channel].reshape(len(x), -1).argmax(1)
        places = np.stack(np.unravel_index(flat, sizes[:2]), 1)
    elif isinstance(place, str):
        raise ValueError(f"a place is (row, column), or 'strongest', not {place!r}")
    else:
        places = np.tile(np.array(place), (len(x), 1))
    score = Unit(path, channel, (places[:, 0], places[:, 1]))
    score.check(net, shape)
    projections = rectified(net, params, batch_stats, x, score, "deconvnet", scaled=True)
    boxes = [receptive_field(net, shape, path, tuple(map(int, at))) for at in places]
    values = np.asarray(score_of(net, params, batch_stats, x, score))
    return Projection(np.asarray(projections), boxes, values, places)
