"""MobileNet (Howard et al. 2017) as in keras.applications, and MobileNetV2 (Sandler et al. 2018) as in torchvision.

The first one's paths are Keras's layer names. `variant="keras"` gives Keras's MobileNetV2: TensorFlow's padding,
another eps and another rule of the running statistics, and no dropout.
"""

from __future__ import annotations

from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Graph,
    Identity,
    Padding,
    Spec,
    add,
    seq,
)
from jaxcnn.zoo.options import check_choice


def round_channels(width: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least that, that is not more than a tenth below `width`."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * width else rounded + divisor


def mobilenet(classes: int = 1000, width: float = 1.0) -> Graph:
    """Depthwise 3x3 and pointwise convolutions in turn: 4,231,976 parameters. `width` multiplies the channels."""
    norm = BatchNorm(0.99, eps=1e-3, unbiased=False)

    def unit(number: int, channels: int, stride: int) -> Graph:
        padding: Padding = "half" if stride == 1 else ((0, 1), (0, 1))
        depthwise, pointwise = f"conv_dw_{number}", f"conv_pw_{number}"
        return seq(**{
            depthwise: Conv(None, 3, stride, padding, groups=None), f"{depthwise}_bn": norm,
            f"{depthwise}_relu": Act("relu6"),
            pointwise: Conv(int(channels * width), 1), f"{pointwise}_bn": norm, f"{pointwise}_relu": Act("relu6"),
        })  # fmt: skip

    table = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    units = {f"_{number}": unit(number, *row) for number, row in enumerate(table, 1)}
    return seq(
        conv1=Conv(int(32 * width), 3, 2, "same"), conv1_bn=norm, conv1_relu=Act("relu6"),
        **units,
        avg_pool=GlobalPool(keepdims=True), dropout=Dropout(1e-3), conv_preds=Conv(classes, 1, bias=True),
        reshape_2=Flatten(),
    )  # fmt: skip


def mobilenet_v2(classes: int = 1000, width: float = 1.0, variant: str = "torchvision") -> Graph:
    """Inverted residuals with linear bottlenecks: 3,504,872 parameters. `width` multiplies the channels."""
    check_choice("variant", variant, "torchvision", "keras")
    keras = variant == "keras"
    norm = BatchNorm(0.999, eps=1e-3, unbiased=False) if keras else BatchNorm()
    padding = "same" if keras else "half"

    def unit(conv: Conv) -> Graph:
        return seq(conv, norm, Act("relu6"))

    def inverted_residual(before: int, after: int, stride: int, expansion: int) -> Spec:
        expand = [unit(Conv(before * expansion, 1))] if expansion > 1 else []
        depthwise = unit(Conv(None, 3, stride, padding, groups=None))
        body = seq(conv=seq(*expand, depthwise, Conv(after, 1), norm))
        return residual(body, before == after and stride == 1)

    stem = round_channels(32 * width)
    layers: list[Spec] = [unit(Conv(stem, 3, 2, padding))]
    before = stem
    # table 2: expansion, channels, repeats, stride
    for expansion, channels, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for number in range(repeats):
            after = round_channels(channels * width)
            layers.append(inverted_residual(before, after, 1 if number else stride, expansion))
            before = after
    layers.append(unit(Conv(round_channels(1280 * max(1.0, width)), 1)))
    dropout = Identity() if keras else Dropout(0.2)
    return seq(features=seq(*layers), avgpool=GlobalPool(), classifier=seq(dropout, Dense(classes)))


def residual(body: Spec, keeps_shape: bool) -> Spec:
    """`body`, added to its input where it keeps the shape."""
    return add(body, Identity()) if keeps_shape else body
