"""The networks whose training steps are measured, and what every peer makes of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxcnn.host.errors import InputError
from jaxcnn.layout import init
from jaxcnn.ops.window import Pairs, padding_pairs, per_dimension
from jaxcnn.rewrite import map_leaves
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalPool,
    Graph,
    Identity,
    Pool,
    Spec,
    StochasticDepth,
    add,
    seq,
)
from jaxcnn.zoo import cifar_cnn, fmnist_cnn, lenet5

LEARNING_RATE = 1e-4  # small: a batch learned by heart has gradients of denormal numbers, which are slow

Tree = dict[str, dict[str, np.ndarray]]


class Weights(NamedTuple):
    """Parameters and running statistics as `jaxcnn.init` lays them out, in numpy."""

    params: Tree
    stats: Tree


class Gradients(NamedTuple):
    """What one pass over a batch gives: logits (N, K), mean cross-entropy, and its gradients laid out as `params`."""

    logits: np.ndarray
    loss: float
    params: Tree


class Trainer(NamedTuple):
    """A network in training by one peer. `step` makes one update and returns the loss before it.

    The loss and the update are results of one computation: to have the loss is to have waited for both.
    """

    step: Callable[[], float]
    parameters: int


class Problem(NamedTuple):
    """A network and a batch to train it on."""

    net: Spec
    weights: Weights
    pixels: np.ndarray  # (N, H, W, C) uint8
    labels: np.ndarray  # (N,) int32

    MEAN, STD = 0.5, 0.25

    @property
    def images(self) -> np.ndarray:
        """The pixels, normalized: (N, H, W, C) float32."""
        return ((self.pixels / 255 - self.MEAN) / self.STD).astype(np.float32)


def problem(net: Spec, shape: tuple[int, int, int], batch: int, classes: int = 10) -> Problem:
    """Initial weights and a random batch for a network."""
    rng = np.random.default_rng(0)
    params, stats = jax.device_get(init(net, jax.random.key(0), shape))
    pixels = rng.integers(0, 256, (batch, *shape), np.uint8)
    return Problem(net, Weights(params, stats), pixels, rng.integers(0, classes, batch, np.int32))


def mobilenet_like(classes: int = 10) -> Graph:
    """A small stack of inverted residuals (Sandler et al. 2018, table 2, cut down to images of 32x32)."""

    def unit(width: int | None, kernel: int, stride: int = 1, groups: int | None = 1) -> Graph:
        return seq(conv=Conv(width, kernel, stride, groups=groups), bn=BatchNorm(), act=Act("relu6"))

    def block(channels: int, expansion: int, width: int, stride: int) -> Spec:
        steps: dict[str, Spec] = {"expand": unit(expansion * channels, 1)} if expansion > 1 else {}
        steps |= {"depthwise": unit(None, 3, stride, groups=None), "project": Conv(width, 1), "bn": BatchNorm()}
        body = seq(**steps)
        return add(body, Identity()) if stride == 1 and width == channels else body

    blocks: dict[str, Spec] = {}
    channels = 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 2, 2), (6, 64, 2, 2), (6, 96, 2, 1), (6, 160, 1, 2))
    for expansion, width, repeats, stride in stages:
        for number in range(repeats):
            blocks[f"block{len(blocks)}"] = block(channels, expansion, width, stride if number == 0 else 1)
            channels = width
    return seq(stem=unit(32, 3), **blocks, head=unit(640, 1), pool=GlobalPool(), fc=Dense(classes))


NETWORKS: dict[str, tuple[Callable[[], Spec], tuple[int, int, int]]] = {
    "lenet5": (lenet5, (28, 28, 1)),
    "fmnist_cnn": (fmnist_cnn, (28, 28, 1)),
    "cifar_cnn": (cifar_cnn, (32, 32, 3)),
    "mobilenet_like": (mobilenet_like, (32, 32, 3)),
}


def without_dropout(net: Spec) -> Spec:
    """The same network without its randomness, so that peers can be compared."""
    return map_leaves(net, lambda _, leaf: Identity() if isinstance(leaf, Dropout | StochasticDepth) else leaf)


def window_of(leaf: Conv | Pool, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], Pairs]:
    """The window, stride and padding (before, after) of a layer over inputs of `shape`, one entry per dimension."""
    sizes, once = shape[:-1], (1,) * (len(shape) - 1)
    window = per_dimension(leaf.kernel if isinstance(leaf, Conv) else leaf.window, len(sizes), "window")
    stride = window if leaf.stride is None else per_dimension(leaf.stride, len(sizes), "stride")
    dilation = per_dimension(leaf.dilation, len(sizes), "dilation") if isinstance(leaf, Conv) else once
    return window, stride, padding_pairs(leaf.padding, sizes, window, stride, dilation)


def groups_of(leaf: Conv, channels: int) -> int:
    """How many groups a convolution of `channels` channels has."""
    return channels if leaf.groups is None else leaf.groups


def unsupported(peer: str, what: object) -> InputError:
    """The error of a translation into `peer` that does not know a layer."""
    return InputError(f"the benchmark cannot translate {what} into {peer}")
