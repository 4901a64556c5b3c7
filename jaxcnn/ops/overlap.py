"""The transpose of sliding: what every place of an input receives from the windows that see it.

Place a of the padded input is seen by window p through its place u where `a = p*S + u*D`. Write `a = b*S + r`, a
block b and a phase r < S: then `p = b - q` with `q = (u*D) // S`, and `u*D = q*S + r`. So the places of a phase all
meet the same few u, and an array over the windows, shifted by q, holds what they receive: no scatter, no zeros between.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.ops.window import Window


def overlaps(placed: Window) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Every shift q, and for every phase the number of the window's place that it brings (-1 where there is none).

    The numbers are those of the window's places row by row; their array has the shape of the stride.
    """
    lines = []
    for line in placed.dimensions:
        shifts: dict[int, np.ndarray] = {}
        for u in range(line.window):
            q, r = divmod(u * line.dilation, line.stride)
            shifts.setdefault(q, np.full(line.stride, -1))[r] = u
        lines.append(list(shifts.items()))
    for chosen in itertools.product(*lines):
        number = np.zeros((), int)
        for k, (_, phases) in zip(placed.window, chosen, strict=True):
            number = np.where((number[..., None] < 0) | (phases < 0), -1, number[..., None] * k + phases)
        yield tuple(q for q, _ in chosen), number


def _reach(placed):
    return [line.reach // line.stride for line in placed.dimensions]


def _blocks(placed):
    return [-(-(line.before + line.size) // line.stride) for line in placed.dimensions]


def widen(windows: Array, placed: Window, fill: float) -> Array:
    """(N, *output, C) with room on both sides for all shifts, filled with `fill`."""
    room = zip(_reach(placed), _blocks(placed), placed.output, strict=True)
    widths = ((0, 0), *((reach, max(0, blocks - out)) for reach, blocks, out in room), (0, 0))
    return jnp.pad(windows, widths, constant_values=fill)


def shifted(widened: Array, placed: Window, shift: tuple[int, ...]) -> Array:
    """What the blocks receive from `shift` windows before them: (N, B, 1, B, 1, ..., C)."""
    room = zip(_reach(placed), shift, _blocks(placed), strict=True)
    cut = widened[(slice(None), *(slice(reach - q, reach - q + blocks) for reach, q, blocks in room), slice(None))]
    return jnp.expand_dims(cut, tuple(2 + 2 * axis for axis in range(len(shift))))


def over_phases(table: Array | np.ndarray, placed: Window) -> Array | np.ndarray:
    """(*stride, ...) -> (1, 1, stride, 1, stride, ..., ...), to meet `shifted` arrays."""
    return table.reshape(1, *itertools.chain(*((1, s) for s in placed.stride)), *table.shape[len(placed.stride) :])


def places(received: Array, placed: Window) -> Array:
    """(N, B, S, B, S, ..., C) -> (N, *sizes, C): the phases side by side, the padding cut away."""
    blocks = received.shape[1:-1]
    sizes = (count * phases for count, phases in zip(blocks[::2], blocks[1::2], strict=True))
    whole = received.reshape(received.shape[0], *sizes, received.shape[-1])
    spans = (slice(line.before, line.before + line.size) for line in placed.dimensions)
    return whole[(slice(None), *spans, slice(None))]
