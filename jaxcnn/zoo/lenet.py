"""LeCun's networks for digits: of 1989, of 1998 (LeNet-5) and LeNet-5 as it is taught; the deck's dense baseline."""

from jaxcnn.spec import (
    Act,
    Bias,
    Channels,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Graph,
    Pool,
    RadialBasis,
    Scale,
    Spec,
    concat,
    seq,
)

# Which maps of S2 each map of C3 reads (LeCun et al. 1998, table I): six, then nine rows, and the last map reads all.
THREES = ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1))
FOURS = (
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
)  # fmt: skip


def lenet1989(classes: int = 10) -> Graph:
    """The zip code network (LeCun et al. 1989, Neural Computation 1): 9,760 parameters. For 16x16x1 in [-1, 1].

    Strided convolutions without pooling; every unit has a bias of its own; a border of -1 is the background. Its
    outputs are squashed too: the paper trains them on the squared distance to +1 and -1. Each map of H2 reads eight
    of H1's twelve, by a scheme that the paper leaves out: here H1 and H2 are three groups of four maps, and the groups
    of H2 read the first two, the last two and the outer two.
    """

    def layer(groups: int) -> dict[str, Spec]:
        sides = ((2, 1), (2, 1))
        return {
            "conv": Conv(12, 5, 2, sides, groups=groups, padding_mode=-1.0),
            "bias": Bias(per_place=True),
            "act": Act("scaled_tanh"),
        }

    read = concat(Channels(0, 8), Channels(4, 12), Channels(0, 4), Channels(8, 12))
    return seq(
        h1=seq(**layer(groups=1)), h2=seq(read=read, **layer(groups=3)), flatten=Flatten(),
        h3=Dense(30), act3=Act("scaled_tanh"), output=Dense(classes), act4=Act("scaled_tanh"),
    )  # fmt: skip


def lenet5_1998(classes: int = 10) -> Graph:
    """LeNet-5 as in the paper (section II.B): 60,000 trainable parameters and 840 fixed ones. For 32x32x1.

    C3 reads S2 by a table, the subsampling has a factor and a bias per map, and the outputs are minus the squared
    distances to fixed centers of -1 and +1 (random here; in the paper, pictures of the characters on 7x12 places).
    """

    def subsampling() -> Graph:
        return seq(pool=Pool("avg", 2), scale=Scale(1.0, trainable=True), bias=Bias(), act=Act("scaled_tanh"))

    def reading(table: tuple[tuple[int, ...], ...]) -> Graph:
        maps = concat(*(Channels(source, source + 1) for row in table for source in row))
        return seq(_maps=maps, conv=Conv(len(table), 5, padding=0, groups=len(table), bias=True))

    c3 = concat(three=reading(THREES), four=reading(FOURS), six=Conv(1, 5, padding=0, bias=True))
    return seq(
        c1=Conv(6, 5, padding=0, bias=True), act1=Act("scaled_tanh"), s2=subsampling(),
        c3=c3, act3=Act("scaled_tanh"), s4=subsampling(),
        c5=Conv(120, 5, padding=0, bias=True), act5=Act("scaled_tanh"), flatten=Flatten(),
        f6=Dense(84), act6=Act("scaled_tanh"), output=RadialBasis(classes),
    )  # fmt: skip


def lenet5(classes: int = 10, padding: int = 2) -> Graph:
    """Two convolutions, two average pools, three dense layers, tanh: 61,706 parameters for ten classes.

    For images of 28x28; `padding=0` gives the paper's form for 32x32. The paper's connection table, trainable
    subsampling and RBF output are those of `lenet5_1998`; logits go to a softmax cross-entropy here.
    """
    return seq(
        conv1=Conv(6, 5, padding=padding, bias=True), act1=Act("tanh"), pool1=Pool("avg", 2),
        conv2=Conv(16, 5, padding=0, bias=True), act2=Act("tanh"), pool2=Pool("avg", 2),
        flatten=Flatten(),
        fc1=Dense(120), act3=Act("tanh"), fc2=Dense(84), act4=Act("tanh"), fc3=Dense(classes),
    )  # fmt: skip


def mlp(classes: int = 10, width: int = 128, rate: float = 0.0) -> Graph:
    """One hidden dense layer: what a network without convolution does on the same images."""
    return seq(flatten=Flatten(), fc1=Dense(width), act1=Act(), drop1=Dropout(rate), fc2=Dense(classes))
