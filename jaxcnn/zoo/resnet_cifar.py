"""The residual networks for CIFAR of He, Zhang, Ren and Sun 2015, section 4.2: 6n + 2 layers for 32x32x3.

Their shortcuts have no parameters (option A): where the channels double, the image is subsampled and zeros stand in
for the new channels. Half of those come before the others and half after, as in the published weights of
akamaster's pytorch_resnet_cifar10, whose names the paths are.
"""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    BatchNorm,
    Channels,
    Conv,
    Dense,
    GlobalPool,
    Graph,
    Identity,
    Pool,
    Scale,
    add,
    concat,
    seq,
)


def _shortcut(width: int) -> Graph:
    """Every second place of every second row, between `width // 4` channels of zeros on either side."""
    zeros = seq(channels=Channels(0, width // 4), zeros=Scale(0.0))
    padded = concat(before=zeros, kept=Identity(), after=zeros)
    return seq(subsampled=Pool("max", 1, 2), padded=padded)


def _block(width: int, stride: int) -> Graph:
    body = seq(conv1=Conv(width, 3, stride), bn1=BatchNorm(), relu=Act(), conv2=Conv(width), bn2=BatchNorm())
    if stride == 1:
        return add(body, Identity(), then=Act())
    return add(body, shortcut=_shortcut(width), then=Act())


def _resnet(blocks: int, classes: int) -> Graph:
    stages = {
        f"layer{stage + 1}": seq(_block(16 << stage, 2 if stage else 1), *[_block(16 << stage, 1)] * (blocks - 1))
        for stage in range(3)
    }
    return seq(conv1=Conv(16), bn1=BatchNorm(), relu=Act(), **stages, avgpool=GlobalPool(), linear=Dense(classes))


def resnet20(classes: int = 10) -> Graph:
    """Three blocks in each of three stages: 269,722 parameters. For 32x32x3."""
    return _resnet(3, classes)


def resnet32(classes: int = 10) -> Graph:
    """Five blocks in each of three stages: 464,154 parameters. For 32x32x3."""
    return _resnet(5, classes)


def resnet44(classes: int = 10) -> Graph:
    """Seven blocks in each of three stages: 658,586 parameters. For 32x32x3."""
    return _resnet(7, classes)


def resnet56(classes: int = 10) -> Graph:
    """Nine blocks in each of three stages: 853,018 parameters. For 32x32x3."""
    return _resnet(9, classes)


def resnet110(classes: int = 10) -> Graph:
    """Eighteen blocks in each of three stages: 1,727,962 parameters. For 32x32x3."""
    return _resnet(18, classes)
