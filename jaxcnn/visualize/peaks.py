"""Which images of a data set make each channel of a layer respond the most, and where."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.data.streamed import Streamed
from jaxcnn.forward_pass import features
from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare, batches, unchanged
from jaxcnn.visualize.paths import image_at


class Strongest(NamedTuple):
    """Of every channel the strongest activations, (K, count), the greatest first: value, image, (row, column)."""

    values: np.ndarray  # (K, count)
    images: np.ndarray  # (K, count): numbers of images
    places: np.ndarray  # (K, count, 2)


def strongest(
    net: Spec, params: Params, batch_stats: Params, images: np.ndarray | Streamed, path: str, count: int = 9, *,
    prepare: Prepare = unchanged, batch_size: int = 128,
) -> Strongest:  # fmt: skip
    """The images that each channel of a layer responds to the most, one place of each, in one pass.

    Args:
      net, params, batch_stats: a network and its arrays.
      images: (N, H, W, C).
      path: the layer.
      count: how many images of each channel; fewer where there are fewer images.
      prepare: from a batch of them to what the network takes.
      batch_size: how many are computed at once; the last batch is filled up with the first image.

    Returns:
      `Strongest(values, images, places)`; of equal values the first image and the first place.

    Raises:
      ValueError: a path without a map, or a count below 1.
    """
    if count < 1:
        raise ValueError(f"of each channel at least 1 image is wanted, not {count}")
    image_at(net, images.shape[1:], path)
    best: list[np.ndarray] = []
    for start, batch in batches(images, batch_size):
        values, places = _peaks(net, params, batch_stats, batch, path, prepare)
        numbers = np.arange(start, min(start + batch_size, len(images)))
        here = slice(len(numbers))
        own = np.asarray(values)[here].T, np.tile(numbers, (values.shape[-1], 1)), np.asarray(places)[here].T
        several = [np.concatenate(pair, 1) for pair in zip(best, own, strict=True)] if best else list(own)
        order = np.argsort(-several[0], 1, kind="stable")[:, :count]
        best = [np.take_along_axis(values, order, 1) for values in several]
    values, numbers, places = best
    width = image_at(net, images.shape[1:], path)[1]
    return Strongest(values, numbers, np.stack(np.divmod(places, width), -1))


@partial(jax.jit, static_argnums=(0, 4, 5))
def _peaks(
    net: Spec, params: Params, batch_stats: Params, images: Array, path: str, prepare: Prepare
) -> tuple[Array, Array]:
    """Of every image and channel the greatest activation and its place, row by row, (N, K)."""
    maps = features(net, params, batch_stats, prepare(images), path)[path]
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    return flat.max(1), jnp.argmax(flat, 1)
