"""The jitted steps, over all devices that there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.data import Split
from jaxcnn.data.batches import Batch, gather
from jaxcnn.layout import Params
from jaxcnn.training.steps import Recipe, Sums, TrainState, eval_step, guarded_step, guarded_steps


class Compiled(NamedTuple):
    """The jitted steps, and the data on the device: one compilation for each recipe of training, one for evaluation."""

    train: Callable[..., tuple[TrainState, Sums]]  # by the recipe unless it is given another one
    eval: Callable[..., Any]  # the same
    fetch: Callable[[Split], Callable[..., Batch]]
    everywhere: NamedSharding
    lower: Callable[..., jax.stages.Lowered]  # `train` for such arguments, before it is compiled


def compiled(recipe: Recipe, teacher: tuple[Params, Params] | None = None) -> Compiled:
    """Jit the steps of a recipe over all devices: batches are split along the `data` axis, the rest is copied.

    `teacher` are the parameters and statistics of the recipe's teacher, if it has one.
    """
    mesh = Mesh(np.array(jax.devices()), ("data",))
    everywhere = NamedSharding(mesh, P())
    takes = [jax.jit(gather, out_shardings=NamedSharding(mesh, P(*before, "data"))) for before in ((), (None,))]

    def fetch(split: Split) -> Callable[..., Batch]:
        arrays = jax.device_put((split.images, split.labels), everywhere)
        return lambda ids, *others: takes[ids.ndim - 1](*arrays, ids, *others)

    step, steps = (
        jax.jit(each, static_argnames="recipe", donate_argnums=(0,), out_shardings=everywhere)
        for each in (guarded_step, guarded_steps)
    )
    lessons = {"teacher": jax.device_put(teacher, everywhere)} if teacher else {}

    def train(state: TrainState, sums: Sums, batch: Batch, key: Array, recipe: Recipe = recipe) -> tuple[Any, Any]:
        several = batch.ids.ndim == 2
        return (steps if several else step)(state, sums, batch, key, recipe=recipe, **lessons)

    def lower(
        state: TrainState, sums: Sums, batch: Batch, key: Array, recipe: Recipe = recipe
    ) -> jax.stages.Lowered:  # fmt: skip
        return step.lower(state, sums, batch, key, recipe=recipe, **lessons)

    measure = jax.jit(eval_step, static_argnames="recipe", out_shardings=everywhere)

    def evaluate(params: Params, batch_stats: Params, batch: Batch, recipe: Recipe = recipe) -> Any:
        return measure(params, batch_stats, batch, recipe=recipe)

    return Compiled(train, evaluate, fetch, everywhere, lower)
