"""Explanations that are gradients of a score with respect to the image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn import rewrite
from jaxcnn.forward_pass import forward
from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import at_once, shared_out
from jaxcnn.visualize.paths import rewire
from jaxcnn.visualize.scores import Numbers, Score, checked, repeated

MOST = 3200  # steps that are taken to come below a tolerance


class Integrated(NamedTuple):
    """Integrated gradients (N, H, W, C), and what they lack of the difference of the scores, (N,), after so many steps.

    `steps` is one number, or (N,) where each image has taken its own.
    """

    attributions: Array
    residual: Array
    steps: int | np.ndarray


def saliency(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score | Numbers) -> Array:
    """The gradient of each image's score with respect to it, (N, H, W, C) (Simonyan et al. 2013).

    Args:
      net, params, batch_stats: a network and its arrays.
      x: (N, H, W, C), what the network takes.
      score: what is explained: a value of `scores`, or classes, whose logits it then is.

    Raises:
      ValueError: a score that the network does not have.
    """
    return _gradient(net, params, batch_stats, x, checked(score, net, x.shape[1:]), False)


def rectified(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score | Numbers, rule: str, *, scaled: bool = False
) -> Array:
    """The same with rectifiers that send back what a rule says, "guided" or "deconvnet".

    `scaled` starts from the score instead of from 1: as a deconvnet starts from the activation of its unit. Only what
    stands before the unit that is scored is rewired. Raises ValueError too where that has another activation than relu.
    """
    score = checked(score, net, x.shape[1:])
    before = rewrite.cut(net, score.path) if score.path else net
    return _gradient(rewire(before, rule), params, batch_stats, x, score, scaled)


def integrated_gradients(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score | Numbers, *, baseline: Array | float = 0.0,
    steps: int = 50, tolerance: float | None = None,
) -> Integrated:  # fmt: skip
    """The gradients along the straight line from a baseline to the image, times their difference (Sundararajan 2017).

    They sum up to the difference of the two scores, but for the residual: the line is divided into `steps` equal parts
    and the gradient taken in the middle of each. Between the bends of a network of rectifiers the gradient is constant,
    so that no rule of higher order does better.

    Args:
      net, params, batch_stats, x, score: as for `saliency`.
      baseline: what an image without evidence is, in the network's units: a number or an array that broadcasts to x.
      steps: how many gradients are taken.
      tolerance: the steps are doubled, up to MOST, until the residual of every image is at most this share of the
        difference of its scores; None takes what comes.

    Returns:
      `Integrated(attributions, residual, steps)`; the residual is the difference of the scores minus the sum, (N,). Of
      each image they are those of the number of steps, of all that were tried, with the smallest residual until it was
      below the tolerance.

    Raises:
      ValueError: a score that the network does not have, less than one step, or a tolerance that is not above 0.
    """
    if steps < 1:
        raise ValueError(f"integrated gradients take at least 1 step, not {steps}")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"a tolerance is a share above 0, not {tolerance}")
    score = checked(score, net, x.shape[1:])

    def summed(steps: int) -> Integrated:
        together = shared_out(steps, at_once(x.shape[1:]) // max(1, len(x)))
        attributions, residual = _integrated(net, params, batch_stats, x, score, baseline, steps, together)
        return Integrated(attributions, residual, steps)

    found = summed(steps)
    return found if tolerance is None else _refined(found, summed, tolerance)


def _refined(found: Integrated, summed: Callable[[int], Integrated], tolerance: float) -> Integrated:
    attributions, residual = np.array(found.attributions), np.array(found.residual)
    taken = np.full(len(residual), found.steps)
    difference = np.abs(attributions.reshape(len(residual), -1).sum(1) + residual)
    steps = int(found.steps)
    while (open_ := np.abs(residual) > tolerance * difference).any() and 2 * steps <= MOST:
        steps *= 2
        finer = summed(steps)
        better = open_ & (np.abs(finer.residual) < np.abs(residual))
        attributions[better], residual[better] = np.asarray(finer.attributions)[better], finer.residual[better]
        taken[better] = steps
    return Integrated(jnp.asarray(attributions), jnp.asarray(residual), taken)


@partial(jax.jit, static_argnums=0)
def score_of(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score) -> Array:
    """The score of every image, (N,)."""
    return score(forward(net, params, batch_stats, x))


@partial(jax.jit, static_argnums=(0, 5))
def _gradient(net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, scaled: bool) -> Array:
    def total(x: Array) -> tuple[Array, Array]:
        values = score(forward(net, params, batch_stats, x))
        return jnp.sum(values), values

    gradient, values = jax.grad(total, has_aux=True)(x)
    return gradient * values.reshape(-1, *(1,) * (x.ndim - 1)) if scaled else gradient


@partial(jax.jit, static_argnums=(0, 6, 7))
def _integrated(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, baseline: Array | float, steps: int,
    together: int,
) -> tuple[Array, Array]:  # fmt: skip
    start = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)

    tiled = repeated(score, together)

    def add(total: Array, numbers: Array) -> tuple[Array, None]:
        shares = ((numbers.astype(x.dtype) + 0.5) / steps).reshape(-1, *(1,) * x.ndim)
        points = (start + shares * (x - start)).reshape(-1, *x.shape[1:])  # as one batch
        gradients = _gradient(net, params, batch_stats, points, tiled, False).reshape(together, *x.shape)
        counted = (numbers < steps).reshape(-1, *(1,) * x.ndim)  # the last ones may only fill up their group
        return total + jnp.sum(jnp.where(counted, gradients, 0), 0), None

    groups = jnp.arange(-(-steps // together) * together).reshape(-1, together)
    total, _ = jax.lax.scan(add, jnp.zeros_like(x), groups)
    attributions = (x - start) * (total / steps)
    both = score(forward(net, params, batch_stats, x)) - score(forward(net, params, batch_stats, start))
    return attributions, both - attributions.reshape(len(x), -1).sum(1)
