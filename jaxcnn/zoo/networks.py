"""The table of networks: what builds each, the images it is meant for, and what is published of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxcnn.spec import Spec
from jaxcnn.zoo.airbench import airbench
from jaxcnn.zoo.alexnet import alexnet, alexnet_2012
from jaxcnn.zoo.alphago import alphago_policy
from jaxcnn.zoo.bn_inception import bn_inception
from jaxcnn.zoo.convnext import convnext_base, convnext_large, convnext_small, convnext_tiny
from jaxcnn.zoo.deck import cats_dogs, cifar_cnn, fmnist_cnn
from jaxcnn.zoo.densenet import densenet121, densenet161, densenet169, densenet201
from jaxcnn.zoo.efficientnet import (
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
)
from jaxcnn.zoo.efficientnet_v2 import efficientnet_v2_l, efficientnet_v2_m, efficientnet_v2_s
from jaxcnn.zoo.googlenet import googlenet
from jaxcnn.zoo.inception import inception_v3
from jaxcnn.zoo.inception_resnet import inception_resnet_v2
from jaxcnn.zoo.lenet import lenet5, lenet5_1998, lenet1989, mlp
from jaxcnn.zoo.mnasnet import mnasnet0_5, mnasnet0_75, mnasnet1_0, mnasnet1_3
from jaxcnn.zoo.mobilenet import mobilenet, mobilenet_v2
from jaxcnn.zoo.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from jaxcnn.zoo.nasnet import nasnet_large, nasnet_mobile
from jaxcnn.zoo.regnet import (
    regnet_x_1_6gf,
    regnet_x_3_2gf,
    regnet_x_8gf,
    regnet_x_16gf,
    regnet_x_32gf,
    regnet_x_400mf,
    regnet_x_800mf,
    regnet_y_1_6gf,
    regnet_y_3_2gf,
    regnet_y_8gf,
    regnet_y_16gf,
    regnet_y_32gf,
    regnet_y_400mf,
    regnet_y_800mf,
)
from jaxcnn.zoo.resnet import (
    plain34,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from jaxcnn.zoo.resnet_cifar import resnet20, resnet32, resnet44, resnet56, resnet110
from jaxcnn.zoo.resnet_v2 import resnet50v2, resnet101v2, resnet152v2
from jaxcnn.zoo.shufflenet import (
    shufflenet_v1,
    shufflenet_v2_x0_5,
    shufflenet_v2_x1_0,
    shufflenet_v2_x1_5,
    shufflenet_v2_x2_0,
)
from jaxcnn.zoo.squeezenet import squeezenet1_0, squeezenet1_1
from jaxcnn.zoo.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from jaxcnn.zoo.xception import xception


class Entry(NamedTuple):
    """A network: what builds it, the (H, W, C) it is meant for, and where it comes from.

    `peer` names the implementation whose logits it reproduces: "torchvision" or "keras", or none. `top1` and `top5` are
    percent of ImageNet's validation images, as published with the peer's weights (or by `source`, without a peer).
    """

    build: Callable[..., Spec]
    input: tuple[int, int, int]
    year: int
    source: str
    peer: str = ""
    top1: float | None = None
    top5: float | None = None


_IMAGENET, _CIFAR = (224, 224, 3), (32, 32, 3)

NETWORKS = {
    # the lectures' own
    "alphago_policy": Entry(alphago_policy, (19, 19, 48), 2016, "Silver and others, AlphaGo's policy network"),
    "cats_dogs": Entry(cats_dogs, (150, 150, 3), 2020, "EE 541 unit 8, eight convolutions for cats and dogs"),
    "cifar_cnn": Entry(cifar_cnn, (32, 32, 3), 2020, "tutorial 06, six convolutions for CIFAR-10"),
    "fmnist_cnn": Entry(fmnist_cnn, (28, 28, 1), 2020, "EE 541 unit 8, four convolutions for Fashion-MNIST"),
    "lenet1989": Entry(lenet1989, (16, 16, 1), 1989, "LeCun and others, handwritten zip codes"),
    "lenet5": Entry(lenet5, (28, 28, 1), 1998, "LeCun, Bottou, Bengio and Haffner, with a softmax"),
    "lenet5_1998": Entry(lenet5_1998, (32, 32, 1), 1998, "LeCun, Bottou, Bengio and Haffner, as in the paper"),
    "mlp": Entry(mlp, (28, 28, 1), 1986, "one hidden layer, the baseline without convolution"),
    # convolutions one after the other
    "alexnet_2012": Entry(alexnet_2012, (227, 227, 3), 2012, "Krizhevsky, Sutskever and Hinton, as in the paper"),
    "alexnet": Entry(alexnet, _IMAGENET, 2014, "Krizhevsky, one weird trick", "torchvision", 56.522, 79.066),
    "vgg11": Entry(vgg11, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 69.02, 88.628),
    "vgg13": Entry(vgg13, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 69.928, 89.246),
    "vgg16": Entry(vgg16, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 71.592, 90.382),
    "vgg19": Entry(vgg19, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 72.376, 90.876),
    "vgg11_bn": Entry(vgg11_bn, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 70.37, 89.81),
    "vgg13_bn": Entry(vgg13_bn, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 71.586, 90.374),
    "vgg16_bn": Entry(vgg16_bn, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 73.36, 91.516),
    "vgg19_bn": Entry(vgg19_bn, _IMAGENET, 2014, "Simonyan and Zisserman, VGG", "torchvision", 74.218, 91.842),
    "airbench": Entry(airbench, _CIFAR, 2024, "Jordan, CIFAR-10 in seconds"),
    # residual networks
    "plain34": Entry(plain34, _IMAGENET, 2015, "He and others, as deep, without shortcuts"),
    "resnet18": Entry(resnet18, _IMAGENET, 2015, "He and others, residual learning", "torchvision", 69.758, 89.078),
    "resnet34": Entry(resnet34, _IMAGENET, 2015, "He and others, residual learning", "torchvision", 73.314, 91.42),
    "resnet50": Entry(resnet50, _IMAGENET, 2015, "He and others, residual learning", "torchvision", 76.13, 92.862),
    "resnet101": Entry(resnet101, _IMAGENET, 2015, "He and others, residual learning", "torchvision", 77.374, 93.546),
    "resnet152": Entry(resnet152, _IMAGENET, 2015, "He and others, residual learning", "torchvision", 78.312, 94.046),
    "resnet20": Entry(resnet20, _CIFAR, 2015, "He and others, residual learning, for CIFAR-10"),
    "resnet32": Entry(resnet32, _CIFAR, 2015, "He and others, residual learning, for CIFAR-10"),
    "resnet44": Entry(resnet44, _CIFAR, 2015, "He and others, residual learning, for CIFAR-10"),
    "resnet56": Entry(resnet56, _CIFAR, 2015, "He and others, residual learning, for CIFAR-10"),
    "resnet110": Entry(resnet110, _CIFAR, 2015, "He and others, residual learning, for CIFAR-10"),
    "resnet50v2": Entry(resnet50v2, _IMAGENET, 2016, "He and others, identity mappings", "keras", 76.0, 93.0),
    "resnet101v2": Entry(resnet101v2, _IMAGENET, 2016, "He and others, identity mappings", "keras", 77.2, 93.8),
    "resnet152v2": Entry(resnet152v2, _IMAGENET, 2016, "He and others, identity mappings", "keras", 78.0, 94.2),
    "resnext50_32x4d": Entry(
        resnext50_32x4d, _IMAGENET, 2016, "Xie and others, ResNeXt", "torchvision", 77.618, 93.698
    ),
    "resnext101_32x8d": Entry(
        resnext101_32x8d, _IMAGENET, 2016, "Xie and others, ResNeXt", "torchvision", 79.312, 94.526
    ),
    "resnext101_64x4d": Entry(
        resnext101_64x4d, _IMAGENET, 2016, "Xie and others, ResNeXt", "torchvision", 83.246, 96.454
    ),
    "wide_resnet50_2": Entry(
        wide_resnet50_2, _IMAGENET, 2016, "Zagoruyko and Komodakis, wide residuals", "torchvision", 78.468, 94.086
    ),
    "wide_resnet101_2": Entry(
        wide_resnet101_2, _IMAGENET, 2016, "Zagoruyko and Komodakis, wide residuals", "torchvision", 78.848, 94.284
    ),
    "densenet121": Entry(densenet121, _IMAGENET, 2016, "Huang and others, DenseNet", "torchvision", 74.434, 91.972),
    "densenet161": Entry(densenet161, _IMAGENET, 2016, "Huang and others, DenseNet", "torchvision", 77.138, 93.56),
    "densenet169": Entry(densenet169, _IMAGENET, 2016, "Huang and others, DenseNet", "torchvision", 75.6, 92.806),
    "densenet201": Entry(densenet201, _IMAGENET, 2016, "Huang and others, DenseNet", "torchvision", 76.896, 93.37),
    # several kernels side by side, and separable ones
    "googlenet": Entry(googlenet, _IMAGENET, 2014, "Szegedy and others, going deeper", "torchvision", 69.778, 89.53),
    "bn_inception": Entry(bn_inception, _IMAGENET, 2015, "Ioffe and Szegedy, batch normalization"),
    "inception_v3": Entry(
        inception_v3, (299, 299, 3), 2015, "Szegedy and others, Inception", "torchvision", 77.294, 93.45
    ),
    "inception_resnet_v2": Entry(
        inception_resnet_v2, (299, 299, 3), 2016, "Szegedy and others, Inception", "keras", 80.3, 95.3
    ),
    "xception": Entry(xception, (299, 299, 3), 2016, "Chollet, Xception", "keras", 79.0, 94.5),
    "nasnet_mobile": Entry(nasnet_mobile, _IMAGENET, 2017, "Zoph and others, NASNet", "keras", 74.4, 91.9),
    "nasnet_large": Entry(nasnet_large, (331, 331, 3), 2017, "Zoph and others, NASNet", "keras", 82.5, 96.0),
    # for small devices
    "squeezenet1_0": Entry(
        squeezenet1_0, _IMAGENET, 2016, "Iandola and others, SqueezeNet", "torchvision", 58.092, 80.42
    ),
    "squeezenet1_1": Entry(
        squeezenet1_1, _IMAGENET, 2016, "Iandola and others, SqueezeNet", "torchvision", 58.178, 80.624
    ),
    "mobilenet": Entry(mobilenet, _IMAGENET, 2017, "Howard and others, MobileNets", "keras", 70.4, 89.5),
    "mobilenet_v2": Entry(
        mobilenet_v2, _IMAGENET, 2018, "Sandler and others, inverted residuals", "torchvision", 71.878, 90.286
    ),
    "mobilenet_v3_small": Entry(
        mobilenet_v3_small, _IMAGENET, 2019, "Howard and others, MobileNetV3", "torchvision", 67.668, 87.402
    ),
    "mobilenet_v3_large": Entry(
        mobilenet_v3_large, _IMAGENET, 2019, "Howard and others, MobileNetV3", "torchvision", 74.042, 91.34
    ),
    "mnasnet0_5": Entry(mnasnet0_5, _IMAGENET, 2018, "Tan and others, MnasNet", "torchvision", 67.734, 87.49),
    "mnasnet0_75": Entry(mnasnet0_75, _IMAGENET, 2018, "Tan and others, MnasNet", "torchvision", 71.18, 90.496),
    "mnasnet1_0": Entry(mnasnet1_0, _IMAGENET, 2018, "Tan and others, MnasNet", "torchvision", 73.456, 91.51),
    "mnasnet1_3": Entry(mnasnet1_3, _IMAGENET, 2018, "Tan and others, MnasNet", "torchvision", 76.506, 93.522),
    "shufflenet_v1": Entry(shufflenet_v1, _IMAGENET, 2017, "Zhang and others, ShuffleNet"),
    "shufflenet_v2_x0_5": Entry(
        shufflenet_v2_x0_5, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 60.552, 81.746
    ),
    "shufflenet_v2_x1_0": Entry(
        shufflenet_v2_x1_0, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 69.362, 88.316
    ),
    "shufflenet_v2_x1_5": Entry(
        shufflenet_v2_x1_5, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 72.996, 91.086
    ),
    "shufflenet_v2_x2_0": Entry(
        shufflenet_v2_x2_0, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 76.23, 93.006
    ),
    # in many sizes
    "efficientnet_b0": Entry(
        efficientnet_b0, _IMAGENET, 2019, "Tan and Le, EfficientNet", "torchvision", 77.692, 93.532
    ),
    "efficientnet_b1": Entry(
        efficientnet_b1, (240, 240, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 78.642, 94.186
    ),
    "efficientnet_b2": Entry(
        efficientnet_b2, (288, 288, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 80.608, 95.31
    ),
    "efficientnet_b3": Entry(
        efficientnet_b3, (300, 300, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 82.008, 96.054
    ),
    "efficientnet_b4": Entry(
        efficientnet_b4, (380, 380, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 83.384, 96.594
    ),
    "efficientnet_b5": Entry(
        efficientnet_b5, (456, 456, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 83.444, 96.628
    ),
    "efficientnet_b6": Entry(
        efficientnet_b6, (528, 528, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 84.008, 96.916
    ),
    "efficientnet_b7": Entry(
        efficientnet_b7, (600, 600, 3), 2019, "Tan and Le, EfficientNet", "torchvision", 84.122, 96.908
    ),
    "efficientnet_v2_s": Entry(
        efficientnet_v2_s, (384, 384, 3), 2021, "Tan and Le, EfficientNetV2", "torchvision", 84.228, 96.878
    ),
    "efficientnet_v2_m": Entry(
        efficientnet_v2_m, (480, 480, 3), 2021, "Tan and Le, EfficientNetV2", "torchvision", 85.112, 97.156
    ),
    "efficientnet_v2_l": Entry(
        efficientnet_v2_l, (480, 480, 3), 2021, "Tan and Le, EfficientNetV2", "torchvision", 85.808, 97.788
    ),
    "regnet_x_400mf": Entry(
        regnet_x_400mf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 72.834, 90.95
    ),
    "regnet_x_800mf": Entry(
        regnet_x_800mf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 75.212, 92.348
    ),
    "regnet_x_1_6gf": Entry(
        regnet_x_1_6gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 77.04, 93.44
    ),
    "regnet_x_3_2gf": Entry(
        regnet_x_3_2gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 78.364, 93.992
    ),
    "regnet_x_8gf": Entry(
        regnet_x_8gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 79.344, 94.686
    ),
    "regnet_x_16gf": Entry(
        regnet_x_16gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 80.058, 94.944
    ),
    "regnet_x_32gf": Entry(
        regnet_x_32gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 80.622, 95.248
    ),
    "regnet_y_400mf": Entry(
        regnet_y_400mf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 74.046, 91.716
    ),
    "regnet_y_800mf": Entry(
        regnet_y_800mf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 76.42, 93.136
    ),
    "regnet_y_1_6gf": Entry(
        regnet_y_1_6gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 77.95, 93.966
    ),
    "regnet_y_3_2gf": Entry(
        regnet_y_3_2gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 78.948, 94.576
    ),
    "regnet_y_8gf": Entry(
        regnet_y_8gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 80.032, 95.048
    ),
    "regnet_y_16gf": Entry(
        regnet_y_16gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 80.424, 95.24
    ),
    "regnet_y_32gf": Entry(
        regnet_y_32gf, _IMAGENET, 2020, "Radosavovic and others, RegNet", "torchvision", 80.878, 95.34
    ),
    "convnext_tiny": Entry(
        convnext_tiny, _IMAGENET, 2022, "Liu and others, a ConvNet for the 2020s", "torchvision", 82.52, 96.146
    ),
    "convnext_small": Entry(
        convnext_small, _IMAGENET, 2022, "Liu and others, a ConvNet for the 2020s", "torchvision", 83.616, 96.65
    ),
    "convnext_base": Entry(
        convnext_base, _IMAGENET, 2022, "Liu and others, a ConvNet for the 2020s", "torchvision", 84.062, 96.87
    ),
    "convnext_large": Entry(
        convnext_large, _IMAGENET, 2022, "Liu and others, a ConvNet for the 2020s", "torchvision", 84.414, 96.976
    ),
}
