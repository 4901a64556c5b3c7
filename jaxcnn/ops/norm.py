"""Batch normalization (Ioffe and Szegedy 2015, algorithm 1) with its gradient in closed form."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax


def batch_norm(
    x: Array, scale: Array | None, bias: Array, eps: float = 1e-5, mask: Array | None = None
) -> tuple[Array, Array, Array]:
    """Normalize (N, ..., C) by the batch's own mean and variance per channel.

    Args:
      x: the batch; all axes but the last are averaged over.
      scale, bias: (C,); `scale=None` stands for ones.
      eps: added to the variance.
      mask: (N,) of ones and zeros: examples with zero are padding and do not count in the statistics.

    Returns:
      y of x's shape, and the mean and the unbiased variance (as PyTorch averages it), both (C,). Gradients flow
      through y alone.
    """
    weight = jnp.ones(len(x), x.dtype) if mask is None else mask.astype(x.dtype)
    scale = jnp.ones_like(bias) if scale is None else scale
    return _batch_norm(x, scale, bias, eps, weight.reshape(-1, *[1] * (x.ndim - 1)))


def normalize(x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array, eps: float = 1e-5) -> Array:
    """(x - mean) / sqrt(variance + eps) * scale + bias, per channel; as one product and one sum."""
    factor = lax.rsqrt(variance + eps) * (1 if scale is None else scale)
    return x * factor + (bias - mean * factor)


def _count(x, weight):
    return jnp.maximum(weight.sum() * (x.size / x.shape[0] / x.shape[-1]), 1)


@jax.custom_vjp
def _batch_norm(x, scale, bias, eps, weight):
    return _batch_norm_forward(x, scale, bias, eps, weight)[0]


def _batch_norm_forward(x, scale, bias, eps, weight):
    axes, count = tuple(range(x.ndim - 1)), _count(x, weight)
    mean = (x * weight).sum(axes) / count
    variance = (jnp.square(x - mean) * weight).sum(axes) / count
    unbiased = variance * (count / jnp.maximum(count - 1, 1))
    inverse = lax.rsqrt(variance + eps)
    return ((x - mean) * (inverse * scale) + bias, mean, unbiased), (x, scale, mean, inverse, weight)


def _batch_norm_backward(residuals, gradients):
    x, scale, mean, inverse, weight = residuals
    gradient, axes, count = gradients[0], tuple(range(x.ndim - 1)), _count(x, weight)
    normalized = (x - mean) * inverse
    dbias = gradient.sum(axes)
    dscale = (gradient * normalized).sum(axes)
    through_statistics = weight * (dbias + normalized * dscale) / count
    return scale * inverse * (gradient - through_statistics), dscale, dbias, None, None


_batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)
