"""Convolution and its hand-written gradient.

Forward (cross-correlation, what networks call convolution), for one spatial dimension:

    y[n, p, o] = sum over u, i of  x[n, p*S + u*D - P, i] * h[u, i, o]

Backward, with the gradient g of the loss with respect to y:

    dx[n, a, i] = sum over u, o of  g[n, p, o] * h[u, i, o]     where a = p*S + u*D - P
    dh[u, i, o] = sum over n, p of  x[n, p*S + u*D - P, i] * g[n, p, o]

So dx is the (full) convolution of g, its places spread S apart, with the flipped kernel, summed over the output
channels; dh is the correlation of x with g, the sum over all places that share the weight. Both are written here
as canonical NHWC products, because XLA:CPU runs any other layout inside `scan` in a naive loop (jax#12868).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops.window import Padding, Pairs, Size, output_sizes, pad, padding_pairs, per_dimension

_SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


def conv(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    padding_mode: str | float = "zeros",
) -> Array:
    """Cross-correlation of images with a kernel, in one, two or three spatial dimensions.

    Args:
      x: (N, *spatial, C).
      kernel: (*window, C // groups, O).
      bias: (O,) or None.
      stride, dilation: an int, or one per spatial dimension.
      padding: see `padding_pairs`: an int, ints, pairs, or "valid", "half", "same", "full", "causal".
      groups: the channels are cut into this many groups, each with its own O // groups kernels.
      padding_mode: "zeros", a number, "reflect", "replicate" or "circular".

    Returns:
      (N, *output, O) with output = floor((W - D(K-1) - 1 + 2P)/S) + 1.

    Raises:
      ValueError: shapes, stride, groups or padding that do not fit, with the numbers.
    """
    dimensions = x.ndim - 2
    if dimensions not in _SPATIAL or kernel.ndim != x.ndim:
        raise ValueError(
            f"conv takes x of (N, 1 to 3 spatial dimensions, C) and a kernel of the same rank, "
            f"not {x.shape} and {kernel.shape}"
        )
    *window, fan_in, width = kernel.shape
    channels = x.shape[-1]
    if groups < 1 or channels % groups or width % groups or channels // groups != fan_in:
        raise ValueError(
            f"conv of {channels} channels in {groups} groups needs a kernel of (*window, {channels}/{groups}, "
            f"a multiple of {groups}), not {kernel.shape}"
        )
    if bias is not None and bias.shape != (width,):
        raise ValueError(f"conv of {width} output channels needs a bias of ({width},), not {bias.shape}")
    stride = per_dimension(stride, dimensions, "stride")
    dilation = per_dimension(dilation, dimensions, "dilation")
    pairs = padding_pairs(padding, x.shape[1:-1], window, stride, dilation)
    output_sizes(x.shape[1:-1], window, stride, pairs, dilation)
    if padding_mode != "zeros":
        x, pairs = pad(x, pairs, padding_mode), ((0, 0),) * dimensions
    y: Array = _correlate(x, kernel, stride, pairs, dilation, groups)  # type: ignore[assignment]
    return y if bias is None else y + bias


def convolve(x: Array, kernel: Array, bias: Array | None = None, **options) -> Array:
    """True convolution: `conv`, with its options, by the kernel flipped along its spatial dimensions."""
    return conv(x, _flip(kernel), bias, **options)


def _flip(kernel: Array) -> Array:
    return jnp.flip(kernel, range(kernel.ndim - 2))


def _lax_conv(x, kernel, stride, pairs, dilation, groups, spread=None):
    spatial = _SPATIAL[x.ndim - 2]
    layout = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    return lax.conv_general_dilated(
        x, kernel, stride, pairs, lhs_dilation=spread, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=layout,
    )  # fmt: skip


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _correlate(x: Array, kernel: Array, stride, pairs: Pairs, dilation, groups: int) -> Array:
    return _lax_conv(x, kernel, stride, pairs, dilation, groups)


def _correlate_forward(x, kernel, stride, pairs, dilation, groups):
    return _lax_conv(x, kernel, stride, pairs, dilation, groups), (x, kernel)


def _correlate_backward(stride, pairs, dilation, groups, residuals, gradient):
    x, kernel = residuals
    dx = _input_gradient(gradient, kernel, x.shape[1:-1], stride, pairs, dilation, groups)
    dh = _kernel_gradient(x, gradient, kernel.shape, stride, pairs, dilation, groups)
    return dx, dh


_correlate.defvjp(_correlate_forward, _correlate_backward)


def _input_gradient(gradient, kernel, sizes, stride, pairs, dilation, groups):
    """The gradient, spread by the stride, convolved with the flipped kernel; channels in and out change places."""
    *window, fan_in, width = kernel.shape
    flipped = _flip(kernel).reshape(*window, fan_in, groups, width // groups)
    flipped = jnp.moveaxis(flipped, -3, -1).swapaxes(
        -3, -2
    )  # (*window, groups, O/groups, I) -> (*window, O/groups, groups, I)
    flipped = flipped.reshape(*window, width // groups, groups * fan_in)
    around = []
    for n, out, k, s, d, (before, _) in zip(sizes, gradient.shape[1:-1], window, stride, dilation, pairs, strict=True):
        reach = d * (k - 1)
        around.append((reach - before, n - 1 - (out - 1) * s + before))
    return _lax_conv(gradient, flipped, (1,) * len(window), tuple(around), dilation, groups, spread=stride)


def _kernel_gradient(x, gradient, kernel_shape, stride, pairs, dilation, groups):
    """The input correlated with the gradient: examples and channels change places, stride and dilation too.

    A kernel of a single place takes one matrix product.
    """
    *window, fan_in, width = kernel_shape
    examples, *sizes, _ = x.shape
    if set(window) == {1} and groups == 1 and not any(map(any, pairs)):
        seen = lax.slice(x, [0] * x.ndim, x.shape, (1, *stride, 1))
        return (seen.reshape(-1, fan_in).T @ gradient.reshape(-1, width)).reshape(kernel_shape)
    # (N, *spatial, groups, I) -> (I, *spatial, groups, N): input channels are now the examples, examples the channels
    images = x.reshape(examples, *sizes, groups, fan_in).swapaxes(0, -1).reshape(fan_in, *sizes, groups * examples)
    kernel = jnp.moveaxis(gradient, 0, -2)  # (*output, N, O)
    around = []
    for n, out, k, s, d, (before, _) in zip(sizes, gradient.shape[1:-1], window, stride, dilation, pairs, strict=True):
        around.append((before, (k - 1) * d + (out - 1) * s + 1 - n - before))
    dh = _lax_conv(images, kernel, dilation, tuple(around), stride, groups)  # (I, *window, O)
    return jnp.moveaxis(dh, 0, -2)
