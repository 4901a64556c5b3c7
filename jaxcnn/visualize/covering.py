"""What a score loses when a part of the image is covered (Zeiler and Fergus 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.forward_pass import forward
from jaxcnn.layout import Params, Shape, times
from jaxcnn.readings.receptive import Box, receptive_field
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import at_once, shared_out
from jaxcnn.visualize.paths import place_at
from jaxcnn.visualize.scores import Score, Unit, repeated


class Windows(NamedTuple):
    """Where an image is covered: the first and one past the last row of every row of windows, and columns likewise."""

    rows: np.ndarray  # (R, 2)
    columns: np.ndarray  # (C, 2)


def occlusion(
    net: Spec, params: Params, batch_stats: Params, x: Array, window: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None, fill: str | float | Array = "mean", *, score: Score | None = None,
) -> Array:  # fmt: skip
    """The drop of all outputs, or of a score, for every place of a window that covers the image: f(x) - f(covered).

    Args:
      net, params, batch_stats: a network and its arrays.
      x: (N, H, W, C), what the network takes.
      window: height and width in pixels, or one number for both.
      stride: from one window to the next; None is half of the window, at least 1.
      fill: what covers, in the network's units: "mean", of each channel of the image itself, or a number or an array
        that broadcasts to x. Maps depend on it.
      score: what is measured; None measures all outputs, which costs no more than one.

    Returns:
      (N, rows, columns, outputs), or (N, rows, columns) with a score. The first window stands in the upper left corner,
      the last ones are cut at the border; `windows_over` says where they stand, `spread` makes maps of pixels.

    Windows that cannot reach the receptive field of a unit are not computed: what they cover changes it by 0.

    Raises:
      ValueError: a window that is larger than the image, or sizes below 1.
    """
    (drops,) = occlusions(net, params, batch_stats, x, [window], [stride], fill, score=score)
    return drops


def occlusions(
    net: Spec, params: Params, batch_stats: Params, x: Array, windows: Sequence[int | tuple[int, int]],
    strides: Sequence[int | tuple[int, int] | None] | None = None, fill: str | float | Array = "mean", *,
    score: Score | None = None,
) -> list[Array]:  # fmt: skip
    """The same for windows of several sizes, all of them in one call of one compiled function."""
    shape = x.shape[1:]
    every = [
        windows_over(shape, window, stride)
        for window, stride in zip(windows, strides or [None] * len(windows), strict=True)
    ]
    if score is not None:
        score.check(net, shape)
    if isinstance(fill, str) and fill != "mean":
        raise ValueError(f"fill is 'mean', a number or an array, not {fill!r}")
    pairs = np.array([(*row, *column) for placed in every for row in placed.rows for column in placed.columns])
    reached = np.flatnonzero(_reaching(pairs, _field_of(net, shape, score)))
    if not len(reached):
        return [jnp.zeros((len(x), len(placed.rows), len(placed.columns)), x.dtype) for placed in every]
    cover = None if isinstance(fill, str) else fill
    count = shared_out(len(reached), at_once(shape) // len(x))
    parts = np.resize(pairs[reached], (-(-len(reached) // count), count, 4))  # the first windows fill up the last part
    drops = _drops(net, params, batch_stats, x, cover, score, parts)[: len(reached)]
    if len(reached) < len(pairs):
        drops = jnp.zeros((len(pairs), *drops.shape[1:]), drops.dtype).at[reached].set(drops)
    found, start = [], 0
    for rows, columns in every:
        grid = drops[start : start + len(rows) * len(columns)].reshape(len(rows), len(columns), *drops.shape[1:])
        found.append(jnp.moveaxis(grid, 2, 0))
        start += len(rows) * len(columns)
    return found


def ablation(net: Spec, params: Params, batch_stats: Params, x: Array, path: str) -> Array:
    """The drop of all outputs when a channel of a layer is set to 0: (N, channels, outputs).

    Raises ValueError for a path that the network does not have.
    """
    return _ablated(net, params, batch_stats, x, path, place_at(net, x.shape[1:], path).shape[-1])


def _field_of(net: Spec, shape: Shape, score: Score | None) -> Box | None:
    """The pixels on which a unit depends in any of the images; None where the score is of no single place."""
    if not isinstance(score, Unit) or len(score.place) != 2:
        return None
    rows, columns = np.broadcast_arrays(*map(np.asarray, score.place))
    places = set(zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True))
    boxes = np.array([receptive_field(net, shape, score.path, place) for place in places])
    return [(int(first), int(end)) for first, end in zip(boxes.min(0)[:, 0], boxes.max(0)[:, 1], strict=True)]


def _reaching(pairs: np.ndarray, field: Box | None) -> np.ndarray:
    """Which windows, (count, 4), cover some pixel of a field."""
    if field is None:
        return np.ones(len(pairs), bool)
    (top, bottom), (left, right) = field
    first_row, last_row, first_column, last_column = pairs.T
    return (first_row < bottom) & (last_row > top) & (first_column < right) & (last_column > left)


def windows_over(shape: Shape, window: int | tuple[int, int], stride: int | tuple[int, int] | None = None) -> Windows:
    """Where the windows of `occlusion` stand over images of `shape`, (H, W, C). Raises ValueError as it does."""
    sizes = _pair(window, "window")
    steps = tuple(max(1, size // 2) for size in sizes) if stride is None else _pair(stride, "stride")
    if sizes[0] > shape[0] or sizes[1] > shape[1]:
        raise ValueError(f"a window of {times(sizes)} is larger than images of {times(shape[:2])}")
    along = []
    for image, size, step in zip(shape[:2], sizes, steps, strict=True):
        first = np.arange(-(-(image - size) // step) + 1) * step
        along.append(np.stack([first, np.minimum(first + size, image)], 1))
    return Windows(*along)


def spread(drops: Array | np.ndarray, windows: Windows, size: tuple[int, int]) -> np.ndarray:
    """Drops (N, rows, columns) as maps (N, H, W): of every pixel the mean over the windows that cover it, else 0."""
    rows, columns = (
        np.stack([(np.arange(length) >= first) & (np.arange(length) < end) for first, end in along]).astype(float)
        for along, length in zip(windows, size, strict=True)
    )
    counts = np.outer(rows.sum(0), columns.sum(0))
    return np.einsum("nrc,rh,cw->nhw", np.asarray(drops, float), rows, columns) / np.maximum(counts, 1)


def _pair(size: int | tuple[int, int], what: str) -> tuple[int, int]:
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"a {what} is a number of pixels from 1, or two, not {size}")
    return pair


@partial(jax.jit, static_argnums=0)
def _drops(
    net: Spec, params: Params, batch_stats: Params, x: Array, fill: float | Array | None, score: Score | None,
    parts: Array,
) -> Array:  # fmt: skip
    """The drops of windows, whose ends are (parts, windows, 4), one part after the other: (all windows, N, ...)."""
    cover = jnp.broadcast_to(x.mean((1, 2), keepdims=True) if fill is None else jnp.asarray(fill, x.dtype), x.shape)

    def measured(images: Array) -> Array:
        run = forward(net, params, batch_stats, images)
        return run.output if score is None else repeated(score, len(images) // len(x))(run)

    def covered(ends: Array) -> Array:
        rows, columns = jnp.arange(x.shape[1])[:, None, None], jnp.arange(x.shape[2])[:, None]
        inside = (rows >= ends[0]) & (rows < ends[1]) & (columns >= ends[2]) & (columns < ends[3])
        return jnp.where(inside, cover, x)

    def part(ends: Array) -> Array:
        values = measured(jax.vmap(covered)(ends).reshape(-1, *x.shape[1:]))  # as one batch
        return values.reshape(len(ends), len(x), *values.shape[1:])

    drops = measured(x) - lax.map(part, parts)
    return drops.reshape(-1, *drops.shape[2:])


@partial(jax.jit, static_argnums=(0, 4, 5))
def _ablated(net: Spec, params: Params, batch_stats: Params, x: Array, path: str, channels: int) -> Array:
    def without(channel: Array) -> Array:
        def silenced(values: Array) -> Array:
            return jnp.where(jnp.arange(channels) == channel, jnp.zeros_like(values), values)

        return forward(net, params, batch_stats, x, edits={path: silenced}).output

    left = lax.map(without, jnp.arange(channels))
    return forward(net, params, batch_stats, x).output[:, None] - jnp.moveaxis(left, 0, 1)
