"""The image itself: what an autoencoder learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import Forward
from jaxcnn.layout import Shape, times
from jaxcnn.tasks.task import Metric, Task


@dataclass(frozen=True)
class Reconstruction(Task):
    """The output is to be the input: the mean squared error of normalized pixels, over places and channels."""

    loss = Metric("loss", "squared error", "{:.4f}")

    def check_output(self, output: Shape, image: Shape, classes: Sequence[str]) -> None:
        if output != image:
            raise ValueError(f"its output is {times(output)}, not an image of {times(image)}")

    def losses(self, run: Forward, images: Array, batch: Batch) -> Array:
        return jnp.mean(jnp.square(run.output - images), axis=(1, 2, 3))
