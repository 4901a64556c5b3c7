"""Residual networks for ImageNet, and their grouped and wider relatives, under torchvision's names.

He, Zhang, Ren and Sun 2015, Deep Residual Learning for Image Recognition, table 1; Xie, Girshick, Dollar, Tu and He
2017, Aggregated Residual Transformations; Zagoruyko and Komodakis 2016, Wide Residual Networks.

`variant="keras"` gives the networks of keras.applications: a bias in every convolution, the stride on a bottleneck's
first 1x1 as in the paper (torchvision has it on the 3x3), another eps and another rule of the running statistics.
`stem="cifar"` begins with a 3x3 convolution of stride 1 and without pooling, for small images.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Pool, Spec, add, seq
from jaxcnn.zoo.options import check_choice

Block = Callable[[int, int, bool], Graph]  # of a stage's width, a stride, and whether the shape changes


def _norm(keras: bool = False) -> BatchNorm:
    return BatchNorm(0.99, eps=1.001e-5, unbiased=False) if keras else BatchNorm()


def _basic(width: int, stride: int, changes: bool, shortcut: bool = True) -> Graph:
    body = seq(conv1=Conv(width, 3, stride), bn1=_norm(), relu1=Act(), conv2=Conv(width), bn2=_norm())
    if not shortcut:
        return add(body, then=Act())
    return _residual(body, seq(Conv(width, 1, stride), _norm()) if changes else None)


def _bottleneck(group_width: int = 64, groups: int = 1, keras: bool = False) -> Block:
    """1x1, 3x3, 1x1, with `group_width` channels in each of the 3x3's groups where the stage's width is 64."""

    def block(width: int, stride: int, changes: bool) -> Graph:
        inner = width * group_width // 64 * groups
        first, second = (stride, 1) if keras else (1, stride)
        body = seq(
            conv1=Conv(inner, 1, first, bias=keras), bn1=_norm(keras), relu1=Act(),
            conv2=Conv(inner, 3, second, groups=groups, bias=keras), bn2=_norm(keras), relu2=Act(),
            conv3=Conv(4 * width, 1, bias=keras), bn3=_norm(keras),
        )  # fmt: skip
        return _residual(body, seq(Conv(4 * width, 1, stride, bias=keras), _norm(keras)) if changes else None)

    return block


def _residual(body: Graph, downsample: Graph | None) -> Graph:
    shortcut: dict[str, Spec] = {"downsample": downsample} if downsample else {"_identity": Identity()}
    return add(body, **shortcut, then=Act())


def _resnet(
    repeats: tuple[int, ...], block: Block, classes: int, stem: str, *, expansion: int = 4, keras: bool = False
) -> Graph:
    check_choice("stem", stem, "imagenet", "cifar")
    small = stem == "cifar"
    stages: dict[str, Spec] = {}
    for stage, count in enumerate(repeats):
        width, stride = 64 << stage, 2 if stage else 1
        first = block(width, stride, stride > 1 or expansion > 1)
        stages[f"layer{stage + 1}"] = seq(first, *[block(width, 1, False)] * (count - 1))
    return seq(
        conv1=Conv(64, 3, bias=keras) if small else Conv(64, 7, 2, bias=keras), bn1=_norm(keras), relu=Act(),
        # Keras pads with zeros: the same, after a ReLU
        maxpool=Identity() if small else Pool("max", 3, 2, "half"),
        **stages,
        avgpool=GlobalPool(), fc=Dense(classes),
    )  # fmt: skip


def _bottlenecks(repeats: tuple[int, ...], classes: int, stem: str, variant: str) -> Graph:
    check_choice("variant", variant, "torchvision", "keras")
    keras = variant == "keras"
    return _resnet(repeats, _bottleneck(keras=keras), classes, stem, keras=keras)


def resnet18(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """Two basic blocks in each of four stages: 11,689,512 parameters."""
    return _resnet((2, 2, 2, 2), _basic, classes, stem, expansion=1)


def resnet34(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """Basic blocks, 3, 4, 6 and 3 of them: 21,797,672 parameters."""
    return _resnet((3, 4, 6, 3), _basic, classes, stem, expansion=1)


def plain34(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-34 without shortcuts, which the paper shows to train worse: 21,623,848 parameters."""
    return _resnet((3, 4, 6, 3), partial(_basic, shortcut=False), classes, stem, expansion=1)


def resnet50(classes: int = 1000, stem: str = "imagenet", variant: str = "torchvision") -> Graph:
    """Bottlenecks, 3, 4, 6 and 3 of them: 25,557,032 parameters; 25,583,592 in Keras."""
    return _bottlenecks((3, 4, 6, 3), classes, stem, variant)


def resnet101(classes: int = 1000, stem: str = "imagenet", variant: str = "torchvision") -> Graph:
    """Bottlenecks, 3, 4, 23 and 3 of them: 44,549,160 parameters; 44,601,832 in Keras."""
    return _bottlenecks((3, 4, 23, 3), classes, stem, variant)


def resnet152(classes: int = 1000, stem: str = "imagenet", variant: str = "torchvision") -> Graph:
    """Bottlenecks, 3, 8, 36 and 3 of them: 60,192,808 parameters; 60,268,520 in Keras."""
    return _bottlenecks((3, 8, 36, 3), classes, stem, variant)


def resnext50_32x4d(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-50 whose 3x3 convolutions have 32 groups of 4 channels: 25,028,904 parameters."""
    return _resnet((3, 4, 6, 3), _bottleneck(4, 32), classes, stem)


def resnext101_32x8d(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-101 whose 3x3 convolutions have 32 groups of 8 channels: 88,791,336 parameters."""
    return _resnet((3, 4, 23, 3), _bottleneck(8, 32), classes, stem)


def resnext101_64x4d(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-101 whose 3x3 convolutions have 64 groups of 4 channels: 83,455,272 parameters."""
    return _resnet((3, 4, 23, 3), _bottleneck(4, 64), classes, stem)


def wide_resnet50_2(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-50 with twice the channels inside its bottlenecks: 68,883,240 parameters."""
    return _resnet((3, 4, 6, 3), _bottleneck(128), classes, stem)


def wide_resnet101_2(classes: int = 1000, stem: str = "imagenet") -> Graph:
    """ResNet-101 with twice the channels inside its bottlenecks: 126,886,696 parameters."""
    return _resnet((3, 4, 23, 3), _bottleneck(128), classes, stem)
