"""Where do two implementations part? The first layer whose activations differ, given a peer's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcnn.forward_pass import forward
from jaxcnn.host.errors import InputError
from jaxcnn.layout import Params
from jaxcnn.spec import Spec

INPUT = "input"


class Difference(NamedTuple):
    """One activation beside the peer's: the largest difference, in the peer's standard deviations.

    The error is None where the shapes differ.
    """

    path: str
    shape: tuple[int, ...]
    theirs: tuple[int, ...]
    error: float | None


def differences(
    net: Spec, params: Params, batch_stats: Params, x: np.ndarray, dump: Mapping[str, np.ndarray]
) -> list[Difference]:
    """Compare a network's activations with a peer's of the same input, in order of execution.

    Args:
      net, params, batch_stats: as `init` returns them.
      x: (H, W, C), one preprocessed image. Where the dump has an "input", the network reads that instead, so that
        another preprocessing does not hide what comes after it.
      dump: {path: activation}, channels last or PyTorch's channels first, with or without an axis of one example; the
        names are our paths, or those with "_" for ".".

    Raises:
      InputError: the dump shares no name with the network.
    """
    theirs = {name: np.asarray(array) for name, array in dump.items()}
    found = []
    if INPUT in theirs:
        found.append(_compared(INPUT, x, theirs[INPUT]))
        x = min(_orders(theirs[INPUT], x.shape), key=partial(_error, x), default=x)
    activations = forward(net, params, batch_stats, jnp.asarray(x[np.newaxis], jnp.float32)).activations
    keys = {path: key for path in activations for key in (path, path.replace(".", "_")) if key in theirs}
    if not keys:
        raise InputError(
            f"the dump has no layer of the network: it has {', '.join(list(theirs)[:5])}, the network has "
            f"{', '.join(list(activations)[:5])}"
        )
    return found + [_compared(path, np.asarray(activations[path][0]), theirs[key]) for path, key in keys.items()]


def _orders(theirs: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """An activation without its axis of one example, channels last, in every way that has this shape."""
    images = [theirs, theirs[0]] if theirs.ndim and len(theirs) == 1 else [theirs]
    orders = [order for one in images for order in (one, np.moveaxis(one, 0, -1) if one.ndim > 1 else one)]
    if theirs.size == math.prod(shape) == max(shape, default=1):  # a vector, perhaps with places of one
        orders.append(theirs.reshape(shape))
    return [array for array in orders if array.shape == shape]


def _error(ours: np.ndarray, theirs: np.ndarray) -> float:
    scale = float(np.std(theirs, dtype=np.float64)) or float(np.abs(theirs).max()) or 1.0
    error = float(np.max(np.abs(ours.astype(np.float64) - theirs))) / scale
    return error if math.isfinite(error) else math.inf


def _compared(path: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    # Where height, width and channels are as many, the order that fits better: the wrong one is never nearly right.
    error = min((_error(ours, array) for array in _orders(theirs, ours.shape)), default=None)
    return Difference(path, ours.shape, theirs.shape, error)
