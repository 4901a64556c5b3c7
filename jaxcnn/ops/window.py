"""Where a sliding window stands: strides, paddings and output sizes, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

Size = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]
Pairs = tuple[tuple[int, int], ...]

PADDINGS = ("valid", "half", "same", "full", "causal")
_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def per_dimension(value: Size, dimensions: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One integer for every spatial dimension: an int is repeated, a sequence is checked."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * dimensions
    if len(values) != dimensions or not all(isinstance(v, int) and v >= least for v in values):
        raise ValueError(f"{name} must be an integer of at least {least}, or {dimensions} of them, not {value!r}")
    return values


def extent(window: int, dilation: int) -> int:
    """How many places a dilated window spans: D(K-1)+1."""
    return dilation * (window - 1) + 1


def padding_pairs(
    padding: Padding,
    sizes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Pairs:
    """The places added (before, after) in every spatial dimension.

    `padding` is an int for all sides, an int per dimension, a pair per dimension, or one of
    "valid" (none), "half" ((extent-1)//2 on both sides, as PyTorch networks write it; keeps the size for odd
    windows and stride 1), "same" (TensorFlow's: the output has ceil(size/stride) places, an odd total puts the extra
    place last), "full" (extent-1 on both sides), "causal" (extent-1 before).
    """
    extents = [extent(k, d) for k, d in zip(window, dilation, strict=True)]
    match padding:
        case "valid":
            return ((0, 0),) * len(extents)
        case "half":
            return tuple(((e - 1) // 2, (e - 1) // 2) for e in extents)
        case "full":
            return tuple((e - 1, e - 1) for e in extents)
        case "causal":
            return tuple((e - 1, 0) for e in extents)
        case "same":
            totals = [max(0, (-(-n // s) - 1) * s + e - n) for n, s, e in zip(sizes, stride, extents, strict=True)]
            return tuple((total // 2, total - total // 2) for total in totals)
        case str():
            raise ValueError(f"padding {padding!r} is not one of {', '.join(PADDINGS)}")
    sides = tuple(padding) if isinstance(padding, Sequence) else (padding,) * len(extents)
    if len(sides) != len(extents):
        raise ValueError(
            f"padding must be an integer, one or a pair for each of {len(extents)} dimensions, not {padding!r}"
        )
    pairs = [per_dimension(side, 2, "padding", least=0) for side in sides]
    return tuple((before, after) for before, after in pairs)


def output_sizes(
    sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], pairs: Pairs, dilation: Sequence[int]
) -> tuple[int, ...]:
    """floor((W - K + 2P)/S) + 1 in every dimension, K being the dilated extent.

    Raises ValueError where the window does not fit into the padded input.
    """
    result = []
    for n, k, s, (before, after), d in zip(sizes, window, stride, pairs, dilation, strict=True):
        room = n + before + after - extent(k, d)
        if room < 0:
            raise ValueError(
                f"a window of {'x'.join(map(str, window))} (dilation {'x'.join(map(str, dilation))}) does not fit into "
                f"an input of {'x'.join(map(str, sizes))} with padding {pairs}"
            )
        result.append(room // s + 1)
    return tuple(result)


def pad(x: Array, pairs: Pairs, mode: str | float) -> Array:
    """Add places around the spatial dimensions of (N, ..., C): zeros, a constant, reflect, replicate or circular."""
    if not any(map(any, pairs)):
        return x
    widths = ((0, 0), *pairs, (0, 0))
    if mode == "zeros" or not isinstance(mode, str):
        return jnp.pad(x, widths, constant_values=0 if mode == "zeros" else mode)
    if mode not in _NUMPY_MODES:
        raise ValueError(f"padding mode {mode!r} is not a number and not one of zeros, {', '.join(_NUMPY_MODES)}")
    reach = {"reflect": -1, "circular": 0, "replicate": float("inf")}[mode]
    if any(max(pair) > n + reach for n, pair in zip(x.shape[1:-1], pairs, strict=True)):
        raise ValueError(f"padding {pairs} is too wide to {mode} an input of {x.shape[1:-1]}")
    return jnp.pad(x, widths, mode=_NUMPY_MODES[mode])
