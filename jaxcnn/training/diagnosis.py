"""Where numbers that are not finite come from."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.data.batches import Batch
from jaxcnn.layout import Params, walk
from jaxcnn.training.steps import Recipe, TrainState, divided, dropout_key, network, objective, training_inputs


@jax.jit
def all_finite(tree: Any) -> Array:
    """Whether every number in a tree of arrays is finite."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()


def first_not_finite(recipe: Recipe, state: TrainState, batch: Batch, key: Array) -> str:
    """Where in a training step a number that is not finite appears first: parameters, activations, loss, gradients."""

    @jax.jit
    def finite(state: TrainState) -> dict[str, dict[str, Array]]:
        images, mixed = training_inputs(recipe, batch, key)
        rng, counted = dropout_key(key, state.step), batch.mask.sum()
        run = network(recipe, state.params, state.batch_stats, images, train=True, rng=rng, mask=batch.mask)
        trained, frozen = divided(recipe, state.params)

        def total(params: Params) -> Array:
            return objective(recipe, frozen | params, state.batch_stats, images, mixed, rng, counted)[0]

        loss, gradients = jax.value_and_grad(total)(trained)
        return {
            name: {path: all_finite(tree) for path, tree in trees.items()}
            for name, trees in {
                "parameters": state.params,
                "running statistics": state.batch_stats,
                "output": run.activations,
                "loss": {"": loss},
                "gradient": gradients,
            }.items()
        }

    flags = jax.device_get(finite(state))
    order = [row.path for row in walk(recipe.net, batch.images.shape[1:])]
    for name in "parameters", "running statistics", "output":
        for path in order:
            if not flags[name].get(path, True):
                return f"the {name} of layer {path!r}"
    if not flags["loss"][""]:
        return "the loss"
    for path in reversed(order):  # the last layer's gradient is computed first
        if not flags["gradient"].get(path, True):
            return f"the gradient of layer {path!r}"
    return "the update"
