"""Convolution, and what is made of it: true, transposed, depthwise and separable convolution."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops.checks import biased, count, floating
from jaxcnn.ops.products import correlate, flip, input_gradient
from jaxcnn.ops.window import Padding, Size, Window, extent, pad, padding_pairs, per_dimension, slide


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
      ValueError: shapes, dtypes, stride, groups or padding that do not fit, with the numbers.
    """
    *window, fan_in, width = _kernel("conv", x, kernel, bias)
    channels, groups = x.shape[-1], count("conv", "groups", groups)
    if width % groups or channels != groups * fan_in:
        raise ValueError(
            f"conv of {channels} channels in {groups} groups needs a kernel of (*window, {channels}/{groups}, "
            f"a multiple of {groups}), not {kernel.shape}"
        )
    placed = slide("conv", x.shape[1:-1], window, stride, padding, dilation)
    if padding_mode != "zeros":
        x = pad(x, placed.pairs, padding_mode)
        placed = placed.over(sizes=x.shape[1:-1], pairs=((0, 0),) * len(window))
    y: Array = correlate(x, kernel, placed, groups)  # type: ignore[assignment]
    return biased(y, bias)


def convolve(x: Array, kernel: Array, bias: Array | None = None, **options) -> Array:
    """True convolution: `conv`, with its options, by the kernel flipped along its spatial dimensions."""
    return conv(x, flip(kernel), bias, **options)


def depthwise_conv(x: Array, kernel: Array, bias: Array | None = None, **options) -> Array:
    """`conv` with one group per channel: kernel `(*window, 1, C*m)`, `options` those of `conv` without groups.

    Channel c of x makes the channels `c*m` to `c*m + m-1` of the result.
    """
    return conv(x, kernel, bias, groups=x.shape[-1], **options)


def separable_conv(x: Array, depthwise: Array, pointwise: Array, bias: Array | None = None, **options) -> Array:
    """`depthwise_conv` by a kernel of `(*window, 1, C*m)`, with `options`, then `conv` by one of `(1, ..., C*m, O)`.

    Chollet 2017 (Xception), without the non-linearity between that the paper advises against.
    """
    return conv(depthwise_conv(x, depthwise, **options), pointwise, bias)


def conv_transpose(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """The transpose of `conv` as a linear map: what its backward pass does to the gradient (Dumoulin and Visin 2016).

    Args:
      x: (N, *spatial, C).
      kernel: that of the convolution which is transposed: (*window, O // groups, C). It takes O channels to C; this
        takes C to O.
      bias: (O,) or None.
      stride, dilation, groups: those of the convolution.
      padding: "valid" and "same" as in TensorFlow: the sizes become `W*S + max(D(K-1)+1 - S, 0)` and `W*S`. Anything
        else is the padding of the convolution, as in PyTorch: `(W-1)*S - before - after + D(K-1) + 1 + output_padding`.
      output_padding: places added to the far side of the result, less than the stride or the dilation.

    Returns:
      (N, *output, O).

    Raises:
      ValueError: shapes, dtypes, stride, groups or padding that do not fit, with the numbers.
    """
    *window, fan_out, channels = _kernel("conv_transpose", x, kernel, None)
    groups = count("conv_transpose", "groups", groups)
    width = fan_out * groups
    if channels != x.shape[-1] or channels % groups:
        raise ValueError(
            f"conv_transpose of {x.shape[-1]} channels in {groups} groups needs a kernel of (*window, width/{groups}, "
            f"{x.shape[-1]}), not {kernel.shape}"
        )
    _bias("conv_transpose", bias, width)
    placed = transposed_window(x.shape[1:-1], window, stride, padding, output_padding, dilation)
    y: Array = input_gradient(x, kernel, placed, groups)  # type: ignore[assignment]
    return biased(y, bias)


def transposed_window(
    sizes: Sequence[int], window: Size, stride: Size, padding: Padding, output_padding: Size, dilation: Size
) -> Window:
    """The window of the convolution that makes `sizes` of what `conv_transpose` returns (`Window.sizes`)."""
    dimensions = len(sizes)
    try:
        window = per_dimension(window, dimensions, "window")
        stride = per_dimension(stride, dimensions, "stride")
        dilation = per_dimension(dilation, dimensions, "dilation")
        beyond = per_dimension(output_padding, dimensions, "output_padding", least=0)
        whole = tuple(n * s for n, s in zip(sizes, stride, strict=True))
        pairs = padding_pairs(padding, whole, window, stride, dilation)
    except ValueError as error:
        raise ValueError(f"conv_transpose: {error}") from None
    extents = [extent(k, d) for k, d in zip(window, dilation, strict=True)]
    if isinstance(padding, str) and padding in ("valid", "same"):
        if any(beyond):
            raise ValueError(f"conv_transpose: {padding!r} sets the size; output_padding must be 0, not {beyond}")
        beyond = [max(e - s, 0) if padding == "valid" else 0 for e, s in zip(extents, stride, strict=True)]
        larger = [n + more for n, more in zip(whole, beyond, strict=True)]
    else:
        if any(more >= max(s, d) for more, s, d in zip(beyond, stride, dilation, strict=True)):
            raise ValueError(
                f"conv_transpose: output_padding {beyond} must be less than stride {stride} or dilation {dilation}"
            )
        # What is added on the far side is taken from the padding there, so that the convolution still makes `sizes`.
        pairs = tuple((before, after - more) for (before, after), more in zip(pairs, beyond, strict=True))
        terms = zip(sizes, stride, pairs, extents, strict=True)
        larger = [(n - 1) * s - sum(pair) + e for n, s, pair, e in terms]
    if min(larger) < 1:
        raise ValueError(f"conv_transpose of {tuple(sizes)} places with padding {pairs} leaves {tuple(larger)}")
    return Window(tuple(larger), tuple(window), stride, pairs, dilation)


def _kernel(operation: str, x: Array, kernel: Array, bias: Array | None) -> tuple[int, ...]:
    floating(operation, x, kernel)
    if not 3 <= x.ndim <= 5 or kernel.ndim != x.ndim:
        raise ValueError(
            f"{operation} takes x of (N, 1 to 3 spatial dimensions, C) and a kernel of the same rank, "
            f"not {x.shape} and {kernel.shape}"
        )
    _bias(operation, bias, kernel.shape[-1])
    return kernel.shape


def _bias(operation: str, bias: Array | None, width: int) -> None:
    if bias is not None and bias.shape != (width,):
        raise ValueError(f"{operation} of {width} output channels needs a bias of ({width},), not {jnp.shape(bias)}")
