"""The operations that are measured, their inputs, and what is wanted of them."""

from __future__ import annotations

import fnmatch
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from jaxcnn.bench.goals import Goal, never_slower
from jaxcnn.host.errors import InputError

Goals = tuple[Goal, ...]
Kind = Literal["conv", "max_pool", "avg_pool", "batch_norm", "dropout"]
CONV_PRODUCTS = ("forward", "dx", "dW")
TRAINING_PRODUCTS = ("forward", "forward+backward")


@dataclass(frozen=True)
class Case:
    """One operation over `batch` images of size x size places and `channels` channels.

    Its products: a convolution's output, input gradient and weight gradient, each alone; for the rest the output,
    and the output with all gradients.
    """

    section: str
    name: str
    kind: Kind
    size: int
    channels: int
    width: int = 0
    window: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    rate: float = 0.0
    goals: dict[str, Goals] = field(default_factory=dict, hash=False)

    @property
    def products(self) -> tuple[str, ...]:
        return CONV_PRODUCTS if self.kind == "conv" else TRAINING_PRODUCTS

    @property
    def depthwise(self) -> bool:
        return self.kind == "conv" and self.groups == self.channels > 1

    @property
    def output(self) -> int:
        """The output's places in one dimension."""
        if self.kind in ("batch_norm", "dropout"):
            return self.size
        return (self.size + 2 * self.padding - self.window) // self.stride + 1

    def flops(self, batch: int) -> int | None:
        """The multiplications and additions of one product of a convolution; None for the rest."""
        if self.kind != "conv":
            return None
        return 2 * batch * self.output**2 * self.window**2 * (self.channels // self.groups) * self.width


def _everywhere(goals: Goals) -> dict[str, Goals]:
    return dict.fromkeys(CONV_PRODUCTS, goals)


def _conv(section: str, name: str, size: int, channels: int, width: int, window: int, **options) -> Case:
    options.setdefault("padding", (window - 1) // 2)
    options.setdefault("goals", _everywhere(never_slower("lax")))
    return Case(section, name, "conv", size, channels, width, window, **options)


def _dense() -> list[Case]:
    section = "Convolutions, all channels to all channels"
    return [
        _conv(section, "conv3x3-64@32", 32, 64, 64, 3),
        _conv(section, "conv3x3-128@16", 16, 128, 128, 3),
        _conv(section, "conv3x3-256@8", 8, 256, 256, 3),
        _conv(section, "conv3x3s2-64-128@32", 32, 64, 128, 3, stride=2),
        _conv(section, "conv5x5-64@16", 16, 64, 64, 5),
        _conv(section, "conv7x7-64@16", 16, 64, 64, 7),
        _conv(section, "conv3x3-1-32@28", 28, 1, 32, 3),
        _conv(section, "conv5x5-1-6@28", 28, 1, 6, 5),
        _conv(section, "conv3x3-3-32@32", 32, 3, 32, 3),
        _conv(section, "conv7x7s2-3-64@112", 112, 3, 64, 7, stride=2),
        _conv(section, "conv11x11s4-3-64@224", 224, 3, 64, 11, stride=4, padding=2),
    ]


def _pointwise() -> list[Case]:
    section, goals = "Convolutions 1x1", _everywhere((Goal(2.0),))
    return [
        _conv(section, "conv1x1-64@32", 32, 64, 64, 1, goals=goals),
        _conv(section, "conv1x1-128-256@16", 16, 128, 256, 1, goals=goals),
        _conv(section, "conv1x1-256@8", 8, 256, 256, 1, goals=goals),
        _conv(section, "conv1x1s2-128-256@16", 16, 128, 256, 1, stride=2, goals=goals),
    ]


def _depthwise() -> list[Case]:
    section = "Depthwise convolutions"
    goals = {"forward": (Goal(4.0),), "dx": (Goal(4.0),), "dW": (Goal(6.0),)}
    return [
        _conv(
            section, f"depthwise{k}x{k}{'s2' if s == 2 else ''}-128@16", 16, 128, 128, k,
            stride=s, groups=128, goals=goals,
        )
        for k in (3, 5, 7) for s in (1, 2)
    ]  # fmt: skip


def _grouped() -> list[Case]:
    section, goals = "Grouped convolutions", _everywhere((Goal(8.0),))
    return [
        _conv(section, f"grouped{g}-3x3-128@16", 16, 128, 128, 3, groups=g, goals=goals) for g in (2, 4, 32)
    ]  # fmt: skip


def _rest() -> list[Case]:
    wanted = {"forward+backward": (Goal(1.0),)}
    kinds: tuple[Kind, ...] = ("max_pool", "avg_pool")
    pools = [
        Case(
            "Pooling", f"{kind.replace('_', '')}{k}x{k}s{s}{'p1' if p else ''}-64@32", kind, 32, 64,
            window=k, stride=s, padding=p, goals=wanted,
        )
        for kind in kinds for k, s, p in ((2, 2, 0), (3, 2, 1), (3, 1, 1))
    ]  # fmt: skip
    section = "Normalization and dropout, in training"
    return [
        *pools,
        Case(section, "batchnorm-64@32", "batch_norm", 32, 64, goals=wanted),
        Case(section, "batchnorm-256@8", "batch_norm", 8, 256, goals=wanted),
        Case(section, "dropout-64@32", "dropout", 32, 64, rate=0.5, goals=wanted),
        Case(section, "dropout-1024@1", "dropout", 1, 1024, rate=0.1, goals=wanted),
    ]


CASES = (*_dense(), *_pointwise(), *_depthwise(), *_grouped(), *_rest())


def choose(patterns: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """The names that one of the patterns matches (all, without patterns). Raises InputError for one that matches none.

    A pattern without wildcards also matches what begins with it.
    """
    if patterns is None:
        return list(names)
    found: set[str] = set()
    for pattern in patterns:
        matched = fnmatch.filter(names, pattern) or fnmatch.filter(names, f"{pattern}*")
        if not matched:
            cases = dict.fromkeys(name.partition("/")[0] for name in names)
            raise InputError(f"no case matches {pattern!r}; there are: {', '.join(cases)}")
        found.update(matched)
    return [name for name in names if name in found]


def inputs(case: Case, batch: int) -> dict[str, np.ndarray]:
    """The arrays of a case, in this library's layouts: x, gradient (that of the output), and what else it needs."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    width = case.width or case.channels
    arrays = {
        "x": normal(batch, case.size, case.size, case.channels),
        "gradient": normal(batch, case.output, case.output, width),
    }
    if case.kind == "conv":
        fan_in = case.channels // case.groups
        arrays["kernel"] = normal(case.window, case.window, fan_in, width) / np.float32(case.window * fan_in**0.5)
    if case.kind == "batch_norm":
        arrays |= {name: 1 + normal(width) / 4 for name in ("scale", "bias", "mean")}
        arrays["variance"] = 1 + np.square(normal(width))
    return arrays
