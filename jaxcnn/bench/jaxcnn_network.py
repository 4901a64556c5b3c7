"""Training a network by this library: the very step that `jaxcnn train` runs, with its guard and its metrics."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn.bench.networks import LEARNING_RATE, Gradients, Problem, Trainer
from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import apply
from jaxcnn.layout import parameter_count
from jaxcnn.tasks.losses import cross_entropy
from jaxcnn.training.devices import compiled
from jaxcnn.training.steps import Recipe, TrainState, empty_sums, guarded_step

SCANNED = 4  # steps inside one scan


def _start(problem: Problem) -> tuple[Recipe, TrainState, Batch]:
    channels = problem.pixels.shape[-1]
    recipe = Recipe(problem.net, optax.adam(LEARNING_RATE), (problem.MEAN,) * channels, (problem.STD,) * channels)
    params, stats = jax.tree.map(jnp.array, tuple(problem.weights))
    state = TrainState(params, stats, recipe.optimizer.init(params), jnp.zeros((), jnp.int32))  # type: ignore[arg-type]
    count = len(problem.labels)
    batch = Batch(
        jnp.array(problem.pixels), jnp.array(problem.labels), jnp.ones(count), jnp.arange(count, dtype=jnp.int32)
    )
    return recipe, state, batch


def trainer(problem: Problem) -> Trainer:
    """The network in training, one call a step."""
    recipe, state, batch = _start(problem)
    train, key, sums, examples = compiled(recipe).train, jax.random.key(1), empty_sums(recipe), len(problem.labels)

    def step() -> float:
        nonlocal state
        state, seen = train(state, sums, batch, key)
        return float(seen.sums["loss"]) / examples

    return Trainer(step, parameter_count(state.params))


def scanning_trainer(problem: Problem) -> Trainer:
    """The network in training, one call `SCANNED` steps inside a `lax.scan`; the loss is the mean of theirs."""
    recipe, state, batch = _start(problem)
    batches, key, sums = jax.tree.map(lambda x: jnp.stack([x] * SCANNED), batch), jax.random.key(1), empty_sums(recipe)
    examples = SCANNED * len(problem.labels)

    @partial(jax.jit, donate_argnums=0)
    def several(state, sums, batches, key):
        def one(carry, batch):
            state, sums = carry
            return guarded_step(state, sums, batch, key, recipe=recipe), None

        return jax.lax.scan(one, (state, sums), batches)[0]

    def step() -> float:
        nonlocal state
        state, seen = several(state, sums, batches, key)
        return float(seen.sums["loss"]) / examples

    return Trainer(step, parameter_count(state.params))


def gradients(problem: Problem) -> Gradients:
    """The network's gradients, for the others to be compared with. It must have no dropout."""

    @jax.jit
    def compute(params, stats, images, labels):
        def loss(params):
            logits, _ = apply(problem.net, params, stats, images, train=True)
            return cross_entropy(logits, labels).mean(), logits

        return jax.value_and_grad(loss, has_aux=True)(params)

    (loss, logits), tree = compute(*problem.weights, problem.images, problem.labels)
    return Gradients(np.asarray(logits), float(loss), jax.device_get(tree))
