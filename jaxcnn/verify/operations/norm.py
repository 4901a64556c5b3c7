"""Normalizations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn import ops
from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms
from jaxcnn.verify.windows import MANY

SHAPES = ((6, 3), (4, 5, 2), (4, 4, 5, 2), (2, 2, 3, 2, 2), (8, 1))


def _batch_norms(random: Random) -> Iterator[Setting]:
    yield Setting((Draw((2, *MANY.sizes, 2), "positive"), Draw((2,)), Draw((2,))))
    mask = np.array([1.0, 0.0, 1.0, 1.0])
    choices: tuple[dict[str, Any], ...] = ({}, {"unbiased": False}, {"eps": 0.1}, {"eps": 1e-3, "unbiased": False})
    for number, shape in enumerate(SHAPES):
        for choice in choices[number % 2 :: 2]:
            for scale in (Draw(shape[-1:]), None):
                yield Setting((Draw(shape, "shifted"), scale, Draw(shape[-1:])), choice)
    for shape, choice in ((SHAPES[1], choices[0]), (SHAPES[2], choices[1])):
        yield Setting((Draw(shape, "shifted"), Draw(shape[-1:]), Draw(shape[-1:])), {**choice, "mask": mask})


def _batch_norm(*arrays: Any, mask: Any = None, **options: Any) -> Any:
    return ops.batch_norm(*arrays, mask=None if mask is None else jnp.asarray(mask, bool), **options)


def _batch_terms(shapes, output, options) -> Terms:
    count = math.prod(shapes[0][:-1])
    return count, (2 * count, 2 * count, count) if shapes[1] else (2 * count, count)


def _normalizations(random: Random) -> Iterator[Setting]:
    yield Setting((Draw((2, *MANY.sizes, 2), "positive"), Draw((2,)), Draw((2,), "positive"), Draw((2,)), Draw((2,))))
    for number, shape in enumerate(SHAPES):
        channel = shape[-1:]
        for scale in (Draw(channel), None):
            statistics = Draw(channel), Draw(channel, "positive")
            options = {"eps": 0.1} if number % 2 else {}
            yield Setting((Draw(shape), *statistics, scale, Draw(channel)), options)


def _normalization_terms(shapes, output, options) -> Terms:
    count = math.prod(shapes[0][:-1])
    return 0, (0, count, count, count, count) if shapes[3] else (0, count, count, count)


def _layer_norms(random: Random) -> Iterator[Setting]:
    yield Setting((Draw((2, *MANY.sizes, 5), "positive"), Draw((5,)), Draw((5,))))
    for number, shape in enumerate(((4, 6), (2, 5, 4), (2, 3, 4, 5), (2, 2, 3, 2, 4), (3, 8), (2, 3, 2, 7))):
        x, channel = Draw(shape, "shifted"), Draw(shape[-1:])
        options = {"eps": 0.1} if number % 2 else {}
        for scale, bias in ((channel, channel), (None, None), (channel, None), (None, channel)):
            yield Setting((x, scale, bias), options)


def _layer_terms(shapes, output, options) -> Terms:
    x, scale, bias = shapes
    width, count = x[-1], math.prod(x[:-1])
    return width, (2 * width, *([width + count] if scale else []), *([count] if bias else []))


def _averages(random: Random) -> Iterator[Setting]:
    for number, momentum in enumerate((0.9, 0.99, 0.5, 0.0, 0.1)):
        yield Setting((Draw((3 + number,)), Draw((3 + number,))), {"momentum": momentum})


def _local_responses(random: Random) -> Iterator[Setting]:
    choices = (
        {},
        {"size": 3, "alpha": 0.5},
        {"size": 4, "alpha": 1.0, "beta": 0.5, "k": 2.0},
        {"size": 2, "alpha": 2.0},
    )
    for shape in ((2, 4, 7), (2, 3, 2, 6), (2, 2, 2, 2, 3), (3, 1, 1, 4)):
        yield from (Setting((Draw(shape),), choice) for choice in choices)


def _local_terms(shapes, output, options) -> Terms:
    size = options.get("size", 5)
    return size, (2 * size,)


# The reciprocal root of the variance, the products with it and the sums beside the long one.
OPERATIONS = (
    Operation("batch_norm", _batch_norms, _batch_terms, linear=(1, 2), roundings=8, function=_batch_norm),
    Operation("normalize", _normalizations, _normalization_terms, linear=(0, 1, 3, 4), roundings=8),
    Operation("layer_norm", _layer_norms, _layer_terms, linear=(1, 2), roundings=8),
    Operation(
        "running_average", _averages, lambda *_: (1, (0, 0)), linear=(0, 1), step=0.5, examples=False, wide=False
    ),
    # A power of the sum by -beta-1 errs by as many times the sum's own error.
    Operation("local_response_norm", _local_responses, _local_terms, roundings=8, wide=False),
)  # fmt: skip
