"""The policy network of AlphaGo (Silver et al. 2016, Mastering the game of Go; methods, and extended data table 3)."""

from jaxcnn.spec import Act, Bias, Conv, Flatten, Graph, Spec, seq


def alphago_policy(width: int = 192) -> Graph:
    """Thirteen convolutions and no pooling, from 19x19x48 feature planes to a logit for each of the 361 places.

    3,882,793 parameters; the paper also has `width` 128, 256 and 384. The last layer's bias differs from place to
    place. Other boards have other numbers of logits.
    """
    hidden: dict[str, Spec] = {}
    for number in range(1, 13):
        hidden[f"conv{number}"] = Conv(width, 5 if number == 1 else 3, bias=True)
        hidden[f"act{number}"] = Act()
    return seq(**hidden, conv13=Conv(1, 1), bias13=Bias(per_place=True), flatten=Flatten())
