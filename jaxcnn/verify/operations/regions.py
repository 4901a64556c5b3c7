"""Pools whose windows follow from the output's size, and upsampling."""

from __future__ import annotations

import math
from collections.abc import Iterator

from jaxcnn.verify.setting import Draw, Random, Setting
from jaxcnn.verify.subject import Operation, Terms
from jaxcnn.verify.windows import MANY

REGIONS = (
    ((7,), 3), ((6,), 1), ((5, 6), 2), ((5, 7), (3, 4)), ((6, 4), (None, 2)), ((3, 4), (5, 6)), ((4, 4), 4),
    ((4, 3, 5), (2, 2, 3)), ((3, 4, 2), 1), ((6, 8), (3, 4)), ((7, 7), (1, 7)), ((11,), 4),
)  # fmt: skip


def _adaptive(kinds: tuple[str, ...]):
    def settings(random: Random) -> Iterator[Setting]:
        for number, (sizes, outputs) in enumerate(REGIONS):
            yield Setting((Draw((2, *sizes, 3), kinds[number % len(kinds)]),), {"sizes": outputs})
        for number in range(6):
            rank = int(random.integers(1, 4))
            sizes, outputs = (tuple(int(n) for n in random.integers(1, 7 - rank, rank)) for _ in range(2))
            yield Setting((Draw((2, *sizes, 2), kinds[number % len(kinds)]),), {"sizes": outputs})

    return settings


def _terms(shapes, output, options) -> Terms:
    """A bin holds at most all places; a place is in at most all bins."""
    sizes, outputs = shapes[0][1:-1], output[1:-1]
    in_bin = math.prod(-(-n // o) + 1 for n, o in zip(sizes, outputs, strict=True))
    bins = math.prod(-(-o // n) + 1 for n, o in zip(sizes, outputs, strict=True))
    return in_bin, (bins,)


def _max_terms(shapes, output, options) -> Terms:
    return 0, _terms(shapes, output, options)[1]


def _globals(kinds: tuple[str, ...]):
    def settings(random: Random) -> Iterator[Setting]:
        for number, sizes in enumerate(((7,), (5, 4), (3, 4, 2), (1, 1), (2, 9))):
            kind = kinds[number % len(kinds)]
            yield Setting((Draw((2, *sizes, 3), kind),))
            yield Setting((Draw((2, *sizes, 2), kind),), {"keepdims": True})
        yield Setting((Draw((2, *MANY.sizes, 2), "spread" if "spread" in kinds else "positive"),))

    return settings


def _global_terms(shapes, output, options) -> Terms:
    return math.prod(shapes[0][1:-1]), (0,)


def _no_terms(shapes, output, options) -> Terms:
    return 0, (0,)


def _upsamplings(random: Random) -> Iterator[Setting]:
    for method, corners in (("nearest", False), ("bilinear", False), ("bilinear", True)):
        options = {"method": method, "align_corners": True} if corners else {"method": method}
        for sizes, scale in (((5,), 2), ((3, 4), 2), ((4, 3), (3, 2)), ((1, 4), (4, 1)), ((2, 3, 2), 2), ((3,), 5)):
            yield Setting((Draw((2, *sizes, 2)),), {"scale": scale, **options})


def _upsampling_terms(shapes, output, options) -> Terms:
    """2 neighbors in every dimension; a place is read by at most 2 scale others in every dimension."""
    scale, rank = options["scale"], len(shapes[0]) - 2
    scales = (scale,) * rank if isinstance(scale, int) else scale
    return 2**rank, (math.prod(2 * s for s in scales),)


KINDS = ("spread", "ties", "spread", "nan")
OPERATIONS = (
    Operation("adaptive_avg_pool", _adaptive(("normal",)), _terms, linear=(0,), step=0.5, once=True),
    Operation("adaptive_max_pool", _adaptive(KINDS), _max_terms, roundings=1, wide=False),
    Operation("global_avg_pool", _globals(("normal",)), _global_terms, linear=(0,), step=0.5, once=True),
    Operation("global_max_pool", _globals(KINDS), _no_terms, roundings=1),
    Operation("upsample", _upsamplings, _upsampling_terms, linear=(0,), step=0.5, once=True),
)
