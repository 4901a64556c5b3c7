"""EfficientNet (Tan and Le 2019, EfficientNet: Rethinking Model Scaling, table 1), under torchvision's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Spec, StochasticDepth, seq
from jaxcnn.zoo.mobilenet import residual, round_channels
from jaxcnn.zoo.mobilenet_v3 import squeeze_excite


class Stage(NamedTuple):
    """Inverted residuals one after the other, the first one with the stride."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int
    fused: bool = False


_B0 = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
# The published weights of B5 to B7 come from TensorFlow, with its norm.
_NORM, _TENSORFLOWS = BatchNorm(), BatchNorm(0.99, eps=1e-3)


def _unit(conv: Conv, norm: BatchNorm) -> Graph:
    return seq(conv, norm, Act("silu"))


def _inverted(before: int, stride: int, stage: Stage, norm: BatchNorm) -> Graph:
    """An inverted residual whose squeeze-and-excite has a quarter of the *input's* channels."""
    expanded = before * stage.expansion
    layers = [_unit(Conv(expanded, 1), norm)] if stage.expansion > 1 else []
    return seq(
        *layers,
        _unit(Conv(None, stage.kernel, stride, groups=None), norm),
        squeeze_excite(expanded, before // 4, "silu", "sigmoid"),
        seq(Conv(stage.channels, 1), norm),
    )


def _fused(before: int, stride: int, stage: Stage, norm: BatchNorm) -> Graph:
    """One dense convolution instead of a 1x1 and a depthwise one, and no squeeze-and-excite."""
    if stage.expansion == 1:
        return seq(_unit(Conv(stage.channels, stage.kernel, stride), norm))
    wide = Conv(before * stage.expansion, stage.kernel, stride)
    return seq(_unit(wide, norm), seq(Conv(stage.channels, 1), norm))


def efficientnet(stem: int, table: Sequence[Stage], last: int, dropout: float, norm: BatchNorm, classes: int) -> Graph:
    """The stages of `table` between a 3x3 convolution to `stem` channels and a 1x1 one to `last`."""
    blocks, number, before = sum(stage.repeats for stage in table), 0, stem
    stages = []
    for stage in table:
        layers: list[Spec] = []
        for repeat in range(stage.repeats):
            stride = 1 if repeat else stage.stride
            body = (_fused if stage.fused else _inverted)(before, stride, stage, norm)
            if before != stage.channels or stride > 1:
                layers.append(seq(block=body))
            else:
                drop = StochasticDepth(0.2 * number / blocks)
                layers.append(residual(seq(block=body, stochastic_depth=drop), True))
            before, number = stage.channels, number + 1
        stages.append(seq(*layers))
    features = seq(_unit(Conv(stem, 3, 2), norm), *stages, _unit(Conv(last, 1), norm))
    return seq(features=features, avgpool=GlobalPool(), classifier=seq(Dropout(dropout), Dense(classes)))


def _scaled(width: float, depth: float, dropout: float, classes: int, norm: BatchNorm = _NORM) -> Graph:
    """B0 with `width` times the channels and `depth` times the blocks."""
    table = [
        stage._replace(channels=round_channels(stage.channels * width), repeats=math.ceil(stage.repeats * depth))
        for stage in _B0
    ]
    return efficientnet(round_channels(32 * width), table, 4 * table[-1].channels, dropout, norm, classes)


def efficientnet_b0(classes: int = 1000) -> Graph:
    """Sixteen inverted residuals that squeeze and excite: 5,288,548 parameters."""
    return _scaled(1.0, 1.0, 0.2, classes)


def efficientnet_b1(classes: int = 1000) -> Graph:
    """B0, 1.1 times as deep, for images of 240: 7,794,184 parameters."""
    return _scaled(1.0, 1.1, 0.2, classes)


def efficientnet_b2(classes: int = 1000) -> Graph:
    """B0, 1.1 times as wide and 1.2 times as deep, for images of 288: 9,109,994 parameters."""
    return _scaled(1.1, 1.2, 0.3, classes)


def efficientnet_b3(classes: int = 1000) -> Graph:
    """B0, 1.2 times as wide and 1.4 times as deep, for images of 300: 12,233,232 parameters."""
    return _scaled(1.2, 1.4, 0.3, classes)


def efficientnet_b4(classes: int = 1000) -> Graph:
    """B0, 1.4 times as wide and 1.8 times as deep, for images of 380: 19,341,616 parameters."""
    return _scaled(1.4, 1.8, 0.4, classes)


def efficientnet_b5(classes: int = 1000) -> Graph:
    """B0, 1.6 times as wide and 2.2 times as deep, for images of 456: 30,389,784 parameters."""
    return _scaled(1.6, 2.2, 0.4, classes, _TENSORFLOWS)


def efficientnet_b6(classes: int = 1000) -> Graph:
    """B0, 1.8 times as wide and 2.6 times as deep, for images of 528: 43,040,704 parameters."""
    return _scaled(1.8, 2.6, 0.5, classes, _TENSORFLOWS)


def efficientnet_b7(classes: int = 1000) -> Graph:
    """B0, twice as wide and 3.1 times as deep, for images of 600: 66,347,960 parameters."""
    return _scaled(2.0, 3.1, 0.5, classes, _TENSORFLOWS)
