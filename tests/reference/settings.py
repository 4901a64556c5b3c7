"""Settings of convolutions that the tests of values and of gradients share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compare import random
from .conv import Array, conv, conv_gradient
from .window import Ints, Pairs, output_sizes


class Convolution(NamedTuple):
    """One setting of a convolution; `pairs` is what `padding` means, worked out by hand."""

    name: str
    sizes: Ints
    window: Ints
    stride: Ints
    padding: Any
    pairs: Pairs
    dilation: Ints = (1, 1)
    groups: int = 1
    channels: int = 2
    width: int = 3

    @property
    def options(self) -> dict[str, Any]:
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def output(self) -> Ints:
        return output_sizes(self.sizes, self.window, self.stride, self.pairs, self.dilation)

    def inputs(self) -> tuple[Array, Array, Array]:
        """Two random images, a kernel, and a gradient of the loss with respect to the output."""
        return (
            random(1, 2, *self.sizes, self.channels),
            random(2, *self.window, self.channels // self.groups, self.width),
            random(3, 2, *self.output, self.width),
        )

    @property
    def _by_hand(self) -> dict[str, Any]:
        return {**self.options, "padding": self.pairs}

    def correlate(self, x: Array, kernel: Array) -> Array:
        """The value by loops, with the padding worked out by hand."""
        return conv(x, kernel, **self._by_hand)

    def input_gradient(self, kernel: Array, gradient: Array) -> Array:
        x = np.zeros((len(gradient), *self.sizes, self.channels))
        return conv_gradient(gradient, x, kernel, **self._by_hand)[0]

    def kernel_gradient(self, x: Array, gradient: Array) -> Array:
        kernel = np.zeros((*self.window, self.channels // self.groups, self.width))
        return conv_gradient(gradient, x, kernel, **self._by_hand)[1]


CONVOLUTIONS = [
    Convolution("1-D valid", (7,), (3,), (1,), "valid", ((0, 0),), (1,)),
    Convolution("1-D causal, dilated", (8,), (2,), (1,), "causal", ((3, 0),), (3,)),
    Convolution("1-D strided", (9,), (4,), (3,), 2, ((2, 2),), (1,)),
    Convolution("valid", (5, 4), (3, 2), (1, 1), "valid", ((0, 0), (0, 0))),
    Convolution("half", (5, 6), (3, 3), (1, 1), "half", ((1, 1), (1, 1))),
    Convolution("half, stride 2", (6, 7), (3, 3), (2, 2), "half", ((1, 1), (1, 1))),
    Convolution("full", (4, 5), (3, 2), (1, 1), "full", ((2, 2), (1, 1))),
    Convolution("same, stride 2", (5, 6), (3, 3), (2, 2), "same", ((1, 1), (0, 1))),
    Convolution("same, even window", (5, 5), (2, 4), (1, 1), "same", ((0, 1), (1, 2))),
    Convolution("same, stride over window", (7, 9), (1, 2), (3, 4), "same", ((0, 0), (0, 1))),
    Convolution("causal", (5, 4), (3, 2), (1, 1), "causal", ((2, 0), (1, 0))),
    Convolution("an integer per dimension", (5, 6), (3, 3), (1, 1), (0, 2), ((0, 0), (2, 2))),
    Convolution("asymmetric pairs", (5, 6), (3, 2), (2, 1), ((0, 2), (1, 0)), ((0, 2), (1, 0))),
    Convolution("padding wider than the window", (4, 4), (2, 2), (1, 1), 3, ((3, 3), (3, 3))),
    Convolution("1x1, stride 2", (5, 6), (1, 1), (2, 2), 0, ((0, 0), (0, 0))),
    Convolution("1x1, padded", (4, 3), (1, 1), (1, 1), 1, ((1, 1), (1, 1))),
    Convolution("1x1, two groups, strided", (5, 4), (1, 1), (2, 1), 0, ((0, 0), (0, 0)), (1, 1), 2, 4, 6),
    Convolution("stride leaves pixels unread", (8, 7), (2, 2), (3, 4), 0, ((0, 0), (0, 0))),
    Convolution("dilated", (7, 7), (3, 3), (1, 1), 0, ((0, 0), (0, 0)), (2, 2)),
    Convolution("dilated, strided, padded", (9, 8), (3, 2), (2, 3), (2, 1), ((2, 2), (1, 1)), (2, 3)),
    Convolution("two groups", (5, 5), (3, 3), (1, 1), 1, ((1, 1), (1, 1)), (1, 1), 2, 4, 6),
    Convolution("depthwise, stride 2", (6, 5), (3, 3), (2, 2), 1, ((1, 1), (1, 1)), (1, 1), 3, 3, 3),
    Convolution("depthwise, two kernels each", (5, 5), (2, 3), (1, 1), 0, ((0, 0), (0, 0)), (1, 1), 3, 3, 6),
    Convolution("groups, dilated, strided", (8, 7), (2, 3), (2, 2), 2, ((2, 2), (2, 2)), (3, 2), 2, 4, 2),
    Convolution("3-D valid", (4, 3, 5), (2, 3, 2), (1, 1, 1), "valid", ((0, 0),) * 3, (1, 1, 1)),
    Convolution("3-D half", (4, 3, 5), (2, 3, 1), (1, 1, 1), "half", ((0, 0), (1, 1), (0, 0)), (1, 1, 1)),
    Convolution("3-D groups", (5, 4, 4), (3, 2, 2), (2, 1, 2), 1, ((1, 1),) * 3, (1, 1, 1), 2, 2, 4),
]


def setting(name: str) -> Convolution:
    (found,) = (case for case in CONVOLUTIONS if case.name == name)
    return found
