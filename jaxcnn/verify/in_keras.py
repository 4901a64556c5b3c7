"""The operations in Keras, under jaxcnn's names; None where Keras cannot express the setting."""

from __future__ import annotations

from typing import Any

import keras  # pyright: ignore[reportMissingImports]

from jaxcnn.verify.loops import loops

K: Any = keras.ops  # whose annotations say int where tuples are meant


def _ints(value: Any, x: Any) -> tuple[int, ...]:
    return loops()["per_dimension"](value, x.ndim - 2)


def _pad(x: Any, window: Any, stride: Any, padding: Any, dilation: Any, mode: Any = "zeros") -> tuple[Any, str] | None:
    """Images and what is left to pad: words that Keras knows stay words."""
    if padding in ("valid", "same") and mode == "zeros":
        return x, padding
    if mode != "zeros" or padding == "same":
        return None
    pairs = loops()["pairs_of"](padding, x.shape[1:-1], window, stride, dilation)
    return K.pad(x, ((0, 0), *pairs, (0, 0))), "valid"


def _biased(y: Any, bias: Any) -> Any:
    return y if bias is None else y + bias


def conv(x, kernel, bias=None, *, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    stride, dilation = _ints(stride, x), _ints(dilation, x)
    padded = _pad(x, kernel.shape[:-2], stride, padding, dilation, padding_mode)
    return (
        None if padded is None else _biased(K.conv(padded[0], kernel, stride, padded[1], dilation_rate=dilation), bias)
    )


def separable_conv(x, depthwise, pointwise, bias=None, *, stride=1, padding=0, dilation=1, padding_mode="zeros"):
    stride, dilation = _ints(stride, x), _ints(dilation, x)
    padded = _pad(x, depthwise.shape[:-2], stride, padding, dilation, padding_mode)
    if padded is None or x.ndim == 5:  # Keras has none in three dimensions
        return None
    channels, multiplier = x.shape[-1], depthwise.shape[-1] // x.shape[-1]
    kernel = depthwise.reshape(*depthwise.shape[:-2], channels, multiplier)
    return _biased(K.separable_conv(padded[0], kernel, pointwise, stride, padded[1], dilation_rate=dilation), bias)


def depthwise_conv(x, kernel, bias=None, *, stride=1, padding=0, dilation=1, padding_mode="zeros"):
    stride, dilation = _ints(stride, x), _ints(dilation, x)
    padded = _pad(x, kernel.shape[:-2], stride, padding, dilation, padding_mode)
    if padded is None or x.ndim == 5:
        return None
    kernel = kernel.reshape(*kernel.shape[:-2], x.shape[-1], -1)
    return _biased(K.depthwise_conv(padded[0], kernel, stride, padded[1], dilation_rate=dilation), bias)


def conv_transpose(x, kernel, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    stride, dilation = _ints(stride, x), _ints(dilation, x)
    if padding not in ("valid", "same") or groups != 1:
        return None
    return _biased(K.conv_transpose(x, kernel, stride, padding, dilation_rate=dilation), bias)


def max_pool(x, window, stride=None, *, padding=0, dilation=1, ceil_mode=False):
    window = _ints(window, x)
    if padding not in ("valid", "same", 0) or ceil_mode or set(_ints(dilation, x)) != {1}:
        return None
    return K.max_pool(x, window, window if stride is None else _ints(stride, x), padding or "valid")


def avg_pool(x, window, stride=None, *, padding=0, dilation=1, ceil_mode=False, count_include_pad=True):
    window = _ints(window, x)
    if padding not in ("valid", "same", 0) or ceil_mode or set(_ints(dilation, x)) != {1}:
        return None
    if padding == "same" and count_include_pad:  # Keras never counts the padding
        return None
    return K.average_pool(x, window, window if stride is None else _ints(stride, x), padding or "valid")


def batch_norm(x, scale, bias, *, eps=1e-5, mask=None, unbiased=True):
    if mask is not None:
        return None
    mean, variance = K.moments(x, tuple(range(x.ndim - 1)))
    y = K.batch_normalization(x, mean, variance, -1, bias, scale, eps)
    return (y, mean) if unbiased else (y, mean, variance)


def normalize(x, mean, variance, scale, bias, *, eps=1e-5):
    return K.batch_normalization(x, mean, variance, -1, bias, scale, eps)


def dense(x, kernel, bias=None):
    return _biased(K.matmul(x, kernel), bias)


def upsample(x, scale, *, method="nearest", align_corners=False):
    if x.ndim != 4 or align_corners:
        return None
    sizes = tuple(n * s for n, s in zip(x.shape[1:-1], _ints(scale, x), strict=True))
    return K.image.resize(x, sizes, interpolation=method, data_format="channels_last")


def activation(x, *, name):
    x = K.convert_to_tensor(x)
    match name:
        case "tanh" | "scaled_tanh":  # Keras computes it in float32, as it does a layer normalization
            return None
        case "gelu" | "gelu_tanh":
            return K.gelu(x, approximate=name == "gelu_tanh")
        case "leaky_relu":
            return K.leaky_relu(x, 0.01)
    return getattr(K, "hard_silu" if name == "hard_swish" else name)(x)
