"""Inception-ResNet-v2 (Szegedy, Ioffe, Vanhoucke and Alemi 2017), as Keras has it."""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    GlobalPool,
    Graph,
    Identity,
    Padding,
    Pool,
    Scale,
    Size,
    add,
    concat,
    seq,
)

NORM = BatchNorm(0.99, eps=1e-3, scale=False, unbiased=False)
HALVE = Pool("max", 3, 2)


def _unit(width: int, kernel: Size = 1, stride: int = 1, padding: Padding = "half") -> Graph:
    return seq(conv=Conv(width, kernel, stride, padding), bn=NORM, relu=Act())


def _residual(branches: Graph, channels: int, scale: float, relu: bool = True) -> Graph:
    """x + scale * (the branches, brought back to the channels of x): small scales keep wide residuals stable (3.3)."""
    body = seq(_branches=branches, conv=Conv(channels, 1, bias=True), scale=Scale(scale))
    return add(Identity(), body, then=Act() if relu else Identity())


def _block35() -> Graph:
    branches = concat(
        branch_0=seq(_unit(32)),
        branch_1=seq(_unit(32), _unit(32, 3)),
        branch_2=seq(_unit(32), _unit(48, 3), _unit(64, 3)),
    )
    return _residual(branches, 320, 0.17)


def _block17() -> Graph:
    branches = concat(branch_0=seq(_unit(192)), branch_1=seq(_unit(128), _unit(160, (1, 7)), _unit(192, (7, 1))))
    return _residual(branches, 1088, 0.1)


def _block8(scale: float = 0.2, relu: bool = True) -> Graph:
    branches = concat(branch_0=seq(_unit(192)), branch_1=seq(_unit(192), _unit(224, (1, 3)), _unit(256, (3, 1))))
    return _residual(branches, 2080, scale, relu)


def _stem() -> Graph:
    return seq(
        conv2d_1a=_unit(32, 3, 2, 0), conv2d_2a=_unit(32, 3, 1, 0), conv2d_2b=_unit(64, 3), pool1=HALVE,
        conv2d_3b=_unit(80), conv2d_4a=_unit(192, 3, 1, 0), pool2=HALVE,
    )  # fmt: skip


def inception_resnet_v2(classes: int = 1000) -> Graph:
    """For 299x299x3 (75x75 at least): 55,813,192 parameters. Only the blocks' last convolutions have biases.

    `mixed_5b`, `block35_1.conv`, `conv_7b`, `predictions` are Keras's names; its other layers are numbered there.
    """
    mixed_5b = concat(
        branch_0=seq(_unit(96)),
        branch_1=seq(_unit(48), _unit(64, 5)),
        branch_2=seq(_unit(64), _unit(96, 3), _unit(96, 3)),
        branch_pool=seq(pool=Pool("avg", 3, 1, 1, count_include_pad=False), unit=_unit(64)),
    )
    mixed_6a = concat(
        branch_0=seq(_unit(384, 3, 2, 0)),
        branch_1=seq(_unit(256), _unit(256, 3), _unit(384, 3, 2, 0)),
        branch_pool=HALVE,
    )
    mixed_7a = concat(
        branch_0=seq(_unit(256), _unit(384, 3, 2, 0)),
        branch_1=seq(_unit(256), _unit(288, 3, 2, 0)),
        branch_2=seq(_unit(256), _unit(288, 3), _unit(320, 3, 2, 0)),
        branch_pool=HALVE,
    )
    return seq(
        stem=_stem(),
        mixed_5b=mixed_5b,
        **{f"block35_{number}": _block35() for number in range(1, 11)},
        mixed_6a=mixed_6a,
        **{f"block17_{number}": _block17() for number in range(1, 21)},
        mixed_7a=mixed_7a,
        **{f"block8_{number}": _block8() for number in range(1, 10)},
        block8_10=_block8(1.0, relu=False),
        conv_7b=Conv(1536, 1), conv_7b_bn=NORM, conv_7b_ac=Act(),
        avg_pool=GlobalPool(), predictions=Dense(classes),
    )  # fmt: skip
