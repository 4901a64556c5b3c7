"""Pools over sliding windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms
from jaxcnn.verify.windows import GRID, Window, random_window

CEILED = (
    Window((6,), (3,), (2,)), Window((7,), (2,), (3,)), Window((6, 7), (3, 3), (2, 2)),
    Window((7, 5), (2, 3), (2, 3), 1), Window((5, 6), (3, 2), (3, 2), ((1, 0), (0, 1))),
    Window((4, 3, 5), (2, 2, 2), (2, 2, 2)),
)  # fmt: skip


def _windows(random: Random, count: int) -> Iterator[tuple[Window, bool]]:
    """Windows that see the image everywhere, and whether they run over its end."""
    yield from ((window, True) for window in CEILED)
    yield from ((window, False) for window in GRID if window.sees_the_image_everywhere)
    while count:
        window = random_window(random)
        if window.sees_the_image_everywhere:
            count -= 1
            yield window, bool(random.random() < 0.4)


def _setting(window: Window, ceil_mode: bool, kind: str, **options: Any) -> Setting:
    places = {"window": window.window, "stride": window.stride}
    more = {"ceil_mode": True} if ceil_mode else {}
    given = {name: value for name, value in window.options().items() if name != "stride"}
    return Setting((Draw((2, *window.sizes, 2), kind),), {**places, **given, **more, **options})


def _pools(
    kinds: tuple[str, ...], count: int, choices: tuple[dict[str, Any], ...] = ({},)
) -> Callable[[Random], Iterator[Setting]]:
    """Settings that go through `kinds` of values and `choices` of options."""

    def settings(random: Random) -> Iterator[Setting]:
        yield Setting((Draw((2, 6, 5, 2), kinds[0]),), {"window": 2, **choices[0]})  # the stride is the window
        for number, (window, ceil_mode) in enumerate(_windows(random, count)):
            kind, choice = kinds[number % len(kinds)], choices[number // len(kinds) % len(choices)]
            yield _setting(window, ceil_mode, kind, **choice)

    return settings


def _terms(shapes, output, options) -> Terms:
    """A window has that many places, and as many windows at most share a place."""
    window = _places(options["window"], len(shapes[0]) - 2)
    return window, (window,)


def _places(window: Any, rank: int) -> int:
    return window**rank if isinstance(window, int) else math.prod(window)


def _no_terms(shapes, output, options) -> Terms:
    """The greatest value is exact; windows that share a place add up their gradients."""
    return 0, _terms(shapes, output, options)[1]


def _unpools(random: Random) -> Iterator[Setting]:
    for pooled, sizes in (((3,), (7,)), ((2, 3), (4, 6)), ((3, 2), (5, 5)), ((2, 2, 2), (4, 3, 4)), ((4, 4), (3, 3))):
        for channels in (1, 3):
            shape = (2, *pooled, channels)
            yield Setting((Draw(shape), Draw(shape, "index", math.prod(sizes))), {"sizes": sizes})


def _unpool_terms(shapes, output, options) -> Terms:
    """At worst every value goes to one place."""
    return math.prod(shapes[0][1:-1]), (0,)


_averages = _pools(("normal",), 14, ({}, {"count_include_pad": False}))
MAX_KINDS = ("spread", "ties", "spread", "nan")
LP_CHOICES = ({}, {"p": 3.0}, {"p": math.inf}, {"p": 1.0}, {"p": 1.5}, {"p": 9.0})
# What overlapping windows hand back is added up in the dtype itself.
OPERATIONS = (
    Operation("max_pool", _pools(MAX_KINDS, 14), _no_terms, roundings=1, wide=False),
    Operation("max_pool_with_indices", _pools(MAX_KINDS, 0), _no_terms, roundings=1, wide=False),
    Operation("max_unpool", _unpools, _unpool_terms, linear=(0,), roundings=1, step=0.5, wide=False),
    Operation("avg_pool", _averages, _terms, linear=(0,), step=0.5, once=True),
    # x^p, its sum, the root, and in the gradient (|x|/y)^(p-1): a power errs by some u per power.
    Operation("lp_pool", _pools(("sizes", "sizes", "zeros"), 6, LP_CHOICES), _terms, roundings=8),
)  # fmt: skip
