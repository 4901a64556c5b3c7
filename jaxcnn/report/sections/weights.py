"""What the weights have become, and which channels never respond."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jax import Array

from jaxcnn.charts.svg import histogram
from jaxcnn.forward_pass import features
from jaxcnn.host.text import counted
from jaxcnn.layout import Params, times, walk
from jaxcnn.report.blocks import Block, Cell, Details, Drawing, Section, Table
from jaxcnn.report.examined import Examined
from jaxcnn.spec import Act, Spec
from jaxcnn.visualize.batching import Prepare, batches
from jaxcnn.visualize.paths import places

BINS = 40
IMAGES, BUDGET = 2000, 8e11  # on which a dead channel is silent
OPEN = 24  # layers of a table that is open


def weights(run: Examined) -> Section:
    """A histogram of every kernel, its deviation at start and end, and the channels that are alike for all images."""
    rows = [
        _row(run, path, np.asarray(arrays["kernel"]))
        for path, arrays in run.subject.params.items()
        if "kernel" in arrays
    ]
    head = ("layer", "shape", "weights", "deviation", "at the start", "largest", "stable rank")
    caption = (
        "Kernels. Histograms reach from the least to the greatest weight, a line at 0. The stable rank is the sum of "
        "the squared singular values over the largest one: 1 where all outputs say the same"
    )
    table = Table(caption, head, tuple(rows), "<<<>>>>")
    dead, images = _dead(run)
    total, silent = sum(size for _, size, _ in dead), sum(count for _, _, count in dead)
    lead = "There is no activation whose channels could be dead."
    if total:
        lead = (
            f"{silent:,} of {counted(total, 'channel')} after an activation are dead: the same everywhere in "
            f"{counted(images, 'test image')}."
        )
    blocks: list[Block] = [table if len(rows) <= OPEN else Details(f"All {len(rows)} kernels", (table,))]
    if silent:
        found = tuple((path, f"{size:,}", f"{count:,}") for path, size, count in dead if count)
        blocks.append(Table("Where dead channels are", ("activation", "channels", "dead"), found, "<>>"))
    return Section("Weights", lead, tuple(blocks), images)


def _row(run: Examined, path: str, kernel: np.ndarray) -> tuple[Cell, ...]:
    low, high = float(kernel.min()), float(kernel.max())
    counts = np.histogram(kernel, BINS, (low, high) if high > low else None)[0].tolist()
    zero = -low / (high - low) if high > low else None
    told = f"weights of {path} from {low:.3g} to {high:.3g}"
    before = "" if run.start is None else f"{np.asarray(run.start[path]['kernel']).std():.3g}"
    drawn = Drawing(histogram(counts, told, zero=zero))
    return path, times(kernel.shape), drawn, f"{kernel.std():.3g}", before, f"{np.abs(kernel).max():.3g}", _rank(kernel)


def _rank(kernel: np.ndarray) -> str:
    matrix = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    small = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
    largest = float(np.linalg.eigvalsh(small)[-1])
    return f"{np.trace(small) / largest:.1f} of {len(small)}" if largest > 0 else f"0 of {len(small)}"


def _dead(run: Examined) -> tuple[list[tuple[str, int, int]], int]:
    """(path, channels, dead ones) of every activation, and on how many test images."""
    net, shape = run.subject.net, run.subject.shape
    named = places(net, shape, used=True)
    paths = tuple(row.path for row in walk(net, shape) if isinstance(row.leaf, Act) and row.path in named)
    if not paths:
        return [], 0
    count = run.affordable(1, min(IMAGES, len(run.labels)), BUDGET)
    images = run.test.images[np.linspace(0, len(run.labels) - 1, count, dtype=int)]
    ends: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for _, batch in batches(images, min(run.at_once, count)):
        for path, (low, high) in _ends(*run.network, batch, paths, run.of_bytes).items():
            low, high = np.asarray(low), np.asarray(high)
            before = ends.get(path, (low, high))
            ends[path] = np.minimum(before[0], low), np.maximum(before[1], high)
    return [(path, len(low), int((low == high).sum())) for path, (low, high) in ends.items()], count


@partial(jax.jit, static_argnums=(0, 4, 5))
def _ends(
    net: Spec, params: Params, batch_stats: Params, images: Array, paths: tuple[str, ...], prepare: Prepare
) -> dict[str, tuple[Array, Array]]:
    """Of every channel the least and the greatest value over all images and places."""
    found = features(net, params, batch_stats, prepare(images), paths)
    return {
        path: (value.min(tuple(range(value.ndim - 1))), value.max(tuple(range(value.ndim - 1))))
        for path, value in found.items()
    }
