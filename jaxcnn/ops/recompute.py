"""Memory for time: what is inside a function is computed again when its gradient needs it, instead of being kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def recomputed(function: Callable[[Any, Any], tuple[Array, Any]]) -> Callable[[Any, Any], tuple[Array, Any]]:
    """The same function of two trees, whose gradient keeps these alone (Chen, Xu, Zhang and Guestrin 2016).

    `function(moved, fixed)` returns an array and a tree. Gradients flow from the array, which is not empty, to `moved`;
    nothing flows to `fixed` or from the tree. There is no forward mode.

    That it is computed again only when the gradient has come so far, and is not taken from before, must be said to XLA.
    On a CPU, where it forgets `jax.checkpoint`'s barriers and then finds that both are one, a branch says it: of a
    gradient that is no number, all numbers become none.
    """

    @jax.custom_vjp
    def run(moved, fixed):
        return function(moved, fixed)

    def forward(moved, fixed):
        return function(moved, fixed), (moved, fixed)

    def backward(saved, cotangents):
        moved, fixed = saved

        def again(moved, cotangent):
            _, back, _ = jax.vjp(lambda moved: function(moved, fixed), moved, has_aux=True)
            return back(cotangent)[0]

        cotangent = cotangents[0]
        if jax.default_backend() != "cpu":
            return again(*lax.optimization_barrier((moved, cotangent))), None
        first = cotangent.reshape(-1)[0]

        def no_numbers(moved, cotangent):
            return jax.tree.map(lambda array: jnp.full_like(array, jnp.nan), moved)

        return lax.cond(first == first, again, no_numbers, moved, cotangent), None

    run.defvjp(forward, backward)
    return run
