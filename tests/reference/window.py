"""Where a window stands: paddings, output sizes, and the meetings of output, window and input places."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def per_dimension(value: Any, dimensions: int) -> Ints:
    return (value,) * dimensions if isinstance(value, int) else tuple(value)


def pairs_of(padding: Any, sizes: Ints, window: Ints, stride: Ints, dilation: Ints) -> Pairs:
    """What `padding` adds before and after, dimension by dimension."""
    found = []
    for axis, (n, k, s, d) in enumerate(zip(sizes, window, stride, dilation, strict=True)):
        reach = d * (k - 1)  # from the first place of the window to its last
        if padding == "valid":
            found.append((0, 0))
        elif padding == "half":
            found.append((reach // 2, reach // 2))
        elif padding == "full":
            found.append((reach, reach))
        elif padding == "causal":
            found.append((reach, 0))
        elif padding == "same":  # as many windows as there are strides in the input
            windows = (n + s - 1) // s
            lacking = max((windows - 1) * s + reach + 1 - n, 0)
            found.append((lacking // 2, lacking - lacking // 2))
        else:
            side = padding if isinstance(padding, int) else padding[axis]
            found.append((side, side) if isinstance(side, int) else tuple(side))
    return tuple(found)


def output_sizes(
    sizes: Ints, window: Ints, stride: Ints, pairs: Pairs, dilation: Ints, ceil_mode: bool = False
) -> Ints:
    """How many windows there are: counted, one after the other, not divided."""
    result = []
    for n, k, s, (before, after), d in zip(sizes, window, stride, pairs, dilation, strict=True):
        extent, count, start = d * (k - 1) + 1, 0, -before
        while start + extent <= n + after:
            count, start = count + 1, start + s
        if ceil_mode:  # a part of the padded image may be left, but no window starts where the image has ended
            count += start - s + extent < n + after if count else n + before + after > 0
            count -= (count - 1) * s - before >= n
        result.append(count)
    return tuple(result)


@lru_cache(maxsize=64)
def meetings(output: Ints, window: Ints, stride: Ints, pairs: Pairs, dilation: Ints) -> list[tuple[Ints, Ints, Ints]]:
    """Output place p, window place u and the input place a = pS + uD - P where they meet; a may lie outside."""
    found = []
    for p in np.ndindex(*output):
        for u in np.ndindex(*window):
            steps = zip(p, stride, u, dilation, pairs, strict=True)
            found.append((p, u, tuple(q * s + v * d - before for q, s, v, d, (before, _) in steps)))
    return found


def inside(a: Ints, sizes: Ints) -> bool:
    return all(0 <= place < n for place, n in zip(a, sizes, strict=True))


def meetings_inside(
    sizes: Ints, output: Ints, window: Ints, stride: Ints, pairs: Pairs, dilation: Ints
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """The meetings that take place on the image."""
    return (meeting for meeting in meetings(output, window, stride, pairs, dilation) if inside(meeting[2], sizes))
