"""Losses and metrics: pure functions of logits and labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxcnn.layout import Params


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0) -> Array:
    """-log p of the right class, in nats: logits (N, K) and integer labels (N,) give (N,).

    With smoothing s, the target is (1-s) on the right class plus s/K on every class (Szegedy et al. 2016, section 7).
    """
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))


def masked_mean(values: Array, mask: Array) -> Array:
    """The mean of (N,) over the examples whose mask is 1."""
    return jnp.sum(jnp.where(mask > 0, values, 0)) / jnp.maximum(mask.sum(), 1)


def penalty(params: Params, l1: float, l2: float) -> Array:
    """l1 * sum |w| + l2/2 * sum w^2 over the kernels; biases and scales go free."""
    kernels = [layer["kernel"] for layer in params.values() if "kernel" in layer]
    total = jnp.zeros(())
    if l1:
        total += l1 * sum(jnp.abs(kernel).sum() for kernel in kernels)
    if l2:
        total += l2 / 2 * sum(jnp.square(kernel).sum() for kernel in kernels)
    return total


def in_top(logits: Array, labels: Array, k: int) -> Array:
    """Whether the right class is among the k most probable: (N, K) and (N,) give (N,) booleans.

    A class counts as above another when its logit is greater, or equal and of lower index, so that constant logits
    are right for k classes and not for all. Logits that are not numbers are never right.
    """
    right = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    earlier = jnp.arange(logits.shape[-1]) < labels[:, None]
    above = (logits > right) | ((logits == right) & earlier)
    return (above.sum(-1) < k) & jnp.isfinite(right[:, 0])


def confusion_matrix(logits: Array, labels: Array, mask: Array) -> Array:
    """Counts of (true class, predicted class) over the examples whose mask is 1: (K, K) integers."""
    classes = logits.shape[-1]
    counts = jnp.zeros((classes, classes), jnp.int32)
    return counts.at[labels, jnp.argmax(logits, axis=-1)].add(mask.astype(jnp.int32))
