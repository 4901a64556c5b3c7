"""The operations in PyTorch, in both memory layouts, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from jaxcnn.bench.cases import Case
from jaxcnn.bench.conditions import finished
from jaxcnn.bench.jax_operations import CONV_GRADIENTS, EPS, MOMENTUM
from jaxcnn.bench.measure import Contender
from jaxcnn.bench.peers import Peer


def contender(peer: Peer, case: Case, product: str, arrays: dict[str, np.ndarray], device: str) -> Contender:
    """One product of a case, with the results of `jax_operations.compiled`, in PyTorch's own axes."""
    layout = torch.channels_last if peer.channels_last else torch.contiguous_format
    tensors = {name: tensor(array, name, layout, device) for name, array in arrays.items()}
    if case.kind == "conv":
        work, inputs = _conv(case, product, peer.compiled), (tensors["x"], tensors["kernel"], tensors["gradient"])
        inputs = inputs[:2] if product == "forward" else inputs
    else:
        work, inputs = _differentiated(_function(case), product, peer.compiled), _inputs(case, tensors)
    return Contender(peer.name, lambda: finished(work(*inputs)))


def tensor(array: np.ndarray, name: str, layout: torch.memory_format, device: str) -> torch.Tensor:
    """An array in PyTorch's axes: images NCHW, kernels OIHW, in the memory layout asked for."""
    if array.ndim == 4:
        array = array.transpose(3, 2, 0, 1) if name == "kernel" else array.transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(array)).to(device).contiguous(memory_format=layout)
    return torch.from_numpy(array.copy()).to(device)


def in_our_axes(result, product: str) -> list[np.ndarray]:
    """What a contender returned, as arrays in this library's axes."""
    results = result if isinstance(result, (tuple, list)) else (result,)
    arrays = [each.detach().cpu().numpy() for each in results]
    axes = (2, 3, 1, 0) if product == "dW" else (0, 2, 3, 1)
    return [array.transpose(axes) if array.ndim == 4 else array for array in arrays]


def _conv(case: Case, product: str, compile_it: bool) -> Callable:
    stride, padding = [case.stride] * 2, [case.padding] * 2

    def forward(x, kernel):
        return F.conv2d(x, kernel, None, stride, padding, 1, case.groups)

    place = None if product == "forward" else CONV_GRADIENTS.index(product)

    def backward(x, kernel, gradient):
        mask = [place == 0, place == 1, False]
        return torch.ops.aten.convolution_backward(
            gradient, x, kernel, None, stride, padding, [1, 1], False, [0, 0], case.groups, mask
        )[place]

    work = forward if place is None else backward
    return torch.no_grad()(torch.compile(work, dynamic=False) if compile_it else work)


def _inputs(case: Case, tensors: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The gradient of the output, what is not differentiated, and what is."""
    learned = [tensors[name] for name in ("x", "scale", "bias") if name in tensors]
    return tensors["gradient"], *(tensors[name] for name in ("mean", "variance") if name in tensors), *learned


def _function(case: Case) -> Callable:
    match case.kind:
        case "batch_norm":

            def batch_norm(mean, variance, x, scale, bias):
                # updated in place, as a PyTorch module's buffers are; copies, so that every run does the same
                mean, variance = mean.clone(), variance.clone()
                return F.batch_norm(x, mean, variance, scale, bias, True, 1 - MOMENTUM, EPS), mean, variance

            return batch_norm
        case "dropout":
            return lambda x: (F.dropout(x, case.rate, True),)
        case "max_pool":
            return lambda x: (F.max_pool2d(x, case.window, case.stride, case.padding),)
        case _:
            return lambda x: (F.avg_pool2d(x, case.window, case.stride, case.padding),)


def _differentiated(function: Callable, product: str, compile_it: bool) -> Callable:
    function = torch.compile(function, dynamic=False) if compile_it else function
    if product == "forward":
        return torch.no_grad()(lambda gradient, *inputs: function(*inputs))

    def both(gradient, *inputs):
        fixed, learned = (inputs[:2], inputs[2:]) if len(inputs) > 1 else ((), inputs)
        learned = [each.detach().requires_grad_() for each in learned]
        results = function(*fixed, *learned)
        return (*results, *torch.autograd.grad(results[0], learned, gradient))

    return both
