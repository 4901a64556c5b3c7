"""Which learning rate to begin with: the loss over rates that grow from step to step (Smith 2017)."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxcnn import optimizers
from jaxcnn.config import TrainConfig
from jaxcnn.data.batches import epoch_key
from jaxcnn.host.settings import require
from jaxcnn.layout import abstract
from jaxcnn.training.plan import prepare
from jaxcnn.training.run import Run

KEPT = 0.9  # of the running mean of the loss at each step
TOO_FAR = 4.0  # times the least loss: from here on it only gets worse


class Rates(NamedTuple):
    """The learning rate and the loss of each step, and the loss as a running mean over the steps before."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def best(self) -> float:
        """The rate at which the running mean was least."""
        return self.rates[min(range(len(self.smoothed)), key=self.smoothed.__getitem__)]


def find_rate(config: TrainConfig, steps: int = 200, low: float = 1e-6, high: float = 1.0) -> Rates:
    """Train with a rate that grows from `low` to `high` by the same factor at each of so many steps.

    It ends early where the loss is no number, or four times the least one. Nothing is written.

    Raises InputError: the config or the data cannot work, or the rates do not grow.
    """
    require(steps >= 10, f"steps must be at least 10, not {steps}")
    require(0 < low < high, f"the rates must grow from low above 0 to high, not from {low} to {high}")

    def rate(step: Any) -> Any:
        return low * (high / low) ** (step / (steps - 1))

    plan = prepare(replace(config, ema=0.0))
    params = abstract(plan.recipe.net, plan.facts.input)[0]
    parts = optimizers.paths.parts_of({path: params[path] for path in params if path not in plan.recipe.frozen})
    rising = optimizers.make(config.optimizer, plan.steps_per_epoch, config.epochs, rate=rate, parts=parts)
    run = Run(plan._replace(recipe=replace(plan.recipe, optimizer=rising)), Path())
    found, mean, before = Rates([], [], []), 0.0, 0.0
    batches = ((epoch, batch) for epoch in itertools.count() for batch in run.batches(epoch, 0))
    for step, (epoch, batch) in zip(range(steps), batches, strict=False):
        run.state, run.sums = run.steps.train(
            run.state, run.sums, batch, epoch_key(config.seed, epoch), run.plan.recipe_at(epoch)
        )
        sums, bad = jax.device_get((run.sums.sums, run.sums.bad_step))
        loss = (float(sums["loss"]) - before) / float(batch.mask.sum())
        if bad >= 0 or not math.isfinite(loss):
            break
        before = float(sums["loss"])
        mean = KEPT * mean + (1 - KEPT) * loss
        found.rates.append(rate(step))
        found.losses.append(loss)
        found.smoothed.append(mean / (1 - KEPT ** (step + 1)))
        if found.smoothed[-1] > TOO_FAR * min(found.smoothed):
            break
    require(found.rates, f"the first step, with a rate of {low}, gives a loss that is not finite: try a lower one")
    return found
