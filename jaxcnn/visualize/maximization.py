"""Images that a network makes much of: gradient ascent in the space of pixels (Erhan et al. 2009)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxcnn.forward_pass import forward
from jaxcnn.layout import Params, Shape
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare, unchanged
from jaxcnn.visualize.scores import Numbers, Score, checked


class Maximized(NamedTuple):
    """Images (N, H, W, C) with pixels from 0 to 1, and their scores, (N,)."""

    images: Array
    values: Array


def maximize(
    net: Spec, params: Params, batch_stats: Params, score: Score | Numbers, shape: Shape, key: Array,
    steps: int = 200, ink: float = 0.0, *, prepare: Prepare = unchanged, rate: float = 0.05,
    start: Array | None = None, smooth: float = 0.0,
) -> Maximized:  # fmt: skip
    """Images of legal pixels, from 0 to 1, that maximize scores, minus `ink` times the sum of their pixels.

    As many images as the score has numbers are made at once: `Total(path, np.arange(64))` makes 64. A unit that an
    activation has silenced has no gradient: use the network of `paths.before_activation`.

    Args:
      net, params, batch_stats: a network and its arrays.
      score: what is maximized: a value of `scores`, or classes, whose logits it then is.
      shape: (H, W, C) of an image.
      key: draws the noise that each image begins with; an image does not depend on the others.
      steps: of Adam, whose every step ends with pixels from 0 to 1.
      ink: what a bright pixel costs: with 1 an image is black where nothing speaks for white.
      prepare: from pixels (N, H, W, C) to what the network takes.
      rate: the largest change of a pixel in a step, about.
      start: (H, W, C) or (N, H, W, C) pixels; None is gray with a little noise.
      smooth: what the mean squared difference of neighboring pixels costs.

    Returns:
      `Maximized(images, values)`: the values are the scores, without what ink and roughness cost.

    Raises:
      ValueError: a score that the network does not have, or less than one step.
    """
    if steps < 1:
        raise ValueError(f"an image is maximized in at least 1 step, not {steps}")
    score = checked(score, net, shape)
    count = max(jnp.size(number) for number in jax.tree.leaves(score))
    if start is None:
        noise = [jax.random.normal(jax.random.fold_in(key, number), tuple(shape)) for number in range(count)]
        start = 0.5 + 0.02 * jnp.stack(noise)
    pixels = jnp.broadcast_to(start, (count, *shape))
    return _ascend(net, params, batch_stats, score, pixels, steps, prepare, ink, rate, smooth)


@partial(jax.jit, static_argnums=(0, 6))
def _ascend(
    net: Spec, params: Params, batch_stats: Params, score: Score, pixels: Array, steps: int,
    prepare: Prepare, ink: float, rate: float, smooth: float,
) -> Maximized:  # fmt: skip
    def values(pixels: Array) -> Array:
        return score(forward(net, params, batch_stats, prepare(pixels)))

    def cost(pixels: Array) -> Array:
        rough = jnp.sum(jnp.diff(pixels, axis=1) ** 2) + jnp.sum(jnp.diff(pixels, axis=2) ** 2)
        return ink * jnp.sum(pixels) + smooth * rough - jnp.sum(values(pixels))

    rule = optax.adam(rate)

    def step(_: Array, state: tuple[Array, optax.OptState]) -> tuple[Array, optax.OptState]:
        pixels, moments = state
        updates, moments = rule.update(jax.grad(cost)(pixels), moments)
        return jnp.clip(jnp.asarray(optax.apply_updates(pixels, updates)), 0, 1), moments

    pixels, _ = jax.lax.fori_loop(0, steps, step, (pixels, rule.init(pixels)))
    return Maximized(pixels, values(pixels))
