"""ConvNeXt (Liu et al. 2022, A ConvNet for the 2020s, table 9), under torchvision's names."""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    LayerNorm,
    Scale,
    StochasticDepth,
    add,
    seq,
)


def _block(width: int, drop: float) -> Graph:
    """A depthwise 7x7, then two dense layers on every place: 1x1 convolutions here."""
    body = seq(**{  # torchvision turns the axes at 1 and 6
        "0": Conv(None, 7, groups=None, bias=True), "2": LayerNorm(),
        "3": Conv(4 * width, 1, bias=True), "4": Act("gelu"), "5": Conv(width, 1, bias=True),
    })  # fmt: skip
    return add(
        seq(block=body, layer_scale=Scale(1e-6, trainable=True), stochastic_depth=StochasticDepth(drop)), Identity()
    )


def _convnext(width: int, third: int, drop: float, classes: int) -> Graph:
    """3, 3, `third` and 3 blocks; `drop` is the last one's probability of being left out."""
    table = ((width, 3), (2 * width, 3), (4 * width, third), (8 * width, 3))
    blocks = sum(repeats for _, repeats in table)
    features, number = [seq(Conv(width, 4, 4, 0, bias=True), LayerNorm())], 0
    for channels, repeats in table:
        if number:
            features.append(seq(LayerNorm(), Conv(channels, 2, 2, 0, bias=True)))
        drops = (drop * (number + repeat) / (blocks - 1) for repeat in range(repeats))
        features.append(seq(*(_block(channels, each) for each in drops)))
        number += repeats
    return seq(
        features=seq(*features),
        avgpool=GlobalPool(keepdims=True),
        classifier=seq(LayerNorm(), Flatten(), Dense(classes)),
    )


def convnext_tiny(classes: int = 1000) -> Graph:
    """Blocks of one depthwise 7x7, 3, 3, 9 and 3 of them: 28,589,128 parameters."""
    return _convnext(96, 9, 0.1, classes)


def convnext_small(classes: int = 1000) -> Graph:
    """Three times as many blocks in the third stage as the tiny one: 50,223,688 parameters."""
    return _convnext(96, 27, 0.4, classes)


def convnext_base(classes: int = 1000) -> Graph:
    """The small one with 128 channels in the first stage instead of 96: 88,591,464 parameters."""
    return _convnext(128, 27, 0.5, classes)


def convnext_large(classes: int = 1000) -> Graph:
    """The small one with twice the channels: 197,767,336 parameters."""
    return _convnext(192, 27, 0.5, classes)
