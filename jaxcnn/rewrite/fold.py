"""BatchNorm folded into the layer before it: the network that computes the same in evaluation, with fewer layers."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace as changed
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcnn.layout import Params
from jaxcnn.rewrite.edit import map_positions
from jaxcnn.spec import BatchNorm, Conv, ConvTranspose, Dense, Identity, Leaf, Position, Spec, Step, interpret


def fold_batch_norm(net: Spec, params: Params, batch_stats: Params) -> tuple[Spec, Params, Params]:
    """The network for inference with each BatchNorm that follows a Conv, ConvTranspose or Dense folded into it.

    With f = scale / sqrt(var + eps), the kernel becomes kernel * f and the bias (bias - mean) * f + BatchNorm's bias;
    BatchNorm becomes Identity. One whose input something else reads too, or that normalizes a sum, a concatenation or
    an activation, stays. Activations at the paths of folded layers are then those after normalization.

    Args:
      net, params, batch_stats: a network and its arrays. New ones are computed in float64, and rounded once.

    Returns:
      The same three, with which `apply` in evaluation gives the same output, up to rounding.

    Raises:
      ValueError: arrays that are missing.
    """
    steps, readers = _flow(net)
    params, batch_stats = dict(params), dict(batch_stats)
    leaves: dict[Position, Leaf] = {}
    for position, (path, leaf, source) in steps.items():
        before = steps.get(source)
        if not isinstance(leaf, BatchNorm) or before is None or readers[source] > 1:
            continue
        if isinstance(before.leaf, Conv | ConvTranspose | Dense):
            if absent := {path, before.path} - params.keys() or {path} - batch_stats.keys():
                raise ValueError(f"there are no arrays for {min(absent)!r}: the given ones are another network's")
            norm = params.pop(path) | batch_stats.pop(path)
            params[before.path] = _folded(before.leaf, params[before.path], leaf.eps, norm)
            leaves |= {source: changed(before.leaf, bias=True), position: Identity()}
    return map_positions(net, lambda position, _, leaf: leaves.get(position, leaf)), params, batch_stats


class _Step(NamedTuple):
    path: str
    leaf: Leaf
    source: Position  # of the leaf or the merge whose value it reads


def _flow(net: Spec) -> tuple[dict[Position, _Step], Counter[Position]]:
    """Which value every leaf reads, through the borders of graphs, and how many readers every value has."""
    steps: dict[Position, _Step] = {}
    readers: Counter[Position] = Counter()
    merges = itertools.count()

    def read(step: Step, source: Position) -> Position:
        if isinstance(step.leaf, Identity):
            return source
        steps[step.position] = _Step(step.path, step.leaf, source)
        readers[source] += 1
        return step.position

    def merge(how: str, sources: list[Position]) -> Position:
        readers.update(sources)
        return (-2, next(merges))  # no leaf's position

    readers[interpret(net, (-1,), read, merge)] += 1
    return steps, readers


def _folded(leaf: Conv | ConvTranspose | Dense, layer: dict, eps: float, norm: dict) -> dict:
    kernel, dtype = np.asarray(layer["kernel"], np.float64), layer["kernel"].dtype
    values = {name: np.asarray(array, np.float64) for name, array in norm.items()}
    factor = values.get("scale", 1) / np.sqrt(values["var"] + eps)
    bias = (np.asarray(layer.get("bias", 0), np.float64) - values["mean"]) * factor + values["bias"]
    if isinstance(leaf, ConvTranspose):  # (..., O / groups, I): the inputs of one group make the outputs of that group
        kernel = kernel * np.repeat(factor.reshape(leaf.groups, -1).T, kernel.shape[-1] // leaf.groups, axis=1)
    else:
        kernel = kernel * factor
    return layer | {"kernel": jnp.asarray(kernel, dtype), "bias": jnp.asarray(bias, dtype)}
