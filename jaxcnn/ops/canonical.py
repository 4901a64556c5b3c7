"""The products of a convolution as XLA knows them: for every shape and platform, what the other ways must equal."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops.window import Pairs, Window, cut

_SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


def lax_conv(x, kernel, stride, pairs, dilation, groups, spread=None):
    spatial = _SPATIAL[x.ndim - 2]
    layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    x, pairs = _cut_to_size(x, pairs, spread or (1,) * len(pairs))
    return lax.conv_general_dilated(
        x, kernel, stride, pairs, lhs_dilation=spread, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=layout,
    )  # fmt: skip


def _cut_to_size(x: Array, pairs: Pairs, spread: Sequence[int]) -> tuple[Array, Pairs]:
    """x without what negative pairs take away of it when it is spread, and the pairs that are left to add: see `cut`.

    Where nothing of x is left, zeros stand for it.
    """
    if not any(n < 0 for pair in pairs for n in pair):
        return x, pairs
    sizes = x.shape[1:-1]
    taken = [tuple(-(min(side, 0) // s) for side in pair) for pair, s in zip(pairs, spread, strict=True)]
    if any(sum(pair) >= n for pair, n in zip(taken, sizes, strict=True)):
        wholes = ((n - 1) * s + 1 + sum(pair) for n, s, pair in zip(sizes, spread, pairs, strict=True))
        return jnp.zeros_like(x, shape=(len(x), *[1] * len(sizes), x.shape[-1])), tuple((n - 1, 0) for n in wholes)
    left = ((b + p * s, a + q * s) for (b, a), (p, q), s in zip(pairs, taken, spread, strict=True))
    return cut(x, tuple((-p, -q) for p, q in taken)), tuple(left)


def forward(x: Array, kernel: Array, placed: Window, groups: int) -> Array:
    return lax_conv(x, kernel, placed.stride, placed.pairs, placed.dilation, groups)


def input_gradient(gradient: Array, kernel: Array, placed: Window, groups: int) -> Array:
    """The gradient, spread by the stride, convolved with the flipped kernel; channels in and out change places."""
    *window, fan_in, width = kernel.shape
    flipped = jnp.flip(kernel, range(len(window))).reshape(*window, fan_in, groups, width // groups)
    # (*window, I, groups, O/groups) -> (*window, O/groups, groups, I)
    flipped = flipped.swapaxes(-3, -1).reshape(*window, width // groups, groups * fan_in)
    around = []
    for line in placed.dimensions:
        last_start = (line.output - 1) * line.stride - line.before
        around.append((line.reach - line.before, line.size - 1 - last_start))
    return lax_conv(gradient, flipped, (1,) * len(window), tuple(around), placed.dilation, groups, spread=placed.stride)


def kernel_gradient(x: Array, gradient: Array, placed: Window, groups: int) -> Array:
    """The input correlated with the gradient: examples and channels change places, stride and dilation too."""
    examples, *sizes, channels = x.shape
    fan_in = channels // groups
    # (N, *spatial, groups, I) -> (I, *spatial, groups, N): input channels are now the examples, examples the channels
    images = x.reshape(examples, *sizes, groups, fan_in).swapaxes(0, -1).reshape(fan_in, *sizes, groups * examples)
    kernel = jnp.moveaxis(gradient, 0, -2)  # (*output, N, O)
    around = []
    for line in placed.dimensions:
        last_start = (line.output - 1) * line.stride - line.before
        around.append((line.before, last_start + line.reach + 1 - line.size))
    dh = lax_conv(images, kernel, placed.dilation, tuple(around), placed.stride, groups)  # (I, *window, O)
    return jnp.moveaxis(dh, 0, -2)
