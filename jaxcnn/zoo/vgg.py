"""VGG (Simonyan and Zisserman 2015, table 1): 3x3 convolutions between five pools, then three dense layers."""

from jaxcnn.spec import Act, AdaptivePool, BatchNorm, Conv, Dense, Dropout, Flatten, Graph, Pool, Spec, seq
from jaxcnn.zoo.options import check_choice

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {  # before each of the five pools: the table's columns A, B, D and E
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def vgg11(classes: int = 1000, rate: float = 0.5) -> Graph:
    """Column A; 132,863,336 parameters. For 224x224x3, at least 32x32; `rate` is that of the two dropouts."""
    return _vgg(11, classes, rate)


def vgg13(classes: int = 1000, rate: float = 0.5) -> Graph:
    """Column B; 133,047,848 parameters."""
    return _vgg(13, classes, rate)


def vgg16(classes: int = 1000, rate: float = 0.5, variant: str = "torchvision") -> Graph:
    """Column D; 138,357,544 parameters. `variant="keras"` has neither the adaptive pool nor dropout."""
    return _vgg(16, classes, rate, variant=variant)


def vgg19(classes: int = 1000, rate: float = 0.5, variant: str = "torchvision") -> Graph:
    """Column E; 143,667,240 parameters. `variant="keras"` has neither the adaptive pool nor dropout."""
    return _vgg(19, classes, rate, variant=variant)


def vgg11_bn(classes: int = 1000, rate: float = 0.5) -> Graph:
    """VGG-11 with a BatchNorm after every convolution; 132,868,840 parameters."""
    return _vgg(11, classes, rate, norm=True)


def vgg13_bn(classes: int = 1000, rate: float = 0.5) -> Graph:
    """VGG-13 with a BatchNorm after every convolution; 133,053,736 parameters."""
    return _vgg(13, classes, rate, norm=True)


def vgg16_bn(classes: int = 1000, rate: float = 0.5) -> Graph:
    """VGG-16 with a BatchNorm after every convolution; 138,365,992 parameters."""
    return _vgg(16, classes, rate, norm=True)


def vgg19_bn(classes: int = 1000, rate: float = 0.5) -> Graph:
    """VGG-19 with a BatchNorm after every convolution; 143,678,248 parameters."""
    return _vgg(19, classes, rate, norm=True)


def _vgg(depth: int, classes: int, rate: float, norm: bool = False, variant: str = "torchvision") -> Graph:
    check_choice("variant", variant, "torchvision", "keras")
    features: list[Spec] = []
    for width, convolutions in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
        unit = [Conv(width, bias=True), *([BatchNorm()] if norm else []), Act()]
        features += unit * convolutions
        features.append(Pool("max", 2))
    classifier = {"0": Dense(4096), "1": Act(), "2": Dropout(rate), "3": Dense(4096), "4": Act(), "5": Dropout(rate)}
    if variant == "keras":
        classifier = {name: leaf for name, leaf in classifier.items() if not isinstance(leaf, Dropout)}
    head: dict[str, Spec] = {"flatten": Flatten(), "classifier": seq(**classifier, **{"6": Dense(classes)})}
    if variant == "torchvision":
        head = {"avgpool": AdaptivePool(7), **head}
    return seq(features=seq(*features), **head)
