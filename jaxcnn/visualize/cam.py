"""Class activation maps: which places of a layer speak for a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.forward_pass import forward
from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.paths import image_at, stages
from jaxcnn.visualize.scores import Numbers, Score, checked

Kind = Literal["gradcam", "gradcam++", "hirescam"]


def gradcam(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score | Numbers,
    paths: str | Sequence[str] = "auto", *, kind: Kind = "gradcam",
) -> dict[str, Array]:  # fmt: skip
    """Maps of a layer's features, weighted by what they mean for a score: from one backward pass for all layers.

    Args:
      net, params, batch_stats: a network and its arrays.
      x: (N, H, W, C), what the network takes.
      score: what is explained: a value of `scores`, or classes, whose logits it then is.
      paths: the layers; "auto" is the last one with features of more than one place, "stages" the last one of every
        size.
      kind: "gradcam" weighs each channel by the mean of its gradient (Selvaraju et al. 2017), "gradcam++" by alphas
        times its positive gradients (Chattopadhyay et al. 2018, eq. 19), "hirescam" each place by its own gradient
        (Draelos and Carin 2020).

    Returns:
      `{path: (N, h, w)}`, signed and in the units of the score: the published maps are their positive parts.

    Raises:
      ValueError: a path or a score that the network does not have, or a layer without a map.
    """
    shape = x.shape[1:]
    if kind not in _KINDS:
        raise ValueError(f"a class activation map is one of {', '.join(_KINDS)}, not {kind!r}")
    if isinstance(paths, str):
        found = stages(net, shape) if paths in ("auto", "stages") else [paths]
        paths = found[-1:] if paths == "auto" else found
    for path in paths:
        image_at(net, shape, path)
    maps = _maps(net, params, batch_stats, x, checked(score, net, shape), tuple(paths), kind)
    return {path: maps[path] for path in paths}  # in that order: jit sorts


@partial(jax.jit, static_argnums=(0, 5, 6))
def _maps(
    net: Spec, params: Params, batch_stats: Params, x: Array, score: Score, paths: tuple[str, ...], kind: Kind
) -> dict[str, Array]:
    def run(changes: dict[str, Array] | None) -> tuple[Array, dict[str, Array]]:
        edits = {path: partial(jnp.add, change) for path, change in (changes or {}).items()}
        result = forward(net, params, batch_stats, x, edits=edits)
        return jnp.sum(score(result)), {path: result.activations[path] for path in paths}

    shapes = jax.eval_shape(run, None)[1]
    nothing = {path: jnp.zeros(shape.shape, shape.dtype) for path, shape in shapes.items()}
    gradients, features = jax.grad(run, has_aux=True)(nothing)
    return {path: _KINDS[kind](features[path], gradients[path]) for path in paths}


def _gradcam(features: Array, gradient: Array) -> Array:
    return jnp.sum(features * gradient.mean((1, 2), keepdims=True), -1)


def _gradcam_plus_plus(features: Array, gradient: Array) -> Array:
    cubes = features.sum((1, 2), keepdims=True) * gradient**3
    under = 2 * gradient**2 + cubes
    divisor = jnp.where(under == 0, jnp.ones_like(under), under)
    alphas = jnp.where(under == 0, jnp.zeros_like(under), gradient**2 / divisor)
    weights = jnp.sum(alphas * jnp.maximum(gradient, 0), (1, 2), keepdims=True)
    return jnp.sum(features * weights, -1)


def _hirescam(features: Array, gradient: Array) -> Array:
    return jnp.sum(features * gradient, -1)


_KINDS: dict[str, Callable[[Array, Array], Array]] = {
    "gradcam": _gradcam, "gradcam++": _gradcam_plus_plus, "hirescam": _hirescam,
}  # fmt: skip


@partial(jax.jit, static_argnums=1)
def enlarge(maps: Array, size: tuple[int, int]) -> Array:
    """Maps (N, h, w) at the size of the image, by linear interpolation between the centers of their places."""
    return jax.image.resize(maps, (len(maps), *size), "bilinear", antialias=False)
