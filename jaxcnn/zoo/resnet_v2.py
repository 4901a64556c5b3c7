"""Residual networks with normalization and activation before each convolution, as in keras.applications.

He, Zhang, Ren and Sun 2016, Identity Mappings in Deep Residual Networks. Paths with "." replaced by "_" are Keras's
layer names. A stage's stride stands in its last block, whose shortcut is a maximum pooling of single places.
"""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Pad, Pool, Spec, add, seq
from jaxcnn.zoo.options import check_choice

_NORM = BatchNorm(0.99, eps=1.001e-5, unbiased=False)


def _block(width: int, stride: int = 1, project: bool = False) -> Graph:
    before: dict[str, Spec] = {"preact_bn": _NORM, "preact_relu": Act()}
    body: dict[str, Spec] = {
        "1_conv": Conv(width, 1), "1_bn": _NORM, "1_relu": Act(),
        "2_conv": Conv(width, 3, stride), "2_bn": _NORM, "2_relu": Act(),
        "3_conv": Conv(4 * width, 1, bias=True),
    }  # fmt: skip
    if project:  # the projection takes the activated input; the other shortcuts take the input as it is
        return seq(**before, _sum=add(seq(**body), **{"0_conv": Conv(4 * width, 1, stride, bias=True)}))
    return add(seq(**before, **body), Pool("max", 1, stride) if stride > 1 else Identity())


def _resnet(repeats: tuple[int, ...], classes: int, stem: str) -> Graph:
    check_choice("stem", stem, "imagenet", "cifar")
    small = stem == "cifar"
    blocks: dict[str, Spec] = {}
    for stage, count in enumerate(repeats):
        width, last = 64 << stage, 1 if stage == len(repeats) - 1 else 2
        for number in range(1, count + 1):
            stride = last if number == count else 1
            blocks[f"conv{stage + 2}_block{number}"] = _block(width, stride, number == 1)
    return seq(
        conv1_conv=Conv(64, 3, bias=True) if small else Conv(64, 7, 2, bias=True),
        # with zeros, not with minus infinity: nothing has been rectified yet
        pool1_pad=Identity() if small else Pad(1), pool1_pool=Identity() if small else Pool("max", 3, 2),
        **blocks,
        post_bn=_NORM, post_relu=Act(), avg_pool=GlobalPool(), predictions=Dense(classes),
    )  # fmt: skip


def resnet50v2(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """Blocks of three convolutions, 3, 4, 6 and 3 of them: 25,568,360 parameters."""
    return _resnet((3, 4, 6, 3), classes, stem)


def resnet101v2(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """Blocks of three convolutions, 3, 4, 23 and 3 of them: 44,577,896 parameters."""
    return _resnet((3, 4, 23, 3), classes, stem)


def resnet152v2(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """Blocks of three convolutions, 3, 8, 36 and 3 of them: 60,236,904 parameters."""
    return _resnet((3, 8, 36, 3), classes, stem)
