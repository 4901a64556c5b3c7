"""A trained network and what it takes to ask it of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.forward_pass import apply
from jaxcnn.host.text import printable
from jaxcnn.layout import Params, Shape
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import Prepare


class Subject(NamedTuple):
    """A network with its arrays, the shape of an image, the names of its classes, and how pixels become its input."""

    net: Spec
    params: Params
    batch_stats: Params
    shape: Shape
    classes: Sequence[str]
    prepare: Prepare  # from pixels (N, H, W, C) between 0 and 1

    def name(self, number: int | np.ndarray) -> str:
        """The name of a class as text that can be shown anywhere."""
        return printable(self.classes[int(number)])

    def take(self, images: np.ndarray) -> Array:
        """Images uint8 (N, H, W, C) as what the network takes."""
        return self.prepare(jnp.asarray(images / 255, jax.dtypes.canonicalize_dtype(float)))

    def of_bytes(self) -> Prepare:
        """From images uint8 to what the network takes, for inside of a compiled function."""
        prepare = self.prepare
        return lambda images: prepare(images / 255)

    def shares(self, images: np.ndarray) -> np.ndarray:
        """The probability of every class for images uint8, (N, K)."""
        return np.asarray(jax.nn.softmax(_logits(self.net, self.params, self.batch_stats, self.take(images))))


@partial(jax.jit, static_argnums=0)
def _logits(net: Spec, params: Params, batch_stats: Params, x: Array) -> Array:
    return apply(net, params, batch_stats, x)[0]
