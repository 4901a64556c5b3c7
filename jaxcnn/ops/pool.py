"""Pooling, as comparisons and sums of strided slices.

XLA's `reduce_window` has a gradient (`select_and_scatter`) that is slow to run and slow to compile on CPU, and is
itself slower than slices but for a large padded image; slices have neither fault. On a CPU a C++ program walks over
the windows instead (`native/pool.cc`): a 3x3 maximum of 64 channels at 28x28, batch 128, with its gradient, takes 7 ms
there, not 22.

Max pooling sends the whole gradient to the first maximum of a window, in row-major order, as `lax` and PyTorch do;
average pooling gives every one of the Q places of a window 1/Q of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial, reduce
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops import native
from jaxcnn.ops.checks import image, wide
from jaxcnn.ops.linear import constant, linear
from jaxcnn.ops.manual import alike
from jaxcnn.ops.overlap import over_phases, overlaps, places, shifted, widen
from jaxcnn.ops.window import Padding, Size, Window, listed, pad_constant, per_dimension, seen_by, slide


def max_pool(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """The maximum over windows of (N, *spatial, C); padding counts as minus infinity, NaN as the greatest.

    `stride` defaults to the window; `padding` and `dilation` are those of `conv`. Returns (N, *output, C) with
    output = floor((W - D(K-1) - 1 + 2P)/S) + 1; `ceil_mode` rounds up instead, for windows that start inside. Raises
    ValueError where the window does not fit or holds nothing but padding.
    """
    return _max_pool(x, _placed("max_pool", x, window, stride, padding, dilation, ceil_mode))


def max_pool_with_indices(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:  # fmt: skip
    """`max_pool` and where each maximum stood first: int32, row by row over the spatial dimensions of x.

    These are the switches of a deconvnet (Zeiler and Fergus 2014), and the indices that PyTorch returns.
    """
    placed = _placed("max_pool_with_indices", x, window, stride, padding, dilation, ceil_mode)
    y, number = _first_maximum(x, placed)  # type: ignore[misc]
    number = number.astype(jnp.int32)
    index = jnp.zeros((), jnp.int32)
    for axis, line in enumerate(placed.dimensions):
        inside = math.prod(placed.window[axis + 1 :])
        step = number // inside % line.window
        shape = [-1 if dimension == axis else 1 for dimension in range(len(placed.sizes))]
        starts = line.seen()[:, 0].reshape(1, *shape, 1)
        index = index * line.size + jnp.asarray(starts, jnp.int32) + step * line.dilation
    return y, index


def max_unpool(x: Array, indices: Array, sizes: Sequence[int]) -> Array:
    """Put (N, *output, C) where `max_pool_with_indices` found it: (N, *sizes, C), zero elsewhere.

    Where windows overlap and share a place, their values add up: this is the transpose of reading at the indices.
    Raises ValueError unless x and the indices have one shape and `sizes` one size per spatial dimension.
    """
    image("max_unpool", x)
    sizes = per_dimension(sizes, x.ndim - 2, "max_unpool's size")
    if indices.shape != x.shape or not jnp.issubdtype(indices.dtype, jnp.integer):
        raise ValueError(
            f"max_unpool takes integer indices of x's shape {x.shape}, not {indices.dtype} {indices.shape}"
        )
    examples, channels = x.shape[0], x.shape[-1]
    flat, places = (array.reshape(examples, math.prod(x.shape[1:-1]), channels) for array in (x, indices))
    empty = jnp.zeros((examples, math.prod(sizes), channels), x.dtype)
    n, c = jnp.arange(examples)[:, None, None], jnp.arange(channels)
    return empty.at[n, places, c].add(flat).reshape(examples, *sizes, channels)


def avg_pool(
    x: Array, window: Size, stride: Size | None = None, *, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Array:  # fmt: skip
    """The mean over windows of (N, *spatial, C).

    The arguments are those of `max_pool`. With `count_include_pad` (PyTorch's default) padding counts in the divisor;
    without it (TensorFlow's rule) the divisor is the number of places inside x. What `ceil_mode` adds never counts.
    """
    placed = _placed("avg_pool", x, window, stride, padding, dilation, ceil_mode)
    counted = _placed("avg_pool", x, window, stride, padding, dilation, False).pairs
    counts = []
    for line, (_, after) in zip(placed.dimensions, counted, strict=True):
        at = line.seen()
        inside = (at < line.size + after) if count_include_pad else (at >= 0) & (at < line.size)
        counts.append(tuple(inside.sum(1).tolist()))
    return _mean_pool(x.astype(wide(x.dtype)), placed, tuple(counts)).astype(x.dtype)


def lp_pool(
    x: Array, window: Size, stride: Size | None = None, *, p: float = 2.0, padding: Padding = 0, dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    """The p-norm (sum of |x|^p)^(1/p) over windows of (N, *spatial, C); its gradient is 0 where the norm is.

    With p = infinity, the greatest |x|; its gradient goes to the first place that has it. The other arguments are those
    of `max_pool`. Raises ValueError unless p is a number of at least 1.
    """
    if not isinstance(p, Real) or isinstance(p, bool) or not p >= 1:
        raise ValueError(f"lp_pool needs p of at least 1, or infinity, not {p!r}")
    placed = _placed("lp_pool", x, window, stride, padding, dilation, ceil_mode)
    values, p = x.astype(wide(x.dtype)), float(p)
    size = values * lax.stop_gradient(jnp.sign(values))  # |x|, with slope 0 at 0
    if p == math.inf:
        return _max_pool(size, placed).astype(x.dtype)  # type: ignore[union-attr]
    if p > _LARGEST_POWER:
        return _by_greatest(size, placed, p).astype(x.dtype)
    return _root(_mean_pool(size**p, placed, tuple((1,) * out for out in placed.output)), p).astype(x.dtype)


_LARGEST_POWER = 4.0  # x^p of float32 stays within its range from |x| = 1e-9 to 4e9


def _by_greatest(size: Array, placed: Window, p: float) -> Array:
    """The p-norm, m (sum of (|x|/m)^p)^(1/p), m being a window's greatest |x|: no power is too large or all too small.

    m is a constant to the gradient: the norm does not depend on it.
    """
    greatest: Array = lax.stop_gradient(_max_pool(size, placed))  # type: ignore[assignment]
    greatest = jnp.where((greatest > 0) & jnp.isfinite(greatest), greatest, 1)
    padded = pad_constant(size, placed.pairs, 0)
    seen = (seen_by(padded, placed, place) / greatest for place in _places(placed.window))
    return greatest * _root(reduce(lax.add, (share**p for share in seen)), p)


def _root(total: Array, p: float) -> Array:
    empty = total == 0
    return jnp.where(empty, 0, jnp.where(empty, 1, total) ** (1 / p))


def global_avg_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The mean over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C) with `keepdims`."""
    image("global_avg_pool", x)
    return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=keepdims)


def global_max_pool(x: Array, *, keepdims: bool = False) -> Array:
    """The maximum over all places: (N, *spatial, C) -> (N, C), or (N, 1, ..., C); ties go to the first place."""
    image("global_max_pool", x)
    y = _first_along(x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]), 1)
    return y.reshape(x.shape[0], *[1] * (x.ndim - 2 if keepdims else 0), x.shape[-1])


def adaptive_avg_pool(x: Array, sizes: int | Sequence[int | None]) -> Array:
    """The mean over the bins of a grid of `sizes`: (N, *spatial, C) -> (N, *sizes, C).

    Bin i of o over W places reaches from floor(i W / o) to ceil((i+1) W / o), as in PyTorch; None keeps a dimension.
    """
    values = x.astype(wide(x.dtype))  # a mean of means, rounded once
    for axis, bins in _bins("adaptive_avg_pool", x, sizes):
        parts = [jnp.mean(values[(slice(None),) * axis + (slice(*bin),)], axis, keepdims=True) for bin in bins]
        values = jnp.concatenate(parts, axis)
    return values.astype(x.dtype)


def adaptive_max_pool(x: Array, sizes: int | Sequence[int | None]) -> Array:
    """The maximum over the bins of `adaptive_avg_pool`; ties go to the first place of a bin, row by row."""
    for axis, bins in reversed(_bins("adaptive_max_pool", x, sizes)):  # columns first: then the first row wins
        parts = [_first_along(x[(slice(None),) * axis + (slice(*bin),)], axis) for bin in bins]
        x = jnp.concatenate(parts, axis)
    return x


def _bins(operation, x, sizes):
    image(operation, x)
    wanted = listed(sizes) or (sizes,) * (x.ndim - 2)
    if len(wanted) == x.ndim - 2:
        wanted = tuple(n if size is None else size for n, size in zip(x.shape[1:-1], wanted, strict=True))
    wanted = per_dimension(wanted, x.ndim - 2, f"{operation}'s size")
    edges = lambda n, o: [(i * n // o, -(-(i + 1) * n // o)) for i in range(o)]  # noqa: E731
    return [(axis, edges(x.shape[axis], o)) for axis, o in enumerate(wanted, 1) if o != x.shape[axis]]


def _placed(operation, x, window, stride, padding, dilation, ceil_mode) -> Window:
    image(operation, x)
    placed = slide(operation, x.shape[1:-1], window, window if stride is None else stride, padding, dilation, ceil_mode)
    for line in placed.dimensions:
        at = line.seen()
        if not ((at >= 0) & (at < line.size)).any(1).all():
            raise ValueError(
                f"{operation} with padding {placed.pairs} has windows of {placed.window} that hold nothing but padding"
            )
    return placed


def _places(window):
    return itertools.product(*map(range, window))


def _mean_pool(x: Array, placed: Window, counts: tuple[tuple[int, ...], ...]) -> Array:
    """The sum of every window over the product of its `counts` in each dimension."""
    of = {"placed": placed, "counts": counts}
    if not native.takes(x):
        return _plain_mean(x, **of)
    return linear(partial(_mean_by_program, **of), partial(_spread_by_program, **of), [], [x])


def _plain_mean(x, placed, counts):
    padded = pad_constant(x, placed.pairs, 0)
    parts = (seen_by(padded, placed, place) for place in _places(placed.window))
    total = sum(parts, start=next(parts))
    divisor = reduce(np.multiply.outer, counts, np.ones((), int))
    divisor = divisor.flat[0] if (divisor == divisor.flat[0]).all() else divisor[None, ..., None]
    return total / jnp.asarray(divisor, total.dtype)


def _mean_by_program(x, placed, counts):
    of = {"placed": placed, "counts": counts}
    return native.computed(partial(native.mean, **of), partial(_plain_mean, **of), x)


def _spread_by_program(gradient, placed, counts):
    of = {"placed": placed, "counts": counts}
    return native.computed(partial(native.spread, **of), partial(_plain_spread, **of), gradient)


def _plain_spread(gradient, placed, counts):
    images = jnp.zeros((gradient.shape[0], *placed.sizes, gradient.shape[-1]), gradient.dtype)
    images, gradient = alike(images, gradient)
    return jax.linear_transpose(partial(_plain_mean, placed=placed, counts=counts), images)(gradient)[0]


def _first_along(x, axis):
    """The maximum along one axis, kept as one place; the gradient goes to the first."""
    return jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _first_maximum(x: Array, placed: Window) -> tuple[Array, Array]:
    """The maximum of every window and the number of the place where it stands first. NaN counts as the greatest."""
    plain = partial(_plain_first_maximum, placed=placed)
    if native.takes(x) and _few(placed):
        return native.computed(partial(native.first_maximum, placed=placed), plain, x)
    return plain(x)


def _plain_first_maximum(x, placed):
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    numbers = jnp.uint8 if _few(placed) else jnp.int32
    places = _places(placed.window)
    best = seen_by(padded, placed, next(places))
    where = jnp.broadcast_to(jnp.asarray(_first_inside(placed), numbers), best.shape)
    for number, place in enumerate(places, 1):
        value = seen_by(padded, placed, place)
        greater = ~(value <= best) & (best == best)  # or NaN, unless NaN came before
        best, where = jnp.where(greater, value, best), jnp.where(greater, numbers(number), where)
    return best, where


def _few(placed):
    """Whether the numbers of a window's places fit into uint8, beside two that stand for none."""
    return math.prod(placed.window) < 255


def _first_inside(placed):
    """The number of every window's first place that is not padding: (*output, 1). It counts where all are -inf."""
    number = np.zeros((), int)
    for line in placed.dimensions:
        number = number[..., None] * line.window + np.maximum(0, -(line.seen()[:, 0] // line.dilation))
    return number[..., None]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max_pool(x, placed):
    plain = partial(_plain_maximum, placed=placed)
    return native.computed(partial(native.maximum, placed=placed), plain, x) if native.takes(x) else plain(x)


def _plain_maximum(x, placed):
    if any(map(any, placed.pairs)) and math.prod(placed.stride) > 1:
        # slices of a padded image compile six times as slowly (0.15 s for 112x112x64), and run twice as slowly there
        one, pairs = (1,), ((0, 0), *placed.pairs, (0, 0))
        window, stride, dilation = (one + sizes + one for sizes in (placed.window, placed.stride, placed.dilation))
        return lax.reduce_window(
            x, np.array(-np.inf, x.dtype), lax.max, window, stride, pairs, window_dilation=dilation
        )
    padded = pad_constant(x, placed.pairs, -jnp.inf)
    return reduce(lax.max, (seen_by(padded, placed, place) for place in _places(placed.window)))


def _at_maximum(where, x, placed):
    """The value at one place of every window, whose number is known: (N, *output, C)."""
    padded = pad_constant(x, placed.pairs, 0)
    seen = (seen_by(padded, placed, place) for place in _places(placed.window))
    return reduce(lax.add, (jnp.where(where == number, one, 0) for number, one in enumerate(seen)))


def _to_maximum(where, gradient, placed):
    """The transpose of `_at_maximum`: every place gets the gradients of the windows whose maximum it is."""
    plain = partial(_plain_to_maximum, placed=placed)
    if native.takes(gradient) and _few(placed):
        return native.computed(partial(native.to_maximum, placed=placed), plain, gradient, where)
    return plain(gradient, where)


def _plain_to_maximum(gradient, where, placed):
    """Every place collects the gradient of the windows whose maximum it is: no scatter, one fused comparison."""
    nowhere = np.iinfo(where.dtype).max
    gradient, where = widen(gradient, placed, 0), widen(where, placed, nowhere)
    total = None
    for shift, numbers in overlaps(placed):
        mine = over_phases(np.where(numbers < 0, nowhere - 1, numbers)[..., None].astype(where.dtype), placed)
        share = jnp.where(shifted(where, placed, shift) == mine, shifted(gradient, placed, shift), 0)
        total = share if total is None else total + share
    assert total is not None
    return places(total, placed)


def _moving_maximum(placed, primals, tangents):
    y, where = _first_maximum(*primals, placed)  # type: ignore[misc]
    moved = linear(partial(_at_maximum, placed=placed), partial(_to_maximum, placed=placed), [where], tangents, y)
    return (y, where), (moved, constant(where))


@partial(_first_maximum.defjvp, symbolic_zeros=True)
def _(placed, primals, tangents):
    return _moving_maximum(placed, primals, tangents)


@_max_pool.defjvp
def _(placed, primals, tangents):
    (y, _), (moved, _) = _moving_maximum(placed, primals, tangents)
    return y, moved
