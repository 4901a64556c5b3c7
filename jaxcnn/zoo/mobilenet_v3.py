"""MobileNetV3 (Howard et al. 2019, Searching for MobileNetV3, tables 1 and 2), under torchvision's names."""

from __future__ import annotations

from collections.abc import Iterable

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Identity, Spec, mul, seq
from jaxcnn.zoo.mobilenet import residual, round_channels

_NORM = BatchNorm(0.99, eps=1e-3)


def squeeze_excite(width: int, squeezed: int, act: str, gate: str) -> Graph:
    """Every channel times a factor between 0 and 1 that depends on the means of all (Hu et al. 2018)."""
    factors = seq(
        avgpool=GlobalPool(keepdims=True),
        fc1=Conv(squeezed, 1, bias=True), activation=Act(act),
        fc2=Conv(width, 1, bias=True), scale_activation=Act(gate),
    )  # fmt: skip
    return mul(Identity(), factors)


def _unit(conv: Conv, act: str) -> Graph:
    return seq(conv, _NORM, Act(act))


def _block(before: int, kernel: int, expanded: int, after: int, squeezes: bool, act: str, stride: int) -> Spec:
    layers: list[Spec] = [_unit(Conv(expanded, 1), act)] if expanded != before else []
    layers.append(_unit(Conv(None, kernel, stride, groups=None), act))
    if squeezes:
        layers.append(squeeze_excite(expanded, round_channels(expanded // 4), "relu", "hard_sigmoid"))
    body = seq(block=seq(*layers, seq(Conv(after, 1), _NORM)))
    return residual(body, before == after and stride == 1)


def _mobilenet_v3(table: Iterable[tuple[int, int, int, bool, str, int]], hidden: int, classes: int) -> Graph:
    layers: list[Spec] = [_unit(Conv(16, 3, 2), "hard_swish")]
    before = 16
    for kernel, expanded, after, squeezes, act, stride in table:
        layers.append(_block(before, kernel, expanded, after, squeezes, act, stride))
        before = after
    layers.append(_unit(Conv(6 * before, 1), "hard_swish"))
    head = seq(Dense(hidden), Act("hard_swish"), Dropout(0.2), Dense(classes))
    return seq(features=seq(*layers), avgpool=GlobalPool(), classifier=head)


# kernel, expanded channels, channels, squeeze and excite, activation, stride
_RE, _HS = "relu", "hard_swish"
_SMALL = (
    (3, 16, 16, True, _RE, 2),
    (3, 72, 24, False, _RE, 2),
    (3, 88, 24, False, _RE, 1),
    (5, 96, 40, True, _HS, 2),
    (5, 240, 40, True, _HS, 1),
    (5, 240, 40, True, _HS, 1),
    (5, 120, 48, True, _HS, 1),
    (5, 144, 48, True, _HS, 1),
    (5, 288, 96, True, _HS, 2),
    (5, 576, 96, True, _HS, 1),
    (5, 576, 96, True, _HS, 1),
)
_LARGE = (
    (3, 16, 16, False, _RE, 1),
    (3, 64, 24, False, _RE, 2),
    (3, 72, 24, False, _RE, 1),
    (5, 72, 40, True, _RE, 2),
    (5, 120, 40, True, _RE, 1),
    (5, 120, 40, True, _RE, 1),
    (3, 240, 80, False, _HS, 2),
    (3, 200, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1),
    (3, 480, 112, True, _HS, 1),
    (3, 672, 112, True, _HS, 1),
    (5, 672, 160, True, _HS, 2),
    (5, 960, 160, True, _HS, 1),
    (5, 960, 160, True, _HS, 1),
)


def mobilenet_v3_small(classes: int = 1000) -> Graph:
    """Eleven inverted residuals, nine of which squeeze and excite: 2,542,856 parameters."""
    return _mobilenet_v3(_SMALL, 1024, classes)


def mobilenet_v3_large(classes: int = 1000) -> Graph:
    """Fifteen inverted residuals, eight of which squeeze and excite: 5,483,032 parameters."""
    return _mobilenet_v3(_LARGE, 1280, classes)
