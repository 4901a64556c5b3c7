"""Operations among the channels of one place."""

from __future__ import annotations

import math
from collections.abc import Iterator

from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms


def _dense(random: Random) -> Iterator[Setting]:
    for shape, width in (((4, 5), 3), ((2, 3, 4), 2), ((2, 3, 2, 6), 4), ((1, 9), 1), ((2, 1, 2, 2, 3), 5)):
        for bias in (Draw((width,)), None):
            yield Setting((Draw(shape), Draw((shape[-1], width)), bias))
    yield Setting((Draw((3000, 5), "positive"), Draw((5, 2)), Draw((2,))))  # many sums in bfloat16 stop growing


def _dense_terms(shapes, output, options) -> Terms:
    x, kernel, bias = shapes
    count = math.prod(x[:-1])
    return kernel[0], (kernel[1], count, count)[: 3 if bias else 2]


def _distances(random: Random) -> Iterator[Setting]:
    for shape, width in (((4, 5), 3), ((2, 3, 4), 2), ((1, 9), 1), ((2, 2, 3, 6), 4), ((3000, 5), 2)):
        yield Setting((Draw(shape), Draw((shape[-1], width))))


def _distance_terms(shapes, output, options) -> Terms:
    x, centers = shapes
    return centers[0], (centers[1], math.prod(x[:-1]))


def _shuffles(random: Random) -> Iterator[Setting]:
    for shape, groups in (
        ((2, 3, 6), 2),
        ((2, 3, 2, 6), 3),
        ((2, 2, 2, 2, 8), 4),
        ((2, 4, 4, 6), 1),
        ((2, 1, 1, 6), 6),
    ):
        yield Setting((Draw(shape),), {"groups": groups})
        yield Setting((Draw((*shape[:-1], 2 * shape[-1])),), {"groups": groups})


OPERATIONS = (
    Operation("dense", _dense, _dense_terms, linear=(0, 1, 2), step=0.5, once=True),
    Operation("radial_basis", _distances, _distance_terms, step=0.5),
    # Nothing is computed, so nothing is rounded.
    Operation("channel_shuffle", _shuffles, lambda *_: (0, (0,)), linear=(0,), step=0.5, roundings=0),
)
