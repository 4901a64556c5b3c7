"""The networks by name. A new architecture is one file here and one row in `NETWORKS`."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import NamedTuple

from jaxcnn.spec import Spec
from jaxcnn.zoo.alexnet import alexnet, alexnet_2012
from jaxcnn.zoo.alphago import alphago_policy
from jaxcnn.zoo.bn_inception import bn_inception
from jaxcnn.zoo.convnext import convnext_tiny
from jaxcnn.zoo.deck import cats_dogs, cifar_cnn, fmnist_cnn
from jaxcnn.zoo.densenet import densenet121, densenet161, densenet169, densenet201
from jaxcnn.zoo.efficientnet import efficientnet_b0
from jaxcnn.zoo.googlenet import googlenet
from jaxcnn.zoo.inception import inception_v3
from jaxcnn.zoo.inception_resnet import inception_resnet_v2
from jaxcnn.zoo.lenet import lenet5, lenet5_1998, lenet1989, mlp
from jaxcnn.zoo.mnasnet import mnasnet0_5, mnasnet1_0
from jaxcnn.zoo.mobilenet import mobilenet, mobilenet_v2
from jaxcnn.zoo.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from jaxcnn.zoo.nasnet import nasnet_large, nasnet_mobile
from jaxcnn.zoo.resnet import (
    plain34,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    wide_resnet50_2,
)
from jaxcnn.zoo.resnet_cifar import resnet20, resnet32, resnet44, resnet56, resnet110
from jaxcnn.zoo.resnet_v2 import resnet50v2, resnet101v2, resnet152v2
from jaxcnn.zoo.shufflenet import shufflenet_v1, shufflenet_v2_x0_5, shufflenet_v2_x1_0
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
    "wide_resnet50_2": Entry(
        wide_resnet50_2, _IMAGENET, 2016, "Zagoruyko and Komodakis, wide residuals", "torchvision", 78.468, 94.086
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
    "mnasnet1_0": Entry(mnasnet1_0, _IMAGENET, 2018, "Tan and others, MnasNet", "torchvision", 73.456, 91.51),
    "shufflenet_v1": Entry(shufflenet_v1, _IMAGENET, 2017, "Zhang and others, ShuffleNet"),
    "shufflenet_v2_x0_5": Entry(
        shufflenet_v2_x0_5, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 60.552, 81.746
    ),
    "shufflenet_v2_x1_0": Entry(
        shufflenet_v2_x1_0, _IMAGENET, 2018, "Ma and others, ShuffleNet V2", "torchvision", 69.362, 88.316
    ),
    "efficientnet_b0": Entry(
        efficientnet_b0, _IMAGENET, 2019, "Tan and Le, EfficientNet", "torchvision", 77.692, 93.532
    ),
    "convnext_tiny": Entry(
        convnext_tiny, _IMAGENET, 2022, "Liu and others, a ConvNet for the 2020s", "torchvision", 82.52, 96.146
    ),
}


def models() -> list[str]:
    """Every name that `create` knows, sorted."""
    return sorted(NETWORKS)


def create(name: str, **options) -> Spec:
    """The spec of the network called `name`; `classes` and other options are those of the function that builds it.

    `name` may also be `module:function`, for a network of your own in an importable module.

    Raises ValueError for a name or an option that does not exist, with those that do.
    """
    build = NETWORKS[name].build if name in NETWORKS else _imported(name)
    if not callable(build):
        raise ValueError(f"network {name!r} must be a function that returns a spec, not {type(build).__name__}")
    known = inspect.signature(build).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()) and (extra := sorted(set(options) - set(known))):
        raise ValueError(f"network {name!r} has no option {', '.join(extra)}; it has: {', '.join(known)}")
    try:
        net = build(**options)
    except Exception as error:  # whatever a function of the user's raises
        raise ValueError(f"network {name!r} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(net, Spec):
        raise ValueError(f"network {name!r} must return a spec (see jaxcnn.spec), not {type(net).__name__}")
    return net


def _imported(name: str) -> Callable[..., Spec]:
    module, separator, function = name.partition(":")
    if not separator:
        close = difflib.get_close_matches(name, NETWORKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(
            f"there is no network {name!r}; {hint}`jaxcnn models` lists all {len(NETWORKS)}, and module:function is "
            "one of your own"
        )
    try:
        return getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever importing a module of the user's raises
        raise ValueError(f"cannot load network {name!r}: {type(error).__name__}: {error}") from error


__all__ = ["NETWORKS", "Entry", "cifar_cnn", "create", "fmnist_cnn", "lenet5", "mlp", "models"]
