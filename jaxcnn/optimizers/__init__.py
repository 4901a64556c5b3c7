"""How parameters are updated: rules and schedules as frozen values, put together with optax.

A new rule is a dataclass in a file and a row in `RULES`; a new schedule a dataclass and a row in `SCHEDULES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import optax

from jaxcnn.layout import Params
from jaxcnn.optimizers import paths
from jaxcnn.optimizers.adam import LAMB, Adam, AdamW, Lion, RMSprop
from jaxcnn.optimizers.config import OptimizerConfig
from jaxcnn.optimizers.muon import Muon
from jaxcnn.optimizers.paths import kernels
from jaxcnn.optimizers.rule import Rule
from jaxcnn.optimizers.schedule import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Plateau,
    Polynomial,
    Restarts,
    Schedule,
    Step,
)
from jaxcnn.optimizers.sgd import LARS, SGD

RULES = Rule.table(
    {
        "sgd": SGD,
        "adam": Adam,
        "adamw": AdamW,
        "rmsprop": RMSprop,
        "lion": Lion,
        "lars": LARS,
        "lamb": LAMB,
        "muon": Muon,
    }
)


def learning_rate(config: OptimizerConfig, steps_per_epoch: int, epochs: int, begin: int = 0) -> optax.Schedule:
    """The learning rate as a function of the step, counted from 0; its schedule is for the steps from `begin` on."""
    if begin:
        anew = _learning_rate(config, steps_per_epoch, steps_per_epoch * epochs - begin)
        return lambda step: anew(step - begin)
    return _learning_rate(config, steps_per_epoch, steps_per_epoch * epochs)


def _learning_rate(config: OptimizerConfig, steps_per_epoch: int, steps: int) -> optax.Schedule:
    warmup = round(config.warmup_epochs * steps_per_epoch)
    rest = max(1, steps - warmup)
    main = config.schedule.rates(config.lr, rest, steps_per_epoch, warmup)
    if not warmup:
        return main
    # step s of the warm-up takes (s+1)/warmup of the rate, so that the first step already learns
    rise = optax.linear_schedule(config.lr / warmup, config.lr, max(1, warmup - 1))
    return optax.join_schedules([rise, main], [warmup])


def check(config: OptimizerConfig, params: Params) -> None:
    """Raise ValueError where patterns of paths do not fit the parameters that are trained."""
    for name in "rates", "decays", "thaw":
        if patterns := getattr(config, name):
            try:
                paths.factors(patterns, params)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None


def make(
    config: OptimizerConfig, steps_per_epoch: int, epochs: int, schedule_from: int = 0,
    rate: optax.Schedule | None = None, parts: Sequence[str] = (),
) -> optax.GradientTransformation:  # fmt: skip
    """The optax transformation: clipping, the rule's direction with its decay, then the learning rate.

    The rate's schedule is for the steps from `schedule_from` on; `rate` is another one than the config's.
    `parts` are those of the network (`paths.parts_of`), which a `layer_decay` counts.
    """
    rate = rate or learning_rate(config, steps_per_epoch, epochs, schedule_from)
    steps = [
        optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else None,
        optax.clip(config.clip_value) if config.clip_value else None,
        config.rule.direction(_decay(config)),
        paths.scaled(partial(paths.factors, config.rates)) if config.rates else None,
        paths.scaled(partial(paths.by_depth, config.layer_decay, tuple(parts))) if config.layer_decay < 1 else None,
        optax.scale_by_learning_rate(rate),
    ]
    if config.schedule.watches:
        steps.append(paths.scaled_from_outside())
    if config.thaw:
        begins = {pattern: round(epoch * steps_per_epoch) for pattern, epoch in config.thaw.items()}
        steps.append(paths.thawed(partial(paths.factors, begins)))
    return optax.chain(*(step for step in steps if step))


def _decay(config: OptimizerConfig) -> optax.GradientTransformation:
    if not config.rule.decay:
        return optax.identity()
    if config.decays:
        return paths.decayed(config.rule.decay, partial(paths.factors, config.decays))
    return optax.add_decayed_weights(config.rule.decay, mask=kernels)


__all__ = [
    "LAMB", "LARS", "RULES", "SCHEDULES", "SGD", "Adam", "AdamW", "Constant", "Cosine", "Exponential", "Lion",
    "Muon", "OneCycle", "OptimizerConfig", "Plateau", "Polynomial", "RMSprop", "Restarts", "Rule", "Schedule",
    "Step", "check", "kernels", "learning_rate", "make",
]  # fmt: skip
