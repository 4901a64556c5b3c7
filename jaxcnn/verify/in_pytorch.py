"""The operations in PyTorch, in jaxcnn's layout and under its names; None where PyTorch cannot express the setting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import Tensor  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

from jaxcnn.verify.loops import loops
from jaxcnn.verify.subject import Subject


def both(subject: Subject) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """The outputs, and the gradients of sum(cotangent * first output) by the floating arrays."""
    function = globals()[subject.operation.loop or subject.operation.name]
    tensors = [None if array is None else torch.tensor(array) for array in subject.arrays]
    floats = [tensor.requires_grad_() for tensor in tensors if tensor is not None and tensor.dtype == torch.float64]
    result = function(*tensors, **subject.setting.options)
    if result is None:
        return None
    outputs = result if isinstance(result, tuple) else (result,)
    gradients = torch.autograd.grad(outputs[0], floats, torch.tensor(subject.cotangent))
    return [y.detach().numpy() for y in outputs], [g.numpy() for g in gradients]


def _first(x: Tensor) -> Tensor:
    """Channels after the examples."""
    return x.movedim(-1, 1)


def _last(y: Tensor) -> Tensor:
    return y.movedim(1, -1)


def _weight(kernel: Tensor) -> Tensor:
    return kernel.movedim((-1, -2), (0, 1))


def _geometry(x: Tensor, window: Any, stride: Any, padding: Any, dilation: Any):
    """Window, stride, pairs and dilation, one for each dimension."""
    sizes = tuple(x.shape[1:-1])
    window = _each(window, x)
    stride, dilation = window if stride is None else _each(stride, x), _each(dilation, x)
    return window, stride, loops()["pairs_of"](padding, sizes, window, stride, dilation), dilation


def _each(value: Any, x: Tensor) -> tuple[int, ...]:
    return loops()["per_dimension"](value, x.ndim - 2)


def _pad(x: Tensor, pairs: Any, mode: Any = "zeros", value: float = 0.0) -> Tensor:
    """Of channels-first images."""
    if not any(map(any, pairs)):
        return x
    flat = [side for pair in reversed(pairs) for side in pair]
    if isinstance(mode, str) and mode != "zeros":
        return F.pad(x, flat, mode=mode)
    return F.pad(x, flat, value=value if mode == "zeros" else mode)


def conv(x, kernel, bias=None, *, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    _, stride, pairs, dilation = _geometry(x, tuple(kernel.shape[:-2]), stride, padding, dilation)
    function = getattr(F, f"conv{len(pairs)}d")
    images = _pad(_first(x), pairs, padding_mode)
    return _last(function(images, _weight(kernel), bias, stride, 0, dilation, groups))


def convolve(x, kernel, bias=None, **options):
    return conv(x, kernel.flip(tuple(range(kernel.ndim - 2))), bias, **options)


def depthwise_conv(x, kernel, bias=None, **options):
    return conv(x, kernel, bias, groups=x.shape[-1], **options)


def separable_conv(x, depthwise, pointwise, bias=None, **options):
    return conv(depthwise_conv(x, depthwise, **options), pointwise, bias)


def conv_transpose(x, kernel, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Without padding, which PyTorch has on both sides alike, and then cut."""
    window, stride, pairs, dilation = _geometry(x, tuple(kernel.shape[:-2]), stride, padding, dilation)
    extents = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    more = _each(output_padding, x)
    if padding in ("valid", "same"):  # TensorFlow's: at least n S places
        more = [max(s - e, 0) for s, e in zip(stride, extents, strict=True)]
    if padding == "same":
        excess = [max(e - s, 0) for s, e in zip(stride, extents, strict=True)]
        pairs = [(total // 2, total - total // 2) for total in excess]
    function = getattr(F, f"conv_transpose{len(window)}d")
    y = _last(function(_first(x), _weight(kernel).contiguous(), None, stride, 0, more, groups, dilation))
    cut = [slice(before, n - after) for n, (before, after) in zip(y.shape[1:-1], pairs, strict=True)]
    return y[:, *cut] if bias is None else y[:, *cut] + bias


def max_pool_with_indices(x, window, stride=None, *, padding=0, dilation=1, ceil_mode=False):
    window, stride, pairs, dilation = _geometry(x, window, stride, padding, dilation)
    if torch.isnan(x).any():  # PyTorch takes the last NaN of a window
        return None
    if any(before != after or before > k // 2 for (before, after), k in zip(pairs, window, strict=True)):
        return None
    function = getattr(F, f"max_pool{len(window)}d")
    before = [pair[0] for pair in pairs]
    y, index = function(_first(x), window, stride, before, dilation, ceil_mode, return_indices=True)
    return _last(y), _last(index)


def max_pool(x, window, stride=None, **options):
    found = max_pool_with_indices(x, window, stride, **options)
    return None if found is None else found[0]


def max_unpool(x, indices, sizes):
    flat = torch.zeros(len(x), math.prod(sizes), x.shape[-1], dtype=x.dtype)
    flat = flat.scatter_add(1, indices.reshape(len(x), -1, x.shape[-1]), x.reshape(len(x), -1, x.shape[-1]))
    return flat.reshape(len(x), *sizes, x.shape[-1])


def avg_pool(x, window, stride=None, *, padding=0, dilation=1, ceil_mode=False, count_include_pad=True):
    window, stride, pairs, dilation = _geometry(x, window, stride, padding, dilation)
    if set(dilation) != {1} or any(b != a or b > k // 2 for (b, a), k in zip(pairs, window, strict=True)):
        return None
    function = getattr(F, f"avg_pool{len(window)}d")
    return _last(function(_first(x), window, stride, [pair[0] for pair in pairs], ceil_mode, count_include_pad))


def lp_pool(x, window, stride=None, *, p=2.0, padding=0, dilation=1, ceil_mode=False):
    window, stride, pairs, dilation = _geometry(x, window, stride, padding, dilation)
    if set(dilation) != {1} or any(map(any, pairs)) or (x == 0).any() or math.isinf(p):
        return None
    if ceil_mode:  # PyTorch divides its windows at the border by fewer places than it multiplies them with
        return None
    if x.ndim == 3:
        return _last(F.lp_pool1d(_first(x.abs()), p, window[0], stride[0]))
    return _last(getattr(F, f"lp_pool{len(window)}d")(_first(x.abs()), p, window, stride))


def _sizes(x: Tensor, sizes: Any) -> list[int]:
    wanted = [sizes] * (x.ndim - 2) if sizes is None or isinstance(sizes, int) else sizes
    return [n if wish is None else wish for n, wish in zip(x.shape[1:-1], wanted, strict=True)]


def adaptive_avg_pool(x, sizes):
    return _last(getattr(F, f"adaptive_avg_pool{x.ndim - 2}d")(_first(x), _sizes(x, sizes)))


def adaptive_max_pool(x, sizes):
    if torch.isnan(x).any():
        return None
    return _last(getattr(F, f"adaptive_max_pool{x.ndim - 2}d")(_first(x), _sizes(x, sizes)))


def global_avg_pool(x, *, keepdims=False):
    return x.mean(tuple(range(1, x.ndim - 1)), keepdim=keepdims)


def global_max_pool(x, *, keepdims=False):
    y = adaptive_max_pool(x, 1)
    return y if keepdims or y is None else y.reshape(len(x), x.shape[-1])


def batch_norm(x, scale, bias, *, eps=1e-5, mask=None, unbiased=True):
    if mask is not None:
        return None
    axes = tuple(range(x.ndim - 1))
    y = F.batch_norm(_first(x), None, None, scale, bias, training=True, eps=eps)
    return _last(y), x.mean(axes), x.var(axes, correction=int(unbiased))


def normalize(x, mean, variance, scale, bias, *, eps=1e-5):
    images = _first(x)
    if images.requires_grad and variance.requires_grad:  # F.batch_norm has no gradient by its statistics
        return (x - mean) / torch.sqrt(variance + eps) * (1 if scale is None else scale) + bias
    return _last(F.batch_norm(images, mean, variance, scale, bias, eps=eps))


def running_average(old, new, *, momentum):
    return torch.lerp(new, old, momentum)


def layer_norm(x, scale=None, bias=None, *, eps=1e-6):
    return F.layer_norm(x, x.shape[-1:], scale, bias, eps)


def local_response_norm(x, *, size=5, alpha=1e-4, beta=0.75, k=1.0):
    return _last(F.local_response_norm(_first(x), size, alpha, beta, k))


def dense(x, kernel, bias=None):
    return F.linear(x, kernel.T, bias)


def channel_shuffle(x, *, groups):
    return _last(F.channel_shuffle(_first(x).contiguous(), groups))


def upsample(x, scale, *, method="nearest", align_corners=False):
    images, scales = _first(x), _each(scale, x)
    if method == "nearest":
        return _last(F.interpolate(images, scale_factor=[float(s) for s in scales], mode="nearest"))
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[x.ndim - 2]
    sizes = [n * s for n, s in zip(x.shape[1:-1], scales, strict=True)]
    return _last(F.interpolate(images, size=sizes, mode=mode, align_corners=align_corners))


ACTIVATIONS = {
    "relu": F.relu, "relu6": F.relu6, "leaky_relu": F.leaky_relu, "elu": F.elu, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 * x / 3), 
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,  # the gradient of F.hardsigmoid takes a sixth in float32
   
    "hard_swish": F.hardswish, "softplus": F.softplus, "softmax": lambda x: torch.softmax(x, -1),
}  # fmt: skip


def activation(x, *, name):
    return ACTIVATIONS[name](x)
