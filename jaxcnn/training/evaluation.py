"""How good a network is on a set of images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from jaxcnn.data.batches import Batch, padded
from jaxcnn.layout import Params
from jaxcnn.tasks import Task


class Evaluation(NamedTuple):
    """How good a network is on a set of images: the task's metrics, "loss" among them, and the sums behind them."""

    metrics: dict[str, float]
    sums: dict[str, np.ndarray]


def evaluate(
    step: Callable[[Params, Params, Batch], dict[str, Array]], task: Task, params: Params, batch_stats: Params,
    size: int, batch_size: int, fetch: Callable[[Iterable[tuple[np.ndarray, np.ndarray]]], Iterable[Batch]],
) -> Evaluation:  # fmt: skip
    """Run a jitted `eval_step` over `size` images, of whose rows (ids, mask) `fetch` makes batches.

    Sums are exact, or in float64.
    """
    total: dict[str, np.ndarray] = {}
    for batch in fetch(padded(np.arange(size, dtype=np.int32), batch_size)):
        for name, value in jax.device_get(step(params, batch_stats, batch)).items():
            wide = np.asarray(value, np.float64 if np.issubdtype(value.dtype, np.floating) else np.int64)
            total[name] = total[name] + wide if name in total else wide
    return Evaluation(task.summary(total, size), total)
