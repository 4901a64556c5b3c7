"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), as it is taught today, and the deck's dense baseline."""

from jaxcnn.spec import Act, Conv, Dense, Dropout, Flatten, Graph, Pool, seq


def lenet5(classes: int = 10, padding: int = 2) -> Graph:
    """Two convolutions, two average pools, three dense layers, tanh: 61,706 parameters for ten classes.

    For images of 28x28; `padding=0` gives the paper's form for 32x32. The paper's connection table, trainable
    subsampling and RBF output are left out; logits go to a softmax cross-entropy.
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
