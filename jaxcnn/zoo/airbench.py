"""Jordan's network for training CIFAR-10 in seconds (2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU").

A convolution of 2x2 whose kernel is meant to be the whitening of the training images (`TrainConfig.whiten`), three
blocks of two 3x3 convolutions, each block halving the image, and a dense layer whose logits are divided by 9. Nothing
but the last layer follows the places of features, which a maximum over 3x3 has made one.
"""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, Graph, Pool, Scale, seq

WHITENED = 24  # twice the 12 numbers of a 2x2 patch: each of its principal components, and that with the other sign


def _block(width: int) -> Graph:
    norm = BatchNorm(0.4, eps=1e-12, scale=False)
    return seq(
        conv1=Conv(width), pool=Pool("max", 2), norm1=norm, act1=Act("gelu"),
        conv2=Conv(width), norm2=norm, act2=Act("gelu"),
    )  # fmt: skip


def airbench(classes: int = 10, width: int = 64) -> Graph:
    """Seven convolutions; 1,971,616 parameters at the usual width. For 32x32x3.

    The blocks have `width`, 4 * `width` and 4 * `width` channels.
    """
    return seq(
        whiten=Conv(WHITENED, 2, padding="valid"), act=Act("gelu"),
        block1=_block(width), block2=_block(4 * width), block3=_block(4 * width),
        pool=Pool("max", 3), flatten=Flatten(), head=Dense(classes, bias=False), scale=Scale(1 / 9),
    )  # fmt: skip
