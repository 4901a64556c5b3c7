"""Exact receptive fields: of every unit the smallest rectangle of pixels on which its value depends."""

from __future__ import annotations

import numpy as np

from jaxcnn.layout import Shape
from jaxcnn.readings.receptive.follow import follow
from jaxcnn.readings.receptive.places import places_read
from jaxcnn.spec import Leaf, Spec

Intervals = np.ndarray  # (units, 2): of every unit along one dimension, the first pixel and one past the last


def boxes(net: Spec, shape: Shape) -> dict[str, tuple[Intervals, ...]]:
    """The pixels that every unit of every named node sees, along every dimension; "" is the output.

    The first is past the last where a unit sees nothing but padding.
    """
    pixels = tuple(np.stack([np.arange(n), np.arange(n) + 1], axis=1) for n in shape[:-1])
    return follow(net, shape, pixels, _after, _union).nodes


def _after(leaf: Leaf, shape: Shape, along: tuple[Intervals, ...]) -> tuple[Intervals, ...]:
    after = []
    for axis, before in enumerate(along):
        if len(shape) == 1 or (read := places_read(leaf, shape, axis)) is None:
            after.append(before)
            continue
        nothing = np.array([[np.iinfo(np.int64).max, 0]])  # the union with it changes nothing
        ends = np.concatenate([before, nothing])[read]
        after.append(np.stack([ends[..., 0].min(1), ends[..., 1].max(1)], axis=1))
    return tuple(after)


def _union(several: tuple[Intervals, ...]) -> Intervals:
    """Of the same units in every branch; a branch of a single unit is every unit's."""
    firsts, ends = zip(*(boxes.T for boxes in several), strict=True)
    union = [np.min(np.broadcast_arrays(*firsts), axis=0), np.max(np.broadcast_arrays(*ends), axis=0)]
    return np.stack(union, axis=1)
