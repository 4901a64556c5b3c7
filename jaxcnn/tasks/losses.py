"""Losses and metrics: pure functions of logits and labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array


def cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0) -> Array:
    """-log p of the right class, in nats: logits (N, K) and integer labels (N,) give (N,).

    With smoothing s, the target is (1-s) on the right class plus s/K on every class (Szegedy et al. 2016, section 7).
    """
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing))


def binary_cross_entropy(logits: Array, labels: Array, label_smoothing: float = 0.0) -> Array:
    """The mean over the classes of -log p of "it is this one" or "it is not", in nats: (N, K) and (N,) give (N,).

    With smoothing s, the target is (1-s) for the right class plus s/K for every class (Wightman et al. 2021).
    """
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.sigmoid_binary_cross_entropy(logits, optax.smooth_labels(targets, label_smoothing)).mean(-1)


def divergence(wanted: Array, logits: Array) -> Array:
    """KL(p || q) of the probabilities p of the logits `wanted` and q of `logits`, in nats: twice (N, K) give (N,)."""
    log_p, log_q = jax.nn.log_softmax(wanted), jax.nn.log_softmax(logits)
    return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


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
