"""DenseNet-BC (Huang, Liu, van der Maaten and Weinberger 2017, table 1): every layer sees all before it in its block.

Names are torchvision's. `rate` is that of a dropout after every layer; `stem="cifar"` begins with a 3x3 convolution and
neither stride nor pool, for small images; `variant="keras"` has another eps and another rule of the running statistics.
"""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, GlobalPool, Graph, Identity, Node, Pool, Spec, seq
from jaxcnn.zoo.options import check_choice


def densenet121(
    classes: int = 1000, rate: float = 0.0, stem: str = "imagenet", variant: str = "torchvision"
) -> Graph:  # fmt: skip
    """Blocks of 6, 12, 24 and 16 layers; 7,978,856 parameters. For 224x224x3, at least 29x29."""
    return _densenet((6, 12, 24, 16), classes, rate, stem, variant)


def densenet161(classes: int = 1000, rate: float = 0.0, stem: str = "imagenet") -> Graph:
    """Blocks of 6, 12, 36 and 24 layers, 48 channels from each; 28,681,000 parameters."""
    return _densenet((6, 12, 36, 24), classes, rate, stem, growth=48)


def densenet169(
    classes: int = 1000, rate: float = 0.0, stem: str = "imagenet", variant: str = "torchvision"
) -> Graph:  # fmt: skip
    """Blocks of 6, 12, 32 and 32 layers; 14,149,480 parameters."""
    return _densenet((6, 12, 32, 32), classes, rate, stem, variant)


def densenet201(
    classes: int = 1000, rate: float = 0.0, stem: str = "imagenet", variant: str = "torchvision"
) -> Graph:  # fmt: skip
    """Blocks of 6, 12, 48 and 32 layers; 20,013,928 parameters."""
    return _densenet((6, 12, 48, 32), classes, rate, stem, variant)


def _densenet(
    blocks: tuple[int, ...], classes: int, rate: float, stem: str, variant: str = "torchvision", growth: int = 32
) -> Graph:
    check_choice("stem", stem, "imagenet", "cifar")
    check_choice("variant", variant, "torchvision", "keras")
    norm = BatchNorm(0.99, eps=1.001e-5, unbiased=False) if variant == "keras" else BatchNorm()
    channels = 2 * growth
    features: dict[str, Spec] = {"conv0": Conv(channels)}
    if stem == "imagenet":
        # Keras pads with zeros: the same, after a ReLU
        pool = Pool("max", 3, 2, padding=1)
        features = {"conv0": Conv(channels, 7, 2), "norm0": norm, "relu0": Act(), "pool0": pool}
    for number, layers in enumerate(blocks, 1):
        if number > 1:
            channels //= 2
            features[f"transition{number - 1}"] = seq(
                norm=norm, relu=Act(), conv=Conv(channels, 1), pool=Pool("avg", 2)
            )  # fmt: skip
        features[f"denseblock{number}"] = _block(layers, growth, rate, norm)
        channels += layers * growth
    features["norm5"] = norm
    return seq(features=seq(**features), relu=Act(), avgpool=GlobalPool(), classifier=Dense(classes))


def _block(layers: int, growth: int, rate: float, norm: BatchNorm) -> Graph:
    nodes, seen = [], "in"
    for number in range(1, layers + 1):
        layer = seq(
            norm1=norm, relu1=Act(), conv1=Conv(4 * growth, 1),
            norm2=norm, relu2=Act(), conv2=Conv(growth),
            **({"drop": Dropout(rate)} if rate else {}),
        )  # fmt: skip
        # One concatenation after another: with one of all, the gradient would have a sum for every pair of layers.
        nodes += [
            Node(f"denselayer{number}", layer, (seen,)),
            Node(f"concat{number}", Identity(), (seen, f"denselayer{number}"), "concat"),
        ]
        seen = f"concat{number}"
    return Graph(tuple(nodes))
