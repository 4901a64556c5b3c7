"""Training a network in PyTorch: `nn` modules, `cross_entropy`, `torch.optim.Adam`, eager or compiled."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jaxcnn.bench.conditions import finished
from jaxcnn.bench.networks import (
    LEARNING_RATE,
    Gradients,
    Problem,
    Trainer,
    Tree,
    groups_of,
    unsupported,
    window_of,
)
from jaxcnn.bench.peers import Peer
from jaxcnn.layout import Row, walk
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    Pool,
    Spec,
    Step,
    interpret,
)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "silu": nn.SiLU, "gelu": nn.GELU,
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid, "hard_swish": nn.Hardswish,
}  # fmt: skip
MERGE = {
    "sum": lambda values: reduce(operator.add, values),
    "mul": lambda values: reduce(operator.mul, values),
    "concat": lambda values: torch.cat(values, 1),
}


class Slot(NamedTuple):
    """Where a parameter or statistic lives, and how an array of this library's becomes one of PyTorch's, and back."""

    tensor: Tensor
    to_torch: Callable[[np.ndarray], np.ndarray]
    to_ours: Callable[[np.ndarray], np.ndarray]


class Walk(nn.Module):
    """Parts in order of execution: each makes a value of the values with the given numbers, of which 0 is the input."""

    def __init__(self, parts: list[nn.Module], sources: list[tuple[int, ...]]):
        super().__init__()
        self.parts, self.sources = nn.ModuleList(parts), sources
        last = {source: step for step, several in enumerate(sources) for source in several}
        self.done = [[source for source in last if last[source] == step] for step in range(len(sources))]

    def forward(self, x: Tensor) -> Tensor:
        values = {0: x}
        for step, (part, several) in enumerate(zip(self.parts, self.sources, strict=True)):
            values[step + 1] = part(*(values[source] for source in several))
            for source in self.done[step]:
                del values[source]
        return values[len(self.sources)]


class Merge(nn.Module):
    """Several values as one."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, *values: Tensor) -> Tensor:
        return MERGE[self.how](values)


class Carried(NamedTuple):
    """A value's number, and PyTorch's order of its elements; see `Builder`."""

    number: int
    order: np.ndarray | None


class Builder:
    """Makes a module of a spec and keeps the slots of its weights.

    PyTorch flattens images channels first. `order` is the place, in this library's order, of each element of a
    flattened image; the weights that meet it are permuted, so that both networks compute the same.
    """

    def __init__(self, net: Spec, shape: tuple[int, ...]):
        rows = iter(walk(net, shape))
        self.slots: dict[tuple[str, str], Slot] = {}
        parts: list[nn.Module] = []
        sources: list[tuple[int, ...]] = []

        def append(part: nn.Module, *numbers: int) -> int:
            parts.append(part)
            sources.append(numbers)
            return len(parts)

        def leaf(_: Step, given: Carried) -> Carried:
            module, order = self._leaf(next(rows), given.order)
            return Carried(append(module, given.number), order)

        def merge(how: str, several: list[Carried]) -> Carried:
            if any(each.order is not None for each in several):
                raise unsupported("PyTorch", "several flattened images that meet")
            return Carried(append(Merge(how), *(each.number for each in several)), None)

        interpret(net, Carried(0, None), leaf, merge)
        chain = sources == [(number,) for number in range(len(parts))]
        self.module = nn.Sequential(*parts) if chain else Walk(parts, sources)

    def _leaf(self, row: Row, order: np.ndarray | None) -> tuple[nn.Module, np.ndarray | None]:
        match row.leaf:
            case Conv(padding_mode="zeros") as leaf:
                return self._conv(row, leaf), None
            case Dense(width, bias):
                dense = nn.Linear(row.input[-1], width, bias=bias)
                forward, back = _permutation(order)
                self._keep(row, "kernel", dense.weight, lambda w: forward(w).T, lambda w: back(w.T))
                self._keep(row, "bias", dense.bias)
                return dense, None
            case BatchNorm(momentum, eps, scale):
                norm = (nn.BatchNorm2d if len(row.input) == 3 else nn.BatchNorm1d)(row.input[-1], eps, 1 - momentum)
                norm.weight.requires_grad_(scale)
                forward, back = _permutation(order)
                tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
                for name, tensor in zip(("scale", "bias", "mean", "var"), tensors, strict=True):
                    self._keep(row, name, tensor, forward, back)
                return norm, order
            case Flatten():
                places = np.arange(math.prod(row.input)).reshape(row.input)
                return nn.Flatten(), places.transpose(2, 0, 1).ravel()
            case Act(name) if name in ACTIVATIONS:
                return ACTIVATIONS[name](), order
            case Act("softmax"):
                return nn.Softmax(1), order
            case Pool() as leaf:
                return _pool(row, leaf), None
            case GlobalPool(kind, keepdims):
                pool = nn.AdaptiveMaxPool2d(1) if kind == "max" else nn.AdaptiveAvgPool2d(1)
                return pool if keepdims else nn.Sequential(pool, nn.Flatten()), None
            case Dropout(rate, spatial):
                return (nn.Dropout2d if spatial else nn.Dropout)(rate), order
            case Identity():
                return nn.Identity(), order
        raise unsupported("PyTorch", row.leaf)

    def _conv(self, row: Row, leaf: Conv) -> nn.Module:
        window, stride, pairs = window_of(leaf, row.input)
        channels, width = row.input[-1], row.layout.output[-1]
        even = all(before == after for before, after in pairs)
        conv = nn.Conv2d(
            channels, width, window, stride, tuple(before for before, _ in pairs) if even else 0,  # type: ignore
            leaf.dilation, groups_of(leaf, channels), leaf.bias,  # type: ignore
        )  # fmt: skip
        self._keep(row, "kernel", conv.weight, lambda w: w.transpose(3, 2, 0, 1), lambda w: w.transpose(2, 3, 1, 0))
        self._keep(row, "bias", conv.bias)
        (top, bottom), (left, right) = pairs
        return conv if even else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)

    def _keep(self, row: Row, name: str, tensor: Tensor | None, forward=np.asarray, back=np.asarray) -> None:
        if tensor is not None and (name in row.layout.params or name in row.layout.stats):
            self.slots[row.path, name] = Slot(tensor, forward, back)


def _permutation(order: np.ndarray | None):
    """How an array whose first axis runs over features comes into PyTorch's order, and back."""
    if order is None:
        return np.asarray, np.asarray
    back = np.argsort(order)
    return lambda array: array[order], lambda array: array[back]


def _pool(row: Row, leaf: Pool) -> nn.Module:
    window, stride, pairs = window_of(leaf, row.input)
    padding = tuple(before for before, _ in pairs)
    if any(before != after or 2 * before > k for (before, after), k in zip(pairs, window, strict=True)):
        raise unsupported("PyTorch", leaf)
    if leaf.kind == "max":
        return nn.MaxPool2d(window, stride, padding)  # type: ignore
    if leaf.kind == "avg":
        return nn.AvgPool2d(window, stride, padding, count_include_pad=leaf.count_include_pad)  # type: ignore
    raise unsupported("PyTorch", leaf)


def network(problem: Problem) -> nn.Module:
    """The network with its weights, in training mode."""
    return _network(problem)[0]


def _network(problem: Problem) -> tuple[nn.Module, Builder]:
    builder = Builder(problem.net, problem.pixels.shape[1:])
    module = builder.module
    with torch.no_grad():
        for tree in problem.weights:
            for path, layer in tree.items():
                for name, value in layer.items():
                    slot = builder.slots[path, name]
                    slot.tensor.copy_(torch.from_numpy(np.array(slot.to_torch(value))))
    return module.train(), builder


def _batch(problem: Problem) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.ascontiguousarray(problem.images.transpose(0, 3, 1, 2)))
    return images, torch.from_numpy(problem.labels.astype(np.int64))


def trainer(problem: Problem, peer: Peer) -> Trainer:
    """The network in training, in the peer's memory layout, eager or compiled."""
    device = "cpu" if jax.default_backend() == "cpu" else "cuda"
    layout = torch.channels_last if peer.channels_last else torch.contiguous_format
    module = network(problem).to(device=device, memory_format=layout)  # type: ignore[call-overload]
    images, labels = (each.to(device) for each in _batch(problem))
    images = images.contiguous(memory_format=layout)
    optimizer = torch.optim.Adam(module.parameters(), LEARNING_RATE)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(module(images), labels)

    if peer.compiled:
        loss_of = torch.compile(loss_of, dynamic=False)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        return finished(loss.item())

    return Trainer(step, sum(each.numel() for each in module.parameters() if each.requires_grad))


def gradients(problem: Problem) -> Gradients:
    """The gradients of a network without dropout."""
    module, builder = _network(problem)
    images, labels = _batch(problem)
    logits = module(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    tree: Tree = {
        path: {name: _gradient(builder.slots[path, name]) for name in layer}
        for path, layer in problem.weights.params.items()
    }
    return Gradients(logits.detach().numpy(), loss.item(), tree)


def _gradient(slot: Slot) -> np.ndarray:
    assert slot.tensor.grad is not None
    return slot.to_ours(slot.tensor.grad.numpy())
