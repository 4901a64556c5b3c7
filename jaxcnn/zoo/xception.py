"""Xception (Chollet 2017), as Keras has it: depthwise separable convolutions with linear residual connections."""

from __future__ import annotations

from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Graph, Identity, Pool, Spec, add, seq

NORM = BatchNorm(0.99, eps=1e-3, unbiased=False)


def _separable(width: int) -> Graph:
    """A 3x3 per channel, then a 1x1 over channels, with nothing in between (section 4.7)."""
    return seq(depthwise=Conv(None, 3, groups=None), pointwise=Conv(width, 1))


def _separables(*widths: int, first_act: bool = True) -> dict[str, Spec]:
    """The layers of a block: an activation, a separable convolution and a normalization for each width."""
    layers: dict[str, Spec] = {}
    for number, width in enumerate(widths, 1):
        if number > 1 or first_act:
            layers[f"sepconv{number}_act"] = Act()
        layers |= {f"sepconv{number}": _separable(width), f"sepconv{number}_bn": NORM}
    return layers


def _halving(*widths: int, first_act: bool = True) -> Graph:
    """A block of the entry or exit flow: half as many places, beside a strided 1x1 convolution."""
    body = seq(**_separables(*widths, first_act=first_act), pool=Pool("max", 3, 2, "same"))
    return add(seq(residual=Conv(widths[-1], 1, 2, "same"), residual_bn=NORM), body)


def xception(classes: int = 1000) -> Graph:
    """For 299x299x3 (71x71 at least): 22,855,952 parameters in 36 convolutional layers (figure 5).

    A path's dots read as underscores give Keras's name (`block2.sepconv1_bn`); `residual` is numbered there.
    """
    stem = seq(
        conv1=Conv(32, 3, 2, 0), conv1_bn=NORM, conv1_act=Act(),
        conv2=Conv(64, 3, 1, 0), conv2_bn=NORM, conv2_act=Act(),
    )  # fmt: skip
    end = seq(
        sepconv1=_separable(1536), sepconv1_bn=NORM, sepconv1_act=Act(),
        sepconv2=_separable(2048), sepconv2_bn=NORM, sepconv2_act=Act(),
    )  # fmt: skip
    return seq(
        block1=stem,
        block2=_halving(128, 128, first_act=False),
        block3=_halving(256, 256),
        block4=_halving(728, 728),
        **{f"block{number}": add(Identity(), seq(**_separables(728, 728, 728))) for number in range(5, 13)},
        block13=_halving(728, 1024),
        block14=end,
        avg_pool=GlobalPool(),
        predictions=Dense(classes),
    )
