"""One setting of an operation: the arrays it is given, by shape and kind, and its options."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Random = np.random.Generator
KINKS = (-3.0, 0.0, 3.0, 6.0)  # where an activation of jaxcnn has no derivative


class Draw(NamedTuple):
    """A random array of some shape; `below` bounds the integers of kind "index"."""

    shape: tuple[int, ...]
    kind: str = "normal"
    below: int = 0


def _spread(random: Random, shape: tuple[int, ...]) -> Array:
    """Values at least 0.01 from each other and 0.005 from zero: no comparison changes within a small step."""
    size = int(np.prod(shape))
    places = random.permutation(size) - size // 2 + 0.5
    return (places * max(4 / size, 0.01)).reshape(shape)


def _sizes(random: Random, shape: tuple[int, ...]) -> Array:
    """Values of either sign, whose sizes lie at least 0.01 from each other and from zero."""
    size = int(np.prod(shape))
    places = random.permutation(size) + 1
    return (places * max(4 / size, 0.01) * random.choice([-1, 1], size)).reshape(shape)


def _away_from_kinks(random: Random, shape: tuple[int, ...]) -> Array:
    x = random.normal(size=shape, scale=2.5)
    for kink in KINKS:
        x = np.where(abs(x - kink) < 0.05, kink + np.where(x < kink, -0.05, 0.05), x)
    return x


def _with_nan(random: Random, shape: tuple[int, ...]) -> Array:
    return np.where(random.random(shape) < 0.1, np.nan, random.normal(size=shape))


def _with_empty_windows(random: Random, shape: tuple[int, ...]) -> Array:
    x = random.normal(size=shape)
    x[:, : (shape[1] + 1) // 2] = 0
    return x


KINDS: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "shifted": lambda random, shape: random.normal(size=shape) + 0.5,
    "positive": lambda random, shape: random.uniform(0.5, 2, size=shape),
    "spread": _spread,
    "sizes": _sizes,
    "smooth": _away_from_kinks,
    "ties": lambda random, shape: random.integers(-2, 3, size=shape).astype(float),
    "nan": _with_nan,
    "zeros": _with_empty_windows,
}
NOT_DIFFERENTIABLE = ("ties", "nan", "zeros")


def draw(wanted: Draw, random: Random) -> Array:
    """The array: int64 of kind "index", else float64."""
    if wanted.kind == "index":
        return random.integers(0, wanted.below, size=wanted.shape)
    return KINDS[wanted.kind](random, wanted.shape)


@dataclass(frozen=True)
class Setting:
    """The arrays of a call, None for one that is left out, and its options."""

    arrays: tuple[Draw | None, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """The number of spatial dimensions of the first array, 0 for vectors."""
        return max(len(self.shape) - 2, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        first = self.arrays[0]
        return first.shape if first else ()

    @property
    def kind(self) -> str:
        return self.arrays[0].kind if self.arrays[0] else "normal"

    @property
    def cotangent(self) -> Draw:
        """The kind of the gradient that comes back: of one sign where the values are, so that sums of many grow."""
        return Draw((), "positive" if self.kind == "positive" else "normal")

    @property
    def differentiable(self) -> bool:
        return self.kind not in NOT_DIFFERENTIABLE

    def __str__(self) -> str:
        arrays = ", ".join("x".join(map(str, one.shape)) if one else "None" for one in self.arrays)
        options = [f"{name}={_plain(value)}" for name, value in self.options.items()]
        return "; ".join([arrays, *options, *([] if self.kind == "normal" else [f"values {self.kind}"])])

    def with_examples(self, count: int) -> Setting:
        """The same with another number of examples in the first array."""
        first, *others = self.arrays
        assert first is not None
        return replace(self, arrays=(first._replace(shape=(count, *first.shape[1:])), *others))

    def random(self, seed: int, purpose: str) -> Random:
        """A stream of its own for every purpose, the same whatever else runs."""
        return np.random.default_rng([seed, zlib.crc32(f"{self} {purpose}".encode())])


def _plain(value: Any) -> str:
    return str(value.tolist() if isinstance(value, np.ndarray) else value).replace(" ", "")
