"""The classifiers that the lectures train: Fashion-MNIST, cats and dogs (EE 541 unit 8), CIFAR-10 (tutorial 06)."""

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Dropout, Flatten, Graph, Pool, seq


def fmnist_cnn(classes: int = 10, rates: tuple[float, float, float] = (0.2, 0.3, 0.4)) -> Graph:
    """Four 3x3 convolutions in the order convolution, activation, normalization; 1,677,674 parameters.

    For 28x28x1. The deck does not print its three dropout rates; `rates` are ours.
    """

    def unit(width: int) -> Graph:
        return seq(conv=Conv(width, bias=True), act=Act(), bn=BatchNorm(0.99, eps=1e-3))

    return seq(
        unit1=unit(32), unit2=unit(32), pool1=Pool("max", 2), drop1=Dropout(rates[0]),
        unit3=unit(64), unit4=unit(64), pool2=Pool("max", 2), drop2=Dropout(rates[1]),
        flatten=Flatten(),
        fc1=Dense(512), act=Act(), bn=BatchNorm(0.99, eps=1e-3), drop3=Dropout(rates[2]),
        fc2=Dense(classes),
    )  # fmt: skip


def cifar_cnn(classes: int = 10) -> Graph:
    """Six 3x3 convolutions in three blocks, three dense layers; 5,852,170 parameters. For 32x32x3."""

    def block(first: int, second: int) -> Graph:
        return seq(
            conv1=Conv(first, bias=True), bn=BatchNorm(), act1=Act(),
            conv2=Conv(second, bias=True), act2=Act(), pool=Pool("max", 2),
        )  # fmt: skip

    return seq(
        block1=block(32, 64), block2=block(128, 128), drop1=Dropout(0.05, spatial=True), block3=block(256, 256),
        flatten=Flatten(), drop2=Dropout(0.1),
        fc1=Dense(1024), act1=Act(), fc2=Dense(512), act2=Act(), drop3=Dropout(0.1),
        fc3=Dense(classes),
    )  # fmt: skip


def cats_dogs(classes: int = 1, rate: float = 0.5) -> Graph:
    """Eight 3x3 convolutions in four pairs, two dense layers; 23,214,017 parameters. For 150x150x3.

    One output is the logit of one of two classes; `classes=2` gives a softmax its two. The deck does not print its
    rate of dropout; `rate` is ours. Its last pool cannot be 2/2 (18 -> 8): 3/2 is.
    """

    def pair(first: int, second: int, pool: Pool) -> Graph:
        return seq(conv1=Conv(first, bias=True), act1=Act(), conv2=Conv(second, bias=True), act2=Act(), pool=pool)

    halve = Pool("max", 2)
    return seq(
        pair1=pair(32, 64, halve), pair2=pair(128, 128, halve), pair3=pair(256, 512, halve),
        pair4=pair(512, 512, Pool("max", 3, 2)),
        flatten=Flatten(), drop=Dropout(rate),
        fc1=Dense(512), act=Act(), fc2=Dense(classes),
    )  # fmt: skip
