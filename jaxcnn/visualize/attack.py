"""Small changes of an image that change what a network says of it, as files can hold them: in whole steps of 8 bits."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.forward_pass import apply
from jaxcnn.layout import Params
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare, unchanged
from jaxcnn.visualize.scores import Logit


class Adversarial(NamedTuple):
    """Changed images uint8 (N, H, W, C), what the network says of them, (N, K), and whether its gradients told nothing.

    `flat` (N,) marks images whose loss had no gradient anywhere: that they withstood says nothing of the network.
    """

    images: np.ndarray
    logits: np.ndarray
    flat: np.ndarray


def adversarial(
    net: Spec, params: Params, batch_stats: Params, images: np.ndarray, labels: np.ndarray,
    epsilon: int | float | np.ndarray, target: int | np.ndarray | None = None, steps: int = 10, *,
    prepare: Prepare = unchanged, key: Array | None = None,
) -> Adversarial:  # fmt: skip
    """Images that differ by at most epsilon from others, with a large loss: as they are after saving in 8 bits.

    Projected gradient descent (Madry et al. 2018) on the cross-entropy, in pixels; one step is the fast gradient sign
    method (Goodfellow et al. 2015), more are of epsilon / 4 each. The result is rounded to whole steps of 8 bits, and
    the network asked again.

    Args:
      net, params, batch_stats: a network and its arrays.
      images: uint8 (N, H, W, C).
      labels: (N,), the classes that the images are to be turned away from.
      epsilon: the largest change of a pixel: an integer counts steps of 8 bits, a float is a share of white; or an
        array (N,) of either. Less than half of a step changes nothing.
      target: the class, or (N,) classes, that the images are to be turned to.
      steps: how many.
      prepare: from pixels (N, H, W, C) between 0 and 1 to what the network takes.
      key: draws a start within epsilon; None starts from the image.

    Returns:
      `Adversarial(images, logits, flat)`.

    Raises:
      ValueError: images of another kind, an epsilon outside of 0 to 1, a class that does not exist, or no step.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are uint8 (N, H, W, C), not {images.dtype} of shape {images.shape}")
    pixels = jnp.asarray(images / 255, jax.dtypes.canonicalize_dtype(float))
    changed, flat = perturb(net, params, batch_stats, pixels, labels, epsilon, target, steps, prepare=prepare, key=key)
    rounded = np.rint(np.asarray(changed) * 255).astype(np.uint8)
    logits = _logits(net, params, batch_stats, jnp.asarray(rounded / 255, pixels.dtype), prepare)
    return Adversarial(rounded, np.asarray(logits), np.asarray(flat))


def perturb(
    net: Spec, params: Params, batch_stats: Params, pixels: Array, labels: np.ndarray,
    epsilon: int | float | np.ndarray, target: int | np.ndarray | None = None, steps: int = 10, *,
    prepare: Prepare = unchanged, key: Array | None = None, step_size: float | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """The same of pixels between 0 and 1, (N, H, W, C), which are not rounded: (pixels, flat)."""
    if steps < 1:
        raise ValueError(f"an attack takes at least 1 step, not {steps}")
    limit = _share(epsilon)
    shape = pixels.shape[1:]
    aims = labels if target is None else np.broadcast_to(target, (len(pixels),))
    Logit(np.asarray(aims)).check(net, shape)
    if len(np.asarray(aims)) != len(pixels):
        raise ValueError(f"{len(pixels)} images have as many labels, not {len(np.asarray(aims))}")
    size = limit * (1.0 if steps == 1 else 0.25) if step_size is None else step_size
    limits, sizes = (
        np.broadcast_to(np.asarray(each, pixels.dtype).reshape(-1, 1, 1, 1), (len(pixels), 1, 1, 1))
        for each in (limit, size)
    )
    start = pixels
    if key is not None:
        noise = jax.random.uniform(key, pixels.shape, pixels.dtype, -1, 1)
        start = jnp.clip(pixels + limits * noise, 0, 1)
    sign = 1 if target is None else -1
    return _descend(net, params, batch_stats, pixels, start, np.asarray(aims), limits, sizes, steps, sign, prepare)


def smallest_epsilon(
    net: Spec, params: Params, batch_stats: Params, images: np.ndarray, labels: np.ndarray, *, most: int = 16,
    steps: int = 10, prepare: Prepare = unchanged,
) -> np.ndarray:  # fmt: skip
    """How many steps of 8 bits a pixel must change at least until `adversarial` turns each image, (N,).

    Found by halving between 0, of an image that is wrong already, and `most`; `most + 1` is one that is not turned by
    so many either. All images are attacked together.
    """
    low, high = np.full(len(images), -1), np.full(len(images), most + 1)
    while (open_ := high - low > 1).any():
        middle = np.where(open_, (low + high) // 2, np.minimum(high, most))
        logits = adversarial(net, params, batch_stats, images, labels, middle, steps=steps, prepare=prepare).logits
        turned = logits.argmax(1) != labels
        low, high = np.where(open_ & ~turned, middle, low), np.where(open_ & turned, middle, high)
    return high


def _share(epsilon: int | float | np.ndarray) -> np.ndarray:
    given = np.asarray(epsilon)
    share = given / 255 if np.issubdtype(given.dtype, np.integer) else given
    if not ((share >= 0) & (share <= 1)).all():
        raise ValueError(f"epsilon is 0 to 255 steps of 8 bits, or a share from 0.0 to 1.0, not {epsilon}")
    return share


@partial(jax.jit, static_argnums=(0, 4))
def _logits(net: Spec, params: Params, batch_stats: Params, pixels: Array, prepare: Prepare) -> Array:
    return apply(net, params, batch_stats, prepare(pixels))[0]


@partial(jax.jit, static_argnums=(0, 9, 10))
def _descend(
    net: Spec, params: Params, batch_stats: Params, pixels: Array, start: Array, aims: Array, limits: Array,
    sizes: Array, steps: int, sign: int, prepare: Prepare,
) -> tuple[Array, Array]:  # fmt: skip
    def loss(changed: Array) -> Array:
        logits = apply(net, params, batch_stats, prepare(changed))[0]
        return -sign * jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(len(aims)), aims])

    def step(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        changed, flat = state
        gradient = jax.grad(loss)(changed)
        moved = changed + sizes * jnp.sign(gradient)
        moved = pixels + jnp.clip(moved - pixels, -limits, limits)
        return jnp.clip(moved, 0, 1), flat & (gradient == 0).all((1, 2, 3))

    return jax.lax.fori_loop(0, steps, step, (start, jnp.ones(len(pixels), bool)))
