"""From an `OptimizerConfig` to optax: the schedule, the update rule, and which parameters decay."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxcnn.config import OptimizerConfig
from jaxcnn.layout import Params


def schedule(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> optax.Schedule:
    """The learning rate as a function of the step, counted from 0."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    rest = max(1, steps_per_epoch * epochs - warmup)
    match config.schedule:
        case "constant":
            main = optax.constant_schedule(config.lr)
        case "cosine":
            main = optax.cosine_decay_schedule(config.lr, rest)
        case "step":
            falls: dict[int, float] = {}
            for epoch in config.step_epochs:
                step = round(epoch * steps_per_epoch) - warmup
                falls[step] = falls.get(step, 1.0) * config.step_factor
            main = optax.piecewise_constant_schedule(config.lr, falls)
    if not warmup:
        return main
    # step s of the warm-up takes (s+1)/warmup of the rate, so that the first step already learns
    rise = optax.linear_schedule(config.lr / warmup, config.lr, max(1, warmup - 1))
    return optax.join_schedules([rise, main], [warmup])


def kernels(params: Params) -> dict[str, dict[str, bool]]:
    """Which parameters weight decay applies to: the kernels."""
    return {path: {name: name == "kernel" for name in layer} for path, layer in params.items()}


def together(rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """`rule`, which treats every number alone, with all vectors of a tree as a single one.

    More than half of a network's arrays are vectors, biases and scales: soon computed, but each as long to compile as
    any.
    """

    def init(params: Any) -> Any:
        return rule.init(_vectors_joined(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        params = None if params is None else _vectors_joined(params)
        joined, state = rule.update(_vectors_joined(updates), state, params)
        return _vectors_parted(joined, updates), state  # type: ignore[arg-type]

    return optax.GradientTransformation(init, update)


def _vectors_joined(tree: Any) -> list[Array]:
    leaves = jax.tree.leaves(tree)
    vectors = [leaf for leaf in leaves if leaf.ndim == 1]
    return [leaf for leaf in leaves if leaf.ndim != 1] + ([jnp.concatenate(vectors)] if vectors else [])


def _vectors_parted(joined: list[Array], like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves if leaf.ndim == 1])
    vectors = iter(jnp.split(joined[-1], ends[:-1]) if len(ends) else [])
    others = iter(joined)
    return structure.unflatten([next(vectors if leaf.ndim == 1 else others) for leaf in leaves])


def make(config: OptimizerConfig, steps_per_epoch: int, epochs: int) -> optax.GradientTransformation:
    """The optax transformation: momentum or Adam's moments, then decoupled decay, then the learning rate."""
    if config.name == "sgd":
        direction = together(optax.trace(config.momentum, config.nesterov)) if config.momentum else optax.identity()
    else:
        direction = together(optax.scale_by_adam())
    decay = optax.add_decayed_weights(config.weight_decay, mask=kernels) if config.weight_decay else optax.identity()
    return optax.chain(direction, decay, optax.scale_by_learning_rate(schedule(config, steps_per_epoch, epochs)))
