"""EfficientNetV2 (Tan and Le 2021, Smaller Models and Faster Training, table 4), under torchvision's names."""

from __future__ import annotations

from jaxcnn.spec import BatchNorm, Graph
from jaxcnn.zoo.efficientnet import Stage, efficientnet

# expansion, stride, channels, repeats
_Rows = tuple[tuple[int, int, int, int], ...]


def _version_2(fused: _Rows, inverted: _Rows, dropout: float, classes: int) -> Graph:
    """Stages of fused blocks, then of inverted residuals; every kernel is 3x3."""
    table = [
        Stage(expansion, 3, stride, channels, repeats, rows is fused)
        for rows in (fused, inverted)
        for expansion, stride, channels, repeats in rows
    ]
    return efficientnet(table[0].channels, table, 1280, dropout, BatchNorm(eps=1e-3), classes)


def efficientnet_v2_s(classes: int = 1000) -> Graph:
    """Ten fused blocks, then thirty inverted residuals, for images of 384: 21,458,488 parameters."""
    fused = (1, 1, 24, 2), (4, 2, 48, 4), (4, 2, 64, 4)
    inverted = (4, 2, 128, 6), (6, 1, 160, 9), (6, 2, 256, 15)
    return _version_2(fused, inverted, 0.2, classes)


def efficientnet_v2_m(classes: int = 1000) -> Graph:
    """Thirteen fused blocks, then 44 inverted residuals, for images of 480: 54,139,356 parameters."""
    fused = (1, 1, 24, 3), (4, 2, 48, 5), (4, 2, 80, 5)
    inverted = (4, 2, 160, 7), (6, 1, 176, 14), (6, 2, 304, 18), (6, 1, 512, 5)
    return _version_2(fused, inverted, 0.3, classes)


def efficientnet_v2_l(classes: int = 1000) -> Graph:
    """Eighteen fused blocks, then 61 inverted residuals, for images of 480: 118,515,272 parameters."""
    fused = (1, 1, 32, 4), (4, 2, 64, 7), (4, 2, 96, 7)
    inverted = (4, 2, 192, 10), (6, 1, 224, 19), (6, 2, 384, 25), (6, 1, 640, 7)
    return _version_2(fused, inverted, 0.4, classes)
