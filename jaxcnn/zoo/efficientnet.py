"""EfficientNet-B0 (Tan and Le 2019, EfficientNet: Rethinking Model Scaling, table 1), under torchvision's names."""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Spec, StochasticDepth, seq
from jaxcnn.zoo.mobilenet import residual
from jaxcnn.zoo.mobilenet_v3 import squeeze_excite

# expansion, kernel, stride, channels, repeats
_TABLE = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def _unit(conv: Conv) -> Graph:
    return seq(conv, BatchNorm(), Act("silu"))


def _block(before: int, after: int, kernel: int, stride: int, expansion: int, drop: float) -> Spec:
    """An inverted residual whose squeeze-and-excite has a quarter of the *input's* channels."""
    expanded = before * expansion
    layers = [_unit(Conv(expanded, 1))] if expansion > 1 else []
    body = seq(
        *layers,
        _unit(Conv(None, kernel, stride, groups=None)),
        squeeze_excite(expanded, before // 4, "silu", "sigmoid"),
        seq(Conv(after, 1), BatchNorm()),
    )
    if before != after or stride > 1:
        return seq(block=body)
    return residual(seq(block=body, stochastic_depth=StochasticDepth(drop)), True)


def efficientnet_b0(classes: int = 1000) -> Graph:
    """Sixteen inverted residuals that squeeze and excite; 5,288,548 parameters."""
    stages, before, number = [], 32, 0
    blocks = sum(repeats for *_, repeats in _TABLE)
    for expansion, kernel, stride, after, repeats in _TABLE:
        stage = []
        for repeat in range(repeats):
            drop = 0.2 * number / blocks
            stage.append(_block(before, after, kernel, 1 if repeat else stride, expansion, drop))
            before, number = after, number + 1
        stages.append(seq(*stage))
    features = seq(_unit(Conv(32, 3, 2)), *stages, _unit(Conv(4 * before, 1)))
    return seq(features=features, avgpool=GlobalPool(), classifier=seq(Dropout(0.2), Dense(classes)))
