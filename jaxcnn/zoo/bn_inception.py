"""BN-Inception, the network of "Batch Normalization" (Ioffe and Szegedy 2015), figure 5.

The figure contradicts itself twice: the branches of 4c and 4d have 608 channels together, and with them those of 4e
1056, where its column of sizes says 576 and 1024. Here the branches are as printed, as in the networks trained with
Caffe; TensorFlow's release has 96 channels instead of 128 after the average pools of 4c and 4d.
"""

from __future__ import annotations

from typing import Literal

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Pool, concat, seq


def bn_inception(classes: int = 1000, separable: bool = True) -> Graph:
    """Ten inception modules, two 3x3 convolutions for each 5x5 of GoogLeNet; 11,278,528 parameters. For 224x224x3.

    The first convolution is separable, with 8 kernels for each color, as the paper says beside the figure;
    `separable=False` makes it an ordinary one (11,285,224 parameters). The paper gives neither padding nor eps: here
    strides pad as TensorFlow's ("same"), so that the branches of 3c and 4e fit for every size, and averages count no
    padding.
    """
    first = _unit(64, 7, 2)
    if separable:
        first = seq(depthwise=Conv(3 * 8, 7, 2, "same", groups=None), conv=Conv(64, 1), bn=BatchNorm(), relu=Act())
    return seq(
        conv1=first, pool1=Pool("max", 3, 2, "same"),
        conv2=_unit(64, 1), conv3=_unit(192, 3), pool2=Pool("max", 3, 2, "same"),
        inception3a=_module(64, (64, 64), (64, 96), "avg", 32),
        inception3b=_module(64, (64, 96), (64, 96), "avg", 64),
        inception3c=_reduction((128, 160), (64, 96)),
        inception4a=_module(224, (64, 96), (96, 128), "avg", 128),
        inception4b=_module(192, (96, 128), (96, 128), "avg", 128),
        inception4c=_module(160, (128, 160), (128, 160), "avg", 128),
        inception4d=_module(96, (128, 192), (160, 192), "avg", 128),
        inception4e=_reduction((128, 192), (192, 256)),
        inception5a=_module(352, (192, 320), (160, 224), "avg", 128),
        inception5b=_module(352, (192, 320), (192, 224), "max", 128),
        avgpool=GlobalPool(), fc=Dense(classes),
    )  # fmt: skip


def _unit(width: int, kernel: int, stride: int = 1) -> Graph:
    return seq(conv=Conv(width, kernel, stride, "same"), bn=BatchNorm(), relu=Act())


def _module(
    one: int, three: tuple[int, int], double: tuple[int, int], kind: Literal["avg", "max"], projection: int
) -> Graph:
    """The figure's columns: #1x1; #3x3 reduce and #3x3; double #3x3 reduce and double #3x3; pool + proj."""
    return concat(
        branch1=_unit(one, 1),
        branch2=seq(_unit(three[0], 1), _unit(three[1], 3)),
        branch3=seq(_unit(double[0], 1), _unit(double[1], 3), _unit(double[1], 3)),
        branch4=seq(Pool(kind, 3, 1, "same", count_include_pad=False), _unit(projection, 1)),
    )


def _reduction(three: tuple[int, int], double: tuple[int, int]) -> Graph:
    """Half the places: the last convolutions have stride 2, and a pool passes the input through."""
    return concat(
        branch1=seq(_unit(three[0], 1), _unit(three[1], 3, 2)),
        branch2=seq(_unit(double[0], 1), _unit(double[1], 3), _unit(double[1], 3, 2)),
        branch3=Pool("max", 3, 2, "same"),
    )
