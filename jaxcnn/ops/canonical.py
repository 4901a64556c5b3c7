"""The products of a convolution as XLA knows them: for every shape and platform, what the other ways must equal."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops.window import Window

_SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


def lax_conv(x, kernel, stride, pairs, dilation, groups, spread=None):
    spatial = _SPATIAL[x.ndim - 2]
    layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return lax.conv_general_dilated(
        x, kernel, stride, pairs, lhs_dilation=spread, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=layout,
    )  # fmt: skip


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return lax_conv(x, kernel, placed.stride, placed.pairs, placed.dilation, groups)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """The gradient, spread by the stride, convolved with the flipped kernel; channels in and out change places."""
    *window, fan_in, width = kernel.shape
    flipped = jnp.flip(kernel, range(len(window))).reshape(*window, fan_in, groups, width // groups)
    # (*window, I, groups, O/groups) -> (*window, O/groups, groups, I)
    flipped = flipped.swapaxes(-3, -1).reshape(*window, width // groups, groups * fan_in)
    around = []
    for n, k, s, (before, _), d, out in zip(*placed, placed.output, strict=True):
        reach = d * (k - 1)
        around.append((reach - before, n - 1 - (out - 1) * s + before))
    return lax_conv(gradient, flipped, (1,) * len(window), tuple(around), placed.dilation, groups, spread=placed.stride)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """The input correlated with the gradient: examples and channels change places, stride and dilation too."""
    examples, *sizes, channels = x.shape
    fan_in = channels // groups
    # (N, *spatial, groups, I) -> (I, *spatial, groups, N): input channels are now the examples, examples the channels
    images = x.reshape(examples, *sizes, groups, fan_in).swapaxes(0, -1).reshape(fan_in, *sizes, groups * examples)
    kernel = jnp.moveaxis(gradient, 0, -2)  # (*output, N, O)
    around = []
    for n, k, s, (before, _), d, out in zip(*placed, placed.output, strict=True):
        around.append((before, (k - 1) * d + (out - 1) * s + 1 - n - before))
    dh = lax_conv(images, kernel, placed.dilation, tuple(around), placed.stride, groups)  # (I, *window, O)
    return jnp.moveaxis(dh, 0, -2)
