"""ConvNeXt-T (Liu et al. 2022, A ConvNet for the 2020s, table 9), under torchvision's names."""

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


def convnext_tiny(classes: int = 1000) -> Graph:
    """Blocks of one depthwise 7x7, 3, 3, 9 and 3 of them: 28,589,128 parameters."""
    table = ((96, 3), (192, 3), (384, 9), (768, 3))
    blocks = sum(repeats for _, repeats in table)
    features, number = [seq(Conv(96, 4, 4, 0, bias=True), LayerNorm())], 0
    for width, repeats in table:
        if number:
            features.append(seq(LayerNorm(), Conv(width, 2, 2, 0, bias=True)))
        features.append(seq(*(_block(width, 0.1 * (number + repeat) / (blocks - 1)) for repeat in range(repeats))))
        number += repeats
    return seq(
        features=seq(*features),
        avgpool=GlobalPool(keepdims=True),
        classifier=seq(LayerNorm(), Flatten(), Dense(classes)),
    )
