"""Normalizations and their gradients in closed form.

`<operation>_magnitude` and `<operation>_gradient_magnitude` are the same formulas with every term taken absolute:
what rounding is measured by. The variance enters them as itself, not as a sum of |x|^2: an error of the mean moves
sum (x - mean)^2 in second order only, because the deviations add up to zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .conv import Array


class _Batch(NamedTuple):
    """Statistics of the examples that count, by loops over examples; `shape` of each is that of one channel row."""

    weight: Array
    count: float
    mean: Array
    variance: Array
    absolute: Array  # the mean of |x|


def _statistics(x: Array, mask: Any) -> _Batch:
    keep = np.ones(len(x)) if mask is None else np.asarray(mask, np.float64)
    rows = [row.reshape(-1, x.shape[-1]) for row, k in zip(x, keep, strict=True) if k]
    count = sum(map(len, rows))
    mean = sum(row.sum(0) for row in rows) / count
    variance = sum(((row - mean) ** 2).sum(0) for row in rows) / count
    absolute = sum(np.abs(row).sum(0) for row in rows) / count
    return _Batch(keep.reshape(-1, *[1] * (x.ndim - 1)), count, mean, variance, absolute)  # type: ignore[arg-type]


def _scale(scale: Array | None, bias: Array) -> Array:
    return np.ones(len(bias)) if scale is None else scale


def batch_norm(
    x: Array, scale: Array | None, bias: Array, *, eps: float = 1e-5, mask: Any = None, unbiased: bool = True
) -> tuple[Array, Array, Array]:
    """Algorithm 1 of Ioffe and Szegedy 2015, with the mean and the variance that is averaged."""
    batch = _statistics(x, mask)
    y = (x - batch.mean) / np.sqrt(batch.variance + eps) * _scale(scale, bias) + bias
    averaged = batch.variance * batch.count / max(batch.count - 1, 1) if unbiased else batch.variance
    return y, batch.mean, averaged


def batch_norm_magnitude(x: Array, scale: Array | None, bias: Array, *, eps: float = 1e-5, mask=None, unbiased=True):
    batch = _statistics(x, mask)
    centered = np.abs(x) + batch.absolute + np.abs(x - batch.mean) / 2
    y = centered / np.sqrt(batch.variance + eps) * np.abs(_scale(scale, bias)) + np.abs(bias)
    _, _, averaged = batch_norm(x, scale, bias, eps=eps, mask=mask, unbiased=unbiased)
    return y, batch.absolute, averaged


def batch_norm_gradient(
    g: Array, x: Array, scale: Array | None, bias: Array, *, eps: float = 1e-5, mask: Any = None,
    unbiased: bool = True, magnitude: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    """dx = scale/std (g - (sum g + x^ sum g x^)/M), dscale = sum g x^, dbias = sum g."""
    batch, axes, sign = _statistics(x, mask), tuple(range(x.ndim - 1)), -1
    inverse, factor, normalized = 1 / np.sqrt(batch.variance + eps), _scale(scale, bias), x - batch.mean
    if magnitude:
        g, factor, sign = np.abs(g), np.abs(factor), 1
        normalized = np.abs(x) + batch.absolute + np.abs(normalized) / 2
    normalized = normalized * inverse
    dbias, dscale = g.sum(axes), (g * normalized).sum(axes)
    dx = factor * inverse * (g + sign * batch.weight * (dbias + normalized * dscale) / batch.count)
    return (dx, dbias) if scale is None else (dx, dscale, dbias)


def batch_norm_gradient_magnitude(*arrays: Any, **options: Any) -> tuple[Array, ...]:
    return batch_norm_gradient(*arrays, **options, magnitude=True)


def _transposed(x: Array) -> Array:
    """Layer normalization is batch normalization of the transposed matrix: rows are channels now."""
    return x.reshape(-1, x.shape[-1]).T


def _row_by_row(x: Array, eps: float, scale: Array | None, bias: Array | None) -> tuple[Array, Array, Array]:
    matrix = _transposed(x)
    mean, std = matrix.sum(0) / len(matrix), np.sqrt(((matrix - matrix.mean(0)) ** 2).sum(0) / len(matrix) + eps)
    normalized = ((matrix - mean) / std).T.reshape(x.shape)
    ones, zeros = np.ones(x.shape[-1]), np.zeros(x.shape[-1])
    return normalized, ones if scale is None else scale, zeros if bias is None else bias


def layer_norm(x: Array, scale: Array | None = None, bias: Array | None = None, *, eps: float = 1e-6) -> Array:
    """Each place of each example by the mean and variance of its own channels."""
    normalized, factor, shift = _row_by_row(x, eps, scale, bias)
    return normalized * factor + shift


def layer_norm_magnitude(x: Array, scale: Array | None = None, bias: Array | None = None, *, eps: float = 1e-6):
    _, factor, shift = _row_by_row(x, eps, scale, bias)
    ones = np.ones(x[..., 0].size)
    y, _, _ = batch_norm_magnitude(_transposed(x), ones, 0 * ones, eps=eps)
    return y.T.reshape(x.shape) * np.abs(factor) + np.abs(shift)


def layer_norm_gradient(
    g: Array, x: Array, scale: Array | None = None, bias: Array | None = None, *, eps: float = 1e-6,
    magnitude: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    normalized, factor, _ = _row_by_row(x, eps, scale, bias)
    ones = np.ones(x[..., 0].size)
    if magnitude:
        g, factor = np.abs(g), np.abs(factor)
        normalized = batch_norm_magnitude(_transposed(x), ones, 0 * ones, eps=eps)[0].T.reshape(x.shape)
    dx, _, _ = batch_norm_gradient(
        _transposed(g * factor), _transposed(x), ones, 0 * ones, eps=eps, magnitude=magnitude
    )
    sums = [(g * normalized).reshape(-1, x.shape[-1]).sum(0), g.reshape(-1, x.shape[-1]).sum(0)]
    given = [total for total, array in zip(sums, (scale, bias), strict=True) if array is not None]
    return (dx.T.reshape(x.shape), *given)


def layer_norm_gradient_magnitude(*arrays: Any, **options: Any) -> tuple[Array, ...]:
    return layer_norm_gradient(*arrays, **options, magnitude=True)


def normalize(
    x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array, *, eps: float = 1e-5, sign: int = -1
) -> Array:
    return (x + sign * mean) * _scale(scale, bias) / np.sqrt(variance + eps) + bias


def normalize_magnitude(x, mean, variance, scale, bias, *, eps=1e-5) -> Array:
    scale = None if scale is None else np.abs(scale)
    return normalize(np.abs(x), np.abs(mean), variance, scale, np.abs(bias), eps=eps, sign=1)


def normalize_gradient(
    g: Array, x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array, *, eps: float = 1e-5,
    sign: int = -1,
) -> tuple[Array, ...]:  # fmt: skip
    axes, inverse, factor = tuple(range(x.ndim - 1)), 1 / np.sqrt(variance + eps), _scale(scale, bias)
    over_places = (g * (x + sign * mean)).sum(axes)
    dmean, dvariance = sign * factor * inverse * g.sum(axes), sign * 0.5 * factor * inverse**3 * over_places
    dscale = () if scale is None else (over_places * inverse,)
    return (g * factor * inverse, dmean, dvariance, *dscale, g.sum(axes))


def normalize_gradient_magnitude(g, x, mean, variance, scale, bias, *, eps=1e-5) -> tuple[Array, ...]:
    g, x, mean, bias = map(np.abs, (g, x, mean, bias))
    return normalize_gradient(g, x, mean, variance, None if scale is None else np.abs(scale), bias, eps=eps, sign=1)


def running_average(old: Array, new: Array, *, momentum: float) -> Array:
    return momentum * old + (1 - momentum) * new


def running_average_gradient(g: Array, old: Array, new: Array, *, momentum: float) -> tuple[Array, Array]:
    return momentum * g, (1 - momentum) * g
