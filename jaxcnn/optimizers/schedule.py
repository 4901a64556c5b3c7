"""The learning rate over a run: frozen values, one for each way to let it fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from jax import Array

from jaxcnn.host.choices import Choice
from jaxcnn.host.settings import require


class Schedule(Choice):
    """How the learning rate falls, after a warm-up."""

    what: ClassVar[str] = "schedule"

    rises: ClassVar[bool] = False
    """Whether it begins low by itself, so that there can be no warm-up before it."""
    watches: ClassVar[bool] = False
    """Whether it looks at the losses of the epochs: then `scale` says by what the rate is multiplied."""

    def scale(self, losses: Sequence[float], lr: float) -> float:
        """By what the rate `lr` is multiplied after epochs of these losses."""
        return 1.0

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        """The learning rate as a function of the step, counted from the end of the warm-up.

        Args:
          lr: the highest rate.
          steps: those of the run after the warm-up, at least 1.
          per_epoch: steps of an epoch.
          before: steps of the warm-up.
        """
        raise NotImplementedError

    @property
    def longest(self) -> float:
        """The epochs that a run must have for the schedule to make sense."""
        return 0.0


@dataclass(frozen=True)
class Constant(Schedule):
    """The same rate throughout."""

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        return optax.constant_schedule(lr)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine, down to `end` after the last step (Loshchilov and Hutter 2017)."""

    end: float = 0.0
    """The rate where it ends."""

    def check(self) -> None:
        require(self.end >= 0, f"the cosine schedule's end must not be negative, not {self.end}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        return lambda step: _cosine(lr, self.end, jnp.minimum(step / steps, 1))


@dataclass(frozen=True)
class Restarts(Schedule):
    """Half a cosine again and again, each `longer` times as long as the one before (Loshchilov and Hutter 2017)."""

    epochs: float = 10.0
    """How long the first one is."""
    longer: float = 1.0
    """By what each is longer than the one before."""
    end: float = 0.0
    """The rate where each ends."""

    def check(self) -> None:
        require(self.epochs > 0, f"the restarts schedule's epochs must be positive, not {self.epochs}")
        require(self.longer >= 1, f"the restarts schedule's longer must be at least 1, not {self.longer}")
        require(self.end >= 0, f"the restarts schedule's end must not be negative, not {self.end}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        lengths, total = [max(1, round(self.epochs * per_epoch))], 0
        while (total := total + lengths[-1]) < steps:
            lengths.append(round(lengths[-1] * self.longer))
        begins = jnp.cumsum(jnp.array([0, *lengths[:-1]]))

        def rate(step: Any) -> Array:
            number = jnp.clip(jnp.searchsorted(begins, step, side="right") - 1, 0, len(lengths) - 1)
            return _cosine(lr, self.end, jnp.minimum((step - begins[number]) / jnp.array(lengths)[number], 1))

        return rate


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from `lr` / `begin_by` along half a cosine and down along another, as PyTorch's OneCycleLR (Smith 2018)."""

    rises = True

    rise: float = 0.3
    """The share of the run in which it rises."""
    begin_by: float = 25.0
    """It begins at lr / begin_by."""
    end_by: float = 1e4
    """It ends, in the last step, at lr / begin_by / end_by."""

    def check(self) -> None:
        require(0 < self.rise < 1, f"the one_cycle schedule's rise must be between 0 and 1, not {self.rise}")
        for name in "begin_by", "end_by":
            value = getattr(self, name)
            require(value >= 1, f"the one_cycle schedule's {name} must be at least 1, not {value}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        first, top = lr / self.begin_by, self.rise * steps - 1
        rest = max(steps - 1 - top, 1e-9)

        def rate(step: Any) -> Array:
            rising = _cosine(first, lr, jnp.clip(step / top if top > 0 else 1.0, 0, 1))
            falling = _cosine(lr, first / self.end_by, jnp.clip((step - top) / rest, 0, 1))
            return jnp.where(step <= top, rising, falling)

        return rate


@dataclass(frozen=True)
class Polynomial(Schedule):
    """(1 - share of the run) ** power, down to `end`: power 1 is a straight line."""

    power: float = 1.0
    """The power."""
    end: float = 0.0
    """The rate where it ends."""

    def check(self) -> None:
        require(self.power > 0, f"the polynomial schedule's power must be positive, not {self.power}")
        require(self.end >= 0, f"the polynomial schedule's end must not be negative, not {self.end}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        return optax.polynomial_schedule(lr, self.end, self.power, steps)


@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiplied by `factor` every `epochs`, a little at each step."""

    factor: float = 0.97
    """What it is multiplied by."""
    epochs: float = 1.0
    """In how many epochs."""

    def check(self) -> None:
        require(0 < self.factor <= 1, f"the exponential schedule's factor must be in (0, 1], not {self.factor}")
        require(self.epochs > 0, f"the exponential schedule's epochs must be positive, not {self.epochs}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        return lambda step: lr * self.factor ** (step / (self.epochs * per_epoch))


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplied by `factor` after each of `epochs`."""

    epochs: tuple[float, ...] = ()
    """After which epochs the rate falls."""
    factor: float = 0.1
    """What it is multiplied by."""

    def check(self) -> None:
        require(self.epochs, "the step schedule needs at least one of its epochs, for example step epochs=10,15")
        require(min(self.epochs) > 0, f"the step schedule's epochs must be positive, not {self.epochs}")
        require(self.factor > 0, f"the step schedule's factor must be positive, not {self.factor}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        falls: dict[int, float] = {}
        for epoch in self.epochs:
            step = round(epoch * per_epoch) - before
            falls[step] = falls.get(step, 1.0) * self.factor
        return optax.piecewise_constant_schedule(lr, falls)

    @property
    def longest(self) -> float:
        return max(self.epochs)


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplied by `factor` when `patience` epochs in a row were not better, as PyTorch's ReduceLROnPlateau.

    Epochs are judged by the loss of the validation images, or by that of training where there are none.
    """

    watches = True

    factor: float = 0.1
    """What it is multiplied by."""
    patience: int = 10
    """How many epochs in a row may be no better."""
    threshold: float = 1e-4
    """Better is a loss below the least one times 1 - threshold."""
    end: float = 0.0
    """The rate falls no lower."""

    def check(self) -> None:
        require(0 < self.factor < 1, f"the plateau schedule's factor must be between 0 and 1, not {self.factor}")
        require(self.patience >= 0, f"the plateau schedule's patience must not be negative, not {self.patience}")
        require(0 <= self.threshold < 1, f"the plateau schedule's threshold must be in [0, 1), not {self.threshold}")
        require(self.end >= 0, f"the plateau schedule's end must not be negative, not {self.end}")

    def rates(self, lr: float, steps: int, per_epoch: int, before: int) -> optax.Schedule:
        return optax.constant_schedule(lr)

    def scale(self, losses: Sequence[float], lr: float) -> float:
        scale, best, bad = 1.0, math.inf, 0
        for loss in losses:
            better = loss < best * (1 - self.threshold)
            best, bad = (loss, 0) if better else (best, bad + 1)
            if bad > self.patience:
                scale, bad = max(scale * self.factor, self.end / lr), 0
        return scale


def _cosine(begin: float, end: float, share: Array) -> Array:
    """From one rate to another along half a cosine."""
    return end + (begin - end) * (1 + jnp.cos(jnp.pi * share)) / 2


SCHEDULES = Schedule.table(
    {
        "constant": Constant,
        "cosine": Cosine,
        "step": Step,
        "polynomial": Polynomial,
        "exponential": Exponential,
        "restarts": Restarts,
        "one_cycle": OneCycle,
        "plateau": Plateau,
    }
)
