"""Where a sliding window stands: strides, paddings and output sizes, shared by convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops.checks import integer

Size = int | Sequence[int]  # NumPy's integers and arrays of them too
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]
Pairs = tuple[tuple[int, int], ...]

PADDINGS = ("valid", "half", "same", "full", "causal")
_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def per_dimension(value: Size, dimensions: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One integer for every spatial dimension: an int is repeated, a sequence is checked.

    NumPy's integers and arrays of them are taken as well; True and False are not.
    """
    given = listed(value)
    values = [integer(v) for v in ((value,) * dimensions if given is None else given)]
    found = tuple(v for v in values if v is not None and v >= least)
    if len(values) != dimensions or len(found) != dimensions:
        raise ValueError(f"{name} must be an integer of at least {least}, or {dimensions} of them, not {value!r}")
    return found


def listed(value: Any) -> tuple[Any, ...] | None:
    """What a sequence or an array holds; None for a number."""
    if isinstance(value, Sequence) or (isinstance(value, np.ndarray | Array) and value.ndim):
        return tuple(value)
    return None


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
    match padding if isinstance(padding, str) else None:  # an array cannot be compared with a word
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
    given = listed(padding)
    sides = (padding,) * len(extents) if given is None else given
    if len(sides) != len(extents):
        raise ValueError(
            f"padding must be an integer, one or a pair for each of {len(extents)} dimensions, not {padding!r}"
        )
    pairs = [per_dimension(side, 2, "padding", least=0) for side in sides]  # type: ignore[arg-type]
    return tuple((before, after) for before, after in pairs)


class Dimension(NamedTuple):
    """A window sliding over a line of `size` places, with `before` and `after` places of padding around it."""

    size: int
    window: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def reach(self) -> int:
        """How far the window's last place lies from its first: D(K-1)."""
        return self.dilation * (self.window - 1)

    @property
    def output(self) -> int:
        """How many windows there are: floor((W - D(K-1) - 1 + 2P)/S) + 1."""
        return (self.size + self.before + self.after - self.reach - 1) // self.stride + 1

    def seen(self) -> np.ndarray:
        """The place of the line that every window meets with each of its places, some in the padding: (output, K)."""
        return np.arange(self.output)[:, None] * self.stride - self.before + np.arange(self.window) * self.dilation


class Window(NamedTuple):
    """A window sliding over `sizes` places: one entry for every spatial dimension. Hashable."""

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    pairs: Pairs
    dilation: tuple[int, ...]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The same, one dimension after the other."""
        lines = zip(self.sizes, self.window, self.stride, self.pairs, self.dilation, strict=True)
        return tuple(Dimension(size, window, stride, *pair, dilation) for size, window, stride, pair, dilation in lines)

    @property
    def output(self) -> tuple[int, ...]:
        """How many windows there are in every dimension."""
        return tuple(line.output for line in self.dimensions)

    def over(self, **changed: tuple) -> Window:
        """The same window with other strides, pairs, ..."""
        return self._replace(**changed)


def slide(
    operation: str,
    sizes: Sequence[int],
    window: Size,
    stride: Size,
    padding: Padding,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Window:
    """The window that `operation` slides over `sizes` places; its padding worked out to pairs.

    With `ceil_mode` (PyTorch's), the last window may reach past the padded input, if it starts before the padding on
    the far side: the pairs grow by what is missing. Raises ValueError, naming the operation, for numbers that cannot
    work.
    """
    dimensions = len(sizes)
    try:
        window = per_dimension(window, dimensions, "window")
        stride = per_dimension(stride, dimensions, "stride")
        dilation = per_dimension(dilation, dimensions, "dilation")
        pairs = padding_pairs(padding, sizes, window, stride, dilation)
    except ValueError as error:
        raise ValueError(f"{operation}: {error}") from None
    placed = Window(tuple(sizes), window, stride, pairs, dilation)
    placed = _reach_the_end(placed) if ceil_mode else placed
    if min(placed.output) < 1:
        raise ValueError(
            f"{operation}: a window of {_times(window)} (dilation {_times(dilation)}) does not fit into an input of "
            f"{_times(sizes)} with padding {pairs}"
        )
    return placed


def _reach_the_end(placed: Window) -> Window:
    pairs = []
    for line in placed.dimensions:
        room = line.size + line.before + line.after - line.reach - 1
        missing = -room % line.stride
        reaches = missing and room + missing < line.size + line.before
        pairs.append((line.before, line.after + missing if reaches else line.after))
    return placed.over(pairs=tuple(pairs))


def _times(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def pad_constant(x: Array, pairs: Pairs, value: float) -> Array:
    """Places of one value around the spatial dimensions of (N, ..., C); a negative number takes places away."""
    sizes = x.shape[1:-1]
    if any(min(pair) <= -n for n, pair in zip(sizes, pairs, strict=True)):  # nothing of x is left
        wide = (n + sum(pair) for n, pair in zip(sizes, pairs, strict=True))
        return jnp.full_like(x, value, shape=(len(x), *wide, x.shape[-1]))
    x = cut(x, pairs)
    if not any(n > 0 for pair in pairs for n in pair):
        return x
    widths = ((0, 0, 0), *((max(before, 0), max(after, 0), 0) for before, after in pairs), (0, 0, 0))
    return lax.pad(x, jnp.asarray(value, x.dtype), widths)


def cut(x: Array, pairs: Pairs) -> Array:
    """(N, ..., C) without as many places as the negative numbers among `pairs` say.

    As a slice: XLA mistakes the negative padding of a convolution (openxla/xla#48713), and that of a pad before a
    convolution or a pooling (#48715).
    """
    if not any(n < 0 for pair in pairs for n in pair):
        return x
    lines = zip(x.shape[1:-1], pairs, strict=True)
    spans = (slice(max(-before, 0), n + min(after, 0)) for n, (before, after) in lines)
    return x[(slice(None), *spans, slice(None))]


def seen_by(padded: Array, placed: Window, place: Sequence[int]) -> Array:
    """What one place of the window meets in the padded (N, ..., C): (N, *output, C)."""
    spans = []
    for u, line in zip(place, placed.dimensions, strict=True):
        first = u * line.dilation
        spans.append(slice(first, first + (line.output - 1) * line.stride + 1, line.stride))
    return padded[(slice(None), *spans, slice(None))]


def pad(x: Array, pairs: Pairs, mode: str | float) -> Array:
    """Add places around the spatial dimensions of (N, ..., C): zeros, a constant, reflect, replicate or circular."""
    if not any(map(any, pairs)):
        return x
    if mode == "zeros" or not isinstance(mode, str):
        return pad_constant(x, pairs, 0 if mode == "zeros" else float(mode))
    if mode not in _NUMPY_MODES:
        raise ValueError(f"padding mode {mode!r} is not a number and not one of zeros, {', '.join(_NUMPY_MODES)}")
    reach = {"reflect": -1, "circular": 0, "replicate": float("inf")}[mode]
    if any(max(pair) > n + reach for n, pair in zip(x.shape[1:-1], pairs, strict=True)):
        raise ValueError(f"padding {pairs} is too wide to {mode} an input of {x.shape[1:-1]}")
    return jnp.pad(x, ((0, 0), *pairs, (0, 0)), mode=_NUMPY_MODES[mode])
