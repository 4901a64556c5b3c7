"""Which places of its input a unit of a layer reads, along one spatial dimension."""

from __future__ import annotations

import numpy as np

from jaxcnn import ops, spec
from jaxcnn.layout import Shape, leaf_layout, pad_pairs, pool_window
from jaxcnn.spec import Leaf

NOTHING = -1


def places_read(leaf: Leaf, shape: Shape, axis: int) -> np.ndarray | None:
    """The places along `axis` that every output unit of a leaf over (H, W, C) reads: (units, places), -1 for padding.

    None where every unit reads its own place, as in an activation.
    """
    if isinstance(leaf, spec.KeepsPlaces):
        return None
    sizes = shape[:-1]
    n = sizes[axis]
    match leaf:
        case spec.Conv():
            placed = ops.slide("Conv", sizes, leaf.kernel, leaf.stride, leaf.padding, leaf.dilation)
            return _mirrored(_windows(placed, axis), n, leaf.padding_mode)
        case spec.Pool():
            return _inside(_windows(pool_window(leaf, shape), axis), n)
        case spec.ConvTranspose():
            options = (leaf.stride, leaf.padding, leaf.output_padding, leaf.dilation)
            outputs, window, stride, pairs, dilation = ops.transposed_window(sizes, leaf.kernel, *options)
            steps = np.arange(outputs[axis])[:, None] + pairs[axis][0] - np.arange(window[axis]) * dilation[axis]
            return _inside(np.where(steps % stride[axis] == 0, steps // stride[axis], NOTHING), n)
        case spec.AdaptivePool():
            bins = leaf_layout(leaf, shape).output[axis]
            first, end = np.arange(bins) * n // bins, -(-np.arange(1, bins + 1) * n // bins)
            read = first[:, None] + np.arange((end - first).max())
            return np.where(read < end[:, None], read, NOTHING)
        case spec.GlobalPool() | spec.Flatten():
            return np.arange(n)[None]
        case spec.Pad():
            before, after = pad_pairs(leaf, len(sizes))[axis]
            return _inside(np.arange(-before, n + after)[:, None], n)
        case spec.Upsample():
            return _enlarged(leaf, n, ops.per_dimension(leaf.scale, len(sizes), "scale")[axis])
        case _:
            spec.unknown(leaf)


def _windows(placed: ops.Window, axis: int) -> np.ndarray:
    """The places under every window; outside of 0 to n - 1 is padding."""
    first = np.arange(placed.output[axis]) * placed.stride[axis] - placed.pairs[axis][0]
    return first[:, None] + np.arange(placed.window[axis]) * placed.dilation[axis]


def _inside(read: np.ndarray, n: int) -> np.ndarray:
    return np.where((read >= 0) & (read < n), read, NOTHING)


def _mirrored(read: np.ndarray, n: int, mode: str | float) -> np.ndarray:
    """Padding that repeats the image reads places of the image."""
    match mode:
        case "circular":
            return read % n
        case "replicate":
            return read.clip(0, n - 1)
        case "reflect":
            return n - 1 - abs(n - 1 - abs(read))
    return _inside(read, n)


def _enlarged(leaf: spec.Upsample, n: int, factor: int) -> np.ndarray:
    units = np.arange(n * factor)
    if leaf.method == "nearest":
        return units[:, None] // factor
    # Doubled numerators and a common denominator: a place that is met exactly must not read its neighbor by rounding.
    over, under = (
        (units * (n - 1), max(n * factor - 1, 1)) if leaf.align_corners else (2 * units + 1 - factor, 2 * factor)
    )
    at = over.clip(0, (n - 1) * under)
    return np.stack([at // under, -(-at // under)], axis=1)
