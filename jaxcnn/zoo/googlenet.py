"""GoogLeNet (Szegedy and others 2015, table 1) as torchvision has it, with batch normalization."""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    AdaptivePool,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Node,
    Pool,
    concat,
    seq,
)


def googlenet(classes: int = 1000, aux: bool = False, rate: float = 0.2, aux_rate: float = 0.7) -> Graph:
    """Nine inception modules; 6,624,904 parameters, 13,004,888 with `aux`. For 224x224x3, at least 15x15.

    `aux=True` adds the two auxiliary classifiers for training, the nodes "aux1" and "aux2": `forward` has their logits
    among its activations. `rate` is that of the dropout before the last layer, `aux_rate` that of the auxiliary ones.
    The third branch is 3x3 where the paper's is 5x5: torchvision's weights are so.
    """
    net = seq(
        conv1=_unit(64, 7, 2), maxpool1=_pool(3),
        conv2=_unit(64, 1), conv3=_unit(192, 3), maxpool2=_pool(3),
        inception3a=_module(64, (96, 128), (16, 32), 32),
        inception3b=_module(128, (128, 192), (32, 96), 64),
        maxpool3=_pool(3),
        inception4a=_module(192, (96, 208), (16, 48), 64),
        inception4b=_module(160, (112, 224), (24, 64), 64),
        inception4c=_module(128, (128, 256), (24, 64), 64),
        inception4d=_module(112, (144, 288), (32, 64), 64),
        inception4e=_module(256, (160, 320), (32, 128), 128),
        maxpool4=_pool(2),
        inception5a=_module(256, (160, 320), (32, 128), 128),
        inception5b=_module(384, (192, 384), (48, 128), 128),
        avgpool=GlobalPool(), dropout=Dropout(rate), fc=Dense(classes),
    )  # fmt: skip
    if not aux:
        return net
    *trunk, fc = net.nodes
    head = _head(classes, aux_rate)
    return Graph((*trunk, Node("aux1", head, ("inception4a",)), Node("aux2", head, ("inception4d",)), fc))


def _unit(width: int, kernel: int, stride: int = 1) -> Graph:
    return seq(conv=Conv(width, kernel, stride), bn=BatchNorm(eps=1e-3), relu=Act())


def _pool(window: int) -> Pool:
    return Pool("max", window, 2, ceil_mode=True)


def _module(one: int, three: tuple[int, int], five: tuple[int, int], projection: int) -> Graph:
    """The table's columns: #1x1; #3x3 reduce and #3x3; #5x5 reduce and #5x5; pool proj."""
    return concat(
        branch1=_unit(one, 1),
        branch2=seq(_unit(three[0], 1), _unit(three[1], 3)),
        branch3=seq(_unit(five[0], 1), _unit(five[1], 3)),
        branch4=seq(Pool("max", 3, 1, padding=1), _unit(projection, 1)),
    )


def _head(classes: int, rate: float) -> Graph:
    return seq(
        pool=AdaptivePool(4), conv=_unit(128, 1), flatten=Flatten(),
        fc1=Dense(1024), relu=Act(), dropout=Dropout(rate), fc2=Dense(classes),
    )  # fmt: skip
