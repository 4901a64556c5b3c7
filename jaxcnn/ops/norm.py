"""Normalization: by statistics of the batch or running ones, over the features of a place, over near channels."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.ops import native
from jaxcnn.ops.checks import beside, count, floating, wide
from jaxcnn.ops.linear import constant, is_zero, linear


def batch_norm(
    x: Array,
    scale: Array | None,
    bias: Array,
    eps: float = 1e-5,
    mask: Array | None = None,
    unbiased: bool = True,
    parts: int = 1,
) -> tuple[Array, Array, Array]:
    """Normalize (N, ..., C) by the batch's own mean and variance per channel (Ioffe and Szegedy 2015, algorithm 1).

    The statistics take one pass over x. They are sums of x - k and of its square, k being the mean of every example's
    first places, a 32nd of them all; so (mean - k)^2 is at most 32 times the variance, and the difference of the two
    sums keeps the variance to a relative error of some 32 roundings. It is never negative.

    Args:
      x: the batch; all axes but the last are averaged over. Statistics are in float32 at least.
      scale, bias: (C,); `scale=None` stands for ones.
      eps: added to the variance.
      mask: (N,) of ones and zeros: examples with zero are padding and do not count in the statistics, whatever they
        hold. Where none counts, and in a batch of no examples, mean and variance are 0.
      unbiased: whether the returned variance divides by count - 1 (PyTorch's rule) or by the count (TensorFlow's).
        The normalization always divides by the count.
      parts: into how many the batch is cut, one behind the other, each of which is normalized by itself: "ghost"
        batches (Hoffer, Hubara and Soudry 2017, algorithm 1), and what devices do that do not speak to each other. Mean
        and variance are then the means of the parts', of those in which an example counts.

    Returns:
      y of x's shape, and the mean and the variance, for running averages, both (C,). Gradients flow through y alone.

    Raises:
      ValueError: scale, bias or mask of another size, a batch that cannot be cut into equal parts.
    """
    floating("batch_norm", x)
    _per_channel("batch_norm", x, scale=scale, bias=bias)
    if mask is not None and mask.shape != x.shape[:1]:
        raise ValueError(f"batch_norm of {x.shape} takes a mask of ({x.shape[0]},), not {mask.shape}")
    counts = None if mask is None else jnp.asarray(mask).astype(bool)
    scale = jnp.ones_like(bias) if scale is None else scale
    if count("batch_norm", "parts", parts) > 1:
        return _in_parts(parts, eps, x, scale, bias, counts, unbiased)
    return _with_variance(eps, x, scale, bias, counts, unbiased)


def _with_variance(eps, x, scale, bias, counts, unbiased):
    y, mean, variance, count = _batch_norm(eps, x, scale, bias, counts)  # type: ignore[misc]
    return y, mean, variance * (count / jnp.maximum(count - 1, 1)) if unbiased else variance


def _in_parts(parts, eps, x, scale, bias, counts, unbiased):
    if x.shape[0] % parts:
        raise ValueError(f"batch_norm cannot cut a batch of {x.shape[0]} into {parts} equal parts")

    def of_part(x, counts):
        return _with_variance(eps, x, scale, bias, counts, unbiased)

    def cut(array):
        return array.reshape(parts, x.shape[0] // parts, *array.shape[1:])

    y, *statistics = jax.vmap(of_part)(cut(x), None if counts is None else cut(counts))
    seen = jnp.ones(parts, bool) if counts is None else cut(counts).any(1)  # an empty part's statistics are zeros
    mean, variance = (array.sum(0) / jnp.maximum(seen.sum(), 1).astype(array.dtype) for array in statistics)
    return y.reshape(x.shape), mean, variance


def normalize(x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array, eps: float = 1e-5) -> Array:
    """(x - mean) / sqrt(variance + eps) * scale + bias, per channel: of x's dtype, float32 where x holds integers."""
    _per_channel("normalize", x, mean=mean, variance=variance, scale=scale, bias=bias)
    mean, variance, bias = (array.astype(wide(x.dtype)) for array in (mean, variance, bias))
    factor = lax.rsqrt(variance + eps) * (1 if scale is None else scale.astype(mean.dtype))
    over = partial(lax.broadcast_in_dim, shape=x.shape, broadcast_dimensions=(x.ndim - 1,))
    centered = lax.sub(x.astype(mean.dtype), over(mean))  # lax's functions are traced in half the time of operators
    y = lax.add(lax.mul(centered, over(factor)), over(bias))
    return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else y


def running_average(old: Array, new: Array, momentum: float) -> Array:
    """momentum * old + (1 - momentum) * new: `momentum` weighs the *old* value (PyTorch's is one minus it).

    Computed in float32 at least, returned in the dtype of `old`, so that statistics keep theirs from step to step.
    """
    dtype = jnp.result_type(old)
    old, new = (jnp.asarray(array).astype(wide(dtype)) for array in (old, new))
    return (momentum * old + (1 - momentum) * new).astype(dtype)


def layer_norm(x: Array, scale: Array | None, bias: Array | None, *, eps: float = 1e-6) -> Array:
    """Normalize over the last axis (Ba, Kiros and Hinton 2016), then times `scale` and plus `bias`, of (C,) or None."""
    floating("layer_norm", x)
    _per_channel("layer_norm", x, scale=scale, bias=bias)
    values = x.astype(wide(x.dtype))
    centered = values - jnp.mean(values, -1, keepdims=True)
    y = centered * lax.rsqrt(jnp.mean(jnp.square(centered), -1, keepdims=True) + eps)
    y = y if scale is None else y * beside(scale.astype(y.dtype), y)
    return (y if bias is None else y + beside(bias.astype(y.dtype), y)).astype(x.dtype)


def local_response_norm(x: Array, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """x / (k + alpha/size * sum of the squares of `size` neighbouring channels)^beta.

    Krizhevsky et al. 2012, section 3.3; the paper does not divide alpha by `size`, PyTorch does, and so does this. The
    window of channel c reaches from c - size//2 to c + (size-1)//2; beyond the ends are zeros. Raises ValueError unless
    size >= 1.
    """
    floating("local_response_norm", x)
    size = count("local_response_norm", "size", size)
    values = x.astype(wide(x.dtype))
    around = ((0, 0),) * (x.ndim - 1)
    squares = jnp.pad(jnp.square(values), (*around, (size // 2, (size - 1) // 2)))
    total = squares[..., : x.shape[-1]]
    for shift in range(1, size):
        total += squares[..., shift : shift + x.shape[-1]]
    return (values * (k + alpha / size * total) ** -beta).astype(x.dtype)


def _per_channel(operation: str, x: Array, **arrays: Array | None) -> None:
    for name, array in arrays.items():
        if array is not None and array.shape != x.shape[-1:]:
            raise ValueError(f"{operation} of {x.shape} takes a {name} of ({x.shape[-1]},), not {array.shape}")


def _plain_moments(x, shift):
    from_shift = x - beside(shift, x)
    return jnp.stack([from_shift.sum(1), jnp.square(from_shift).sum(1)], 1)


def _plain_sums(gradient, x, shift):
    return jnp.stack([gradient.sum(1), (gradient * (x - beside(shift, x))).sum(1)], 1)


def _by_example(fast, plain, arrays, shift):
    """(2, N, C): one or two arrays' sums by the C++ program, or None where it does not apply."""
    x = arrays[-1]
    if x.ndim < 3 or str(x.dtype) not in native.DTYPES or not native.available():
        return None
    flat = (array.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]) for array in arrays)
    return native.computed(fast, plain, *flat, shift).swapaxes(0, 1)


def _total(x, counts):
    """The sum over all axes but the last; per example first, so that leaving some out costs nothing."""
    if counts is None:
        return x.sum(tuple(range(x.ndim - 1)))
    per_example = x.sum(tuple(range(1, x.ndim - 1)))
    return jnp.where(counts[:, None], per_example, 0).sum(0)


def _count(x, counts):
    places = math.prod(x.shape[1:-1])
    examples = x.shape[0] if counts is None else counts.sum()
    return jnp.maximum(jnp.asarray(examples * places, wide(x.dtype)), 1)


def _near(x, counts):
    """A value near each channel's: the mean of a 32nd of the places of every example that counts."""
    places = math.prod(x.shape[1:-1])
    first = x.reshape(x.shape[0], places, x.shape[-1])[:, : -(-places // 32)].astype(wide(x.dtype))
    return _total(first, counts) / _count(first, counts)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _batch_norm(eps, x, scale, bias, counts):
    return _batch_norm_forward(eps, x, scale, bias, counts)[0]


@partial(_batch_norm.defjvp, symbolic_zeros=True)
def _(eps, primals, tangents):
    (y, *statistics), known = _batch_norm_forward(eps, *primals)
    pairs = zip(primals[:3], tangents[:3], strict=True)
    moved = [jnp.zeros_like(array) if is_zero(along) else along for array, along in pairs]
    dy = linear(_batch_norm_moved, _batch_norm_backward, known, moved, y)
    return (y, *statistics), (dy, *map(constant, statistics))


@partial(jax.jit, static_argnums=0, inline=True)  # one trace for all layers of a shape
def _batch_norm_forward(eps, x, scale, bias, counts):
    values, factor, offset = (array.astype(wide(x.dtype)) for array in (x, scale, bias))
    count = _count(x, counts)
    share = 1 / count
    near = _near(x, counts)
    sums = _by_example(native.moments, _plain_moments, [values], near)
    if sums is None:
        sums = values - beside(near, x), jnp.square(values - beside(near, x))
    from_near, square = (_total(part, counts) * share for part in sums)
    mean = near + from_near
    variance = jnp.maximum(square - jnp.square(from_near), 0)
    inverse = lax.rsqrt(variance + eps)
    y = (values - beside(mean, x)) * beside(inverse * factor, x) + beside(offset, x)
    return (y.astype(x.dtype), mean, variance, count), (x, scale, mean, inverse, share, counts)


@partial(jax.jit, inline=True)
def _batch_norm_moved(x, scale, mean, inverse, share, counts, along_x, along_scale, along_bias):
    """How y moves: the mean goes along, and the deviation too."""
    along_x, along_scale, along_bias, scale = (
        array.astype(mean.dtype) for array in (along_x, along_scale, along_bias, scale)
    )
    over = partial(beside, x=x)
    normal = (x.astype(mean.dtype) - over(mean)) * over(inverse)
    along_mean = _total(along_x, counts) * share
    along_deviation = _total(along_x * normal, counts) * share
    moved = (along_x - over(along_mean) - normal * over(along_deviation)) * over(inverse * scale)
    moved += normal * over(along_scale) + over(along_bias)
    return moved.astype(x.dtype)


@partial(jax.jit, inline=True)
def _batch_norm_backward(x, scale, mean, inverse, share, counts, gradient):
    """The transpose of `_batch_norm_moved`."""
    gradient = gradient.astype(mean.dtype)
    values = x.astype(mean.dtype)
    sums = _by_example(native.sums, _plain_sums, [gradient, values], mean)
    if sums is None:
        # values - mean is computed for each of its readers: XLA would write it to memory if it saw that they are one
        sums = gradient, gradient * (values - beside(lax.optimization_barrier(mean), x))
    dbias, towards_mean = (_total(part, None) for part in sums)
    dscale = towards_mean * inverse
    shared, own = dbias * share, (values - beside(mean, x)) * beside(dscale * inverse * share, x)
    through_statistics = beside(shared, x) + own
    if counts is not None:
        through_statistics = jnp.where(counts.reshape(-1, *[1] * (x.ndim - 1)), through_statistics, 0)
    dx = (gradient - through_statistics) * beside(inverse * scale.astype(mean.dtype), x)
    return dx.astype(x.dtype), dscale.astype(scale.dtype), dbias.astype(scale.dtype)
