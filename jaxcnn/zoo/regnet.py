"""RegNet (Radosavovic et al. 2020, Designing Network Design Spaces, section 3.3), under torchvision's names.

The widths of all blocks follow from five numbers; X has plain bottlenecks, Y squeezes and excites in each.
"""

from __future__ import annotations

import math
from itertools import groupby

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Spec, add, seq
from jaxcnn.zoo.mobilenet import round_channels
from jaxcnn.zoo.mobilenet_v3 import squeeze_excite

# blocks, first width w_0, slope w_a, ratio of widths w_m, channels of a group
_SIZES = {
    "x_400mf": (22, 24, 24.48, 2.54, 16),
    "x_800mf": (16, 56, 35.73, 2.28, 16),
    "x_1_6gf": (18, 80, 34.01, 2.25, 24),
    "x_3_2gf": (25, 88, 26.31, 2.25, 48),
    "x_8gf": (23, 80, 49.56, 2.88, 120),
    "x_16gf": (22, 216, 55.59, 2.1, 128),
    "x_32gf": (23, 320, 69.86, 2.0, 168),
    "y_400mf": (16, 48, 27.89, 2.09, 8),
    "y_800mf": (14, 56, 38.84, 2.4, 16),
    "y_1_6gf": (27, 48, 20.71, 2.65, 24),
    "y_3_2gf": (21, 80, 42.63, 2.66, 24),
    "y_8gf": (17, 192, 76.82, 2.19, 56),
    "y_16gf": (18, 200, 106.23, 2.48, 112),
    "y_32gf": (20, 232, 115.89, 2.53, 232),
}


def _stages(blocks: int, first: int, slope: float, ratio: float, group: int) -> list[tuple[int, int]]:
    """The width and the number of blocks of every stage.

    A line's widths, first + slope * block, are rounded to first * ratio ** k for a whole k (equations 2 to 4), then to
    multiples of 8; blocks of one width are a stage, which is then rounded to multiples of its groups' channels.
    """
    powers = (round(math.log((first + slope * block) / first, ratio)) for block in range(blocks))
    widths = (8 * round(first * ratio**power / 8) for power in powers)
    return [(round_channels(width, min(group, width)), len(list(same))) for width, same in groupby(widths)]


def _block(before: int, after: int, stride: int, group: int, squeezes: bool) -> Graph:
    body: dict[str, Spec] = {
        "a": seq(Conv(after, 1), BatchNorm(), Act()),
        "b": seq(Conv(after, 3, stride, groups=after // group), BatchNorm(), Act()),
    }
    if squeezes:  # to a quarter of the block's input
        body["se"] = squeeze_excite(after, round(before / 4), "relu", "sigmoid")
    body["c"] = seq(Conv(after, 1), BatchNorm())
    changes = before != after or stride > 1
    shortcut: dict[str, Spec] = {"proj": seq(Conv(after, 1, stride), BatchNorm())} if changes else {"_same": Identity()}
    return add(**shortcut, f=seq(**body), then=Act())


def _regnet(size: str, classes: int) -> Graph:
    *_, group = _SIZES[size]
    trunk: dict[str, Spec] = {}
    before = 32
    for number, (width, blocks) in enumerate(_stages(*_SIZES[size]), 1):
        stage: dict[str, Spec] = {}
        for block in range(blocks):
            stage[f"block{number}-{block}"] = _block(
                before, width, 1 if block else 2, min(group, width), size.startswith("y")
            )
            before = width
        trunk[f"block{number}"] = seq(**stage)
    stem = seq(Conv(32, 3, 2), BatchNorm(), Act())
    return seq(stem=stem, trunk_output=seq(**trunk), avgpool=GlobalPool(), fc=Dense(classes))


def regnet_x_400mf(classes: int = 1000) -> Graph:
    """RegNetX of about 400 million multiply-accumulates: 5,495,976 parameters."""
    return _regnet("x_400mf", classes)


def regnet_x_800mf(classes: int = 1000) -> Graph:
    """RegNetX of about 800 million multiply-accumulates: 7,259,656 parameters."""
    return _regnet("x_800mf", classes)


def regnet_x_1_6gf(classes: int = 1000) -> Graph:
    """RegNetX of about 1.6 billion multiply-accumulates: 9,190,136 parameters."""
    return _regnet("x_1_6gf", classes)


def regnet_x_3_2gf(classes: int = 1000) -> Graph:
    """RegNetX of about 3.2 billion multiply-accumulates: 15,296,552 parameters."""
    return _regnet("x_3_2gf", classes)


def regnet_x_8gf(classes: int = 1000) -> Graph:
    """RegNetX of about 8 billion multiply-accumulates: 39,572,648 parameters."""
    return _regnet("x_8gf", classes)


def regnet_x_16gf(classes: int = 1000) -> Graph:
    """RegNetX of about 16 billion multiply-accumulates: 54,278,536 parameters."""
    return _regnet("x_16gf", classes)


def regnet_x_32gf(classes: int = 1000) -> Graph:
    """RegNetX of about 32 billion multiply-accumulates: 107,811,560 parameters."""
    return _regnet("x_32gf", classes)


def regnet_y_400mf(classes: int = 1000) -> Graph:
    """RegNetY of about 400 million multiply-accumulates: 4,344,144 parameters."""
    return _regnet("y_400mf", classes)


def regnet_y_800mf(classes: int = 1000) -> Graph:
    """RegNetY of about 800 million multiply-accumulates: 6,432,512 parameters."""
    return _regnet("y_800mf", classes)


def regnet_y_1_6gf(classes: int = 1000) -> Graph:
    """RegNetY of about 1.6 billion multiply-accumulates: 11,202,430 parameters."""
    return _regnet("y_1_6gf", classes)


def regnet_y_3_2gf(classes: int = 1000) -> Graph:
    """RegNetY of about 3.2 billion multiply-accumulates: 19,436,338 parameters."""
    return _regnet("y_3_2gf", classes)


def regnet_y_8gf(classes: int = 1000) -> Graph:
    """RegNetY of about 8 billion multiply-accumulates: 39,381,472 parameters."""
    return _regnet("y_8gf", classes)


def regnet_y_16gf(classes: int = 1000) -> Graph:
    """RegNetY of about 16 billion multiply-accumulates: 83,590,140 parameters."""
    return _regnet("y_16gf", classes)


def regnet_y_32gf(classes: int = 1000) -> Graph:
    """RegNetY of about 32 billion multiply-accumulates: 145,046,770 parameters."""
    return _regnet("y_32gf", classes)
