"""What is explained: one number of every image, as a value.

A score is a function from a forward pass to (N,) numbers. Its numbers may be arrays (N,), one for each image, and are
traced: another class needs no other program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.tree_util import register_dataclass

from jaxcnn.forward_pass import Forward
from jaxcnn.layout import Shape, times
from jaxcnn.spec import Spec
from jaxcnn.visualize.paths import output_at, place_at

Numbers = int | Sequence[int] | np.ndarray | Array


def _fixed(default: Any = None) -> Any:
    return field(default=default, metadata={"static": True})


class Score:
    """The base of all scores."""

    path: ClassVar[str] | str = ""

    def __call__(self, run: Forward) -> Array:
        """The score of every image of a forward pass, (N,)."""
        raise NotImplementedError

    def check(self, net: Spec, shape: Shape) -> None:
        """Raise ValueError where the network has no such score."""
        raise NotImplementedError

    def text(self, classes: Sequence[str] = ()) -> str:
        """The score in words."""
        raise NotImplementedError


@register_dataclass
@dataclass(frozen=True)
class Logit(Score):
    """The network's output for a class, before softmax."""

    classes: Numbers

    def __call__(self, run: Forward) -> Array:
        return _chosen(run.output, self.classes)

    def check(self, net: Spec, shape: Shape) -> None:
        _check_classes(net, shape, self.classes)

    def text(self, classes: Sequence[str] = ()) -> str:
        return f"logit of {_name(self.classes, classes)}"


@register_dataclass
@dataclass(frozen=True)
class LogProbability(Logit):
    """The logarithm of the softmax probability of a class, in nats."""

    def __call__(self, run: Forward) -> Array:
        return _chosen(jax.nn.log_softmax(run.output), self.classes)

    def text(self, classes: Sequence[str] = ()) -> str:
        return f"log-probability of {_name(self.classes, classes)}"


@register_dataclass
@dataclass(frozen=True)
class Probability(Logit):
    """The softmax probability of a class. Its gradient vanishes as it comes near 1."""

    def __call__(self, run: Forward) -> Array:
        return _chosen(jax.nn.softmax(run.output), self.classes)

    def text(self, classes: Sequence[str] = ()) -> str:
        return f"probability of {_name(self.classes, classes)}"


@register_dataclass
@dataclass(frozen=True)
class Margin(Score):
    """How far the logit of a class stands above that of another."""

    classes: Numbers
    others: Numbers

    def __call__(self, run: Forward) -> Array:
        return _chosen(run.output, self.classes) - _chosen(run.output, self.others)

    def check(self, net: Spec, shape: Shape) -> None:
        _check_classes(net, shape, self.classes)
        _check_classes(net, shape, self.others)

    def text(self, classes: Sequence[str] = ()) -> str:
        return f"logit of {_name(self.classes, classes)} minus that of {_name(self.others, classes)}"


@register_dataclass
@dataclass(frozen=True)
class Unit(Score):
    """The activation at a path of a channel at a place, (row, column), numbers or arrays (N,); () of a vector."""

    path: str = _fixed("")
    channels: Numbers = 0
    place: tuple[Any, ...] = ()

    def __call__(self, run: Forward) -> Array:
        values = run.activations[self.path]
        return values[(jnp.arange(len(values)), *map(jnp.asarray, self.place), jnp.asarray(self.channels))]

    def check(self, net: Spec, shape: Shape) -> None:
        *sizes, channels = place_at(net, shape, self.path).shape
        _check_numbers(self.channels, channels, "channel", f" of layer {self.path!r}")
        if len(self.place) != len(sizes):
            raise ValueError(f"a place in layer {self.path!r} is {len(sizes)} numbers, not {len(self.place)}")
        for at, size in zip(self.place, sizes, strict=True):
            _check_numbers(at, size, "place", f" along a side of layer {self.path!r}")

    def text(self, classes: Sequence[str] = ()) -> str:
        return f"{self.path}[{', '.join(map(_number, (*self.place, self.channels)))}]"


@register_dataclass
@dataclass(frozen=True)
class Total(Score):
    """The sum over its map of a channel at a path, with `power` 2 of the squares: its energy."""

    path: str = _fixed("")
    channels: Numbers = 0
    power: int = _fixed(1)

    def __call__(self, run: Forward) -> Array:
        values = run.activations[self.path]
        totals = jnp.sum(values**self.power, tuple(range(1, values.ndim - 1)))
        return _chosen(totals, self.channels)

    def check(self, net: Spec, shape: Shape) -> None:
        _check_numbers(self.channels, place_at(net, shape, self.path).shape[-1], "channel", f" of layer {self.path!r}")

    def text(self, classes: Sequence[str] = ()) -> str:
        what = "sum" if self.power == 1 else "energy" if self.power == 2 else f"sum of powers {self.power}"
        return f"{what} of {self.path}[{_number(self.channels)}]"


def as_score(score: Score | Numbers) -> Score:
    """A score, which for numbers is the logit of the classes of these numbers."""
    return score if isinstance(score, Score) else Logit(score)


def checked(score: Score | Numbers, net: Spec, shape: Shape) -> Score:
    """A score, as `as_score`. Raises ValueError where the network, over images of `shape`, has none such."""
    score = as_score(score)
    score.check(net, shape)
    return score


def repeated(score: Score, times: int) -> Score:
    """The score of images that stand one behind the other so many times: numbers of each image are repeated."""
    return jax.tree.map(lambda numbers: jnp.tile(numbers, times) if jnp.ndim(numbers) else numbers, score)


def _chosen(values: Array, numbers: Numbers) -> Array:
    """Of (N, K) the one of each row, the same or its own."""
    return values[jnp.arange(len(values)), jnp.asarray(numbers)]


def _check_classes(net: Spec, shape: Shape, numbers: Numbers) -> None:
    output = output_at(net, shape)
    if len(output) != 1:
        raise ValueError(f"a class is explained of a network whose output is a vector, not {times(output)}")
    _check_numbers(numbers, output[0], "class")


def _check_numbers(numbers: Numbers, count: int, what: str, of: str = "") -> None:
    if isinstance(numbers, Tracer):
        return
    given = np.asarray(numbers)
    if not np.issubdtype(given.dtype, np.integer) or given.ndim > 1:
        raise ValueError(f"a {what} is a whole number, or one for each image, not {numbers!r}")
    if given.size and not (given.min() >= 0 and given.max() < count):
        wrong = given.max() if given.min() >= 0 else given.min()
        raise ValueError(f"there is no {what} {wrong}{of}: there are 0 to {count - 1}")


def _name(numbers: Numbers, classes: Sequence[str]) -> str:
    found: list[int] = list(dict.fromkeys(np.ravel(np.asarray(numbers)).tolist()))
    named = [classes[number] if classes else f"class {number}" for number in found]
    return ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")


def _number(numbers: Any) -> str:
    return str(numbers) if np.ndim(numbers) == 0 else "each"
