"""MnasNet-B1 (Tan et al. 2019, Platform-Aware Neural Architecture Search for Mobile), under torchvision's names."""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Spec, seq
from jaxcnn.zoo.mobilenet import residual, round_channels

_NORM = BatchNorm(0.9997)


def _inverted_residual(before: int, after: int, kernel: int, stride: int, expansion: int) -> Spec:
    body = seq(
        Conv(before * expansion, 1), _NORM, Act(),
        Conv(None, kernel, stride, groups=None), _NORM, Act(),
        Conv(after, 1), _NORM,
    )  # fmt: skip
    return residual(seq(layers=body), before == after and stride == 1)


def _mnasnet(multiplier: float, classes: int) -> Graph:
    stem, before = round_channels(32 * multiplier), round_channels(16 * multiplier)
    stages = []
    # channels, kernel, stride, expansion, repeats
    for channels, kernel, stride, expansion, repeats in (
        (24, 3, 2, 3, 3), (40, 5, 2, 3, 3), (80, 5, 2, 6, 3), (96, 3, 1, 6, 2), (192, 5, 2, 6, 4), (320, 3, 1, 6, 1),
    ):  # fmt: skip
        after = round_channels(channels * multiplier)
        rest = [_inverted_residual(after, after, kernel, 1, expansion)] * (repeats - 1)
        stages.append(seq(_inverted_residual(before, after, kernel, stride, expansion), *rest))
        before = after
    layers = seq(
        Conv(stem, 3, 2), _NORM, Act(),
        Conv(None, 3, groups=None), _NORM, Act(),
        Conv(round_channels(16 * multiplier), 1), _NORM,
        *stages,
        Conv(1280, 1), _NORM, Act(),
    )  # fmt: skip
    return seq(layers=layers, avgpool=GlobalPool(), classifier=seq(Dropout(0.2), Dense(classes)))


def mnasnet0_5(classes: int = 1000) -> Graph:
    """MnasNet with half the channels: 2,218,512 parameters."""
    return _mnasnet(0.5, classes)


def mnasnet0_75(classes: int = 1000) -> Graph:
    """MnasNet with three quarters of the channels: 3,170,208 parameters."""
    return _mnasnet(0.75, classes)


def mnasnet1_0(classes: int = 1000) -> Graph:
    """MnasNet as searched for: 4,383,312 parameters."""
    return _mnasnet(1.0, classes)


def mnasnet1_3(classes: int = 1000) -> Graph:
    """MnasNet with 1.3 times the channels: 6,282,256 parameters."""
    return _mnasnet(1.3, classes)
