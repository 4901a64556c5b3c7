"""Operations that throw dice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxcnn import ops
from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import TRANSFORMATIONS, Operation

RATES = ((0.1, 0.5, 0.9), (0.25, 0.001, 0.0), (0.4,))


def _with_key(name: str) -> Callable[..., Any]:
    def function(x: Any, *, rate: float, key: int) -> Any:
        return getattr(ops, name)(x, rate, jax.random.key(key))

    return function


def _settings(shapes: tuple[tuple[int, ...], ...]) -> Callable[[Random], Iterator[Setting]]:
    def settings(random: Random) -> Iterator[Setting]:
        for shape, rates in zip(shapes, RATES, strict=True):
            for rate in rates:
                yield Setting((Draw(shape, "positive"),), {"rate": rate, "key": int(random.integers(1000))})

    return settings


def _operation(name: str, *shapes: tuple[int, ...]) -> Operation:
    return Operation(
        name,
        _settings(shapes),
        lambda *_: (0, (0,)),
        wide=False,
        function=_with_key(name),
        loop="dropped",
        checks=("survivors", "fraction", "keys", "mask gradient", *TRANSFORMATIONS),
    )


OPERATIONS = (
    _operation("dropout", (20, 30), (4, 9, 10), (2, 8, 9, 6)),
    _operation("spatial_dropout", (20, 3, 12), (16, 2, 3, 10), (8, 2, 2, 2, 20)),
    _operation("stochastic_depth", (200, 3), (150, 3, 2), (120, 2, 2, 2)),
)
