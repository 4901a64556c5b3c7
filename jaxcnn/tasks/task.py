"""What is learned, as a frozen value: the loss of a batch, what its metrics need, how they are told and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import Forward
from jaxcnn.host.choices import Choice
from jaxcnn.layout import Shape


class Metric(NamedTuple):
    """A figure of merit: its key in result.json, how it is called and written, and the scale of its curve."""

    key: str
    label: str
    form: str  # for str.format
    scale: float = 1.0
    unit: str = ""
    width: int = 0  # characters, where figures stand below each other

    def text(self, value: float) -> str:
        """A value of it, as it is written."""
        return self.form.format(value)

    @property
    def axis(self) -> str:
        """Its label with the unit, if it has one."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


LOSS = Metric("loss", "loss", "{:.4f}")


class Task(Choice):
    """What a network learns from images. Training and evaluation know nothing of it but these methods.

    A new one is a file with its dataclass, and a row in `tasks.TASKS`.
    """

    what: ClassVar[str] = "task"
    loss: ClassVar[Metric] = LOSS
    metrics: ClassVar[tuple[Metric, ...]] = ()
    """Besides the loss; the first one is the headline."""
    best: ClassVar[tuple[str, int]] = ("loss", -1)
    """The key of the metric that makes a checkpoint the best, and 1 where more is better, -1 where less is."""

    def options(self, classes: Sequence[str]) -> dict[str, Any]:
        """Options of the function that builds the network, given the data's classes."""
        return {}

    def check_output(self, output: Shape, image: Shape, classes: Sequence[str]) -> None:
        """Raise ValueError where a network with an `output` of that shape cannot learn this from images of `image`."""

    def fitted(self, labels: np.ndarray, classes: Sequence[str]) -> Task:
        """The task for training images of these labels (N,). Raises ValueError where it is not one for them."""
        return self

    def baseline(self, labels: np.ndarray, classes: Sequence[str]) -> str:
        """What a network must beat to have learned anything: a sentence about the test images' labels (N,), or none."""
        return ""

    def losses(self, run: Forward, images: Array, batch: Batch) -> Array:
        """What training minimizes the mean of, for each example: (N,).

        Args:
          run: the network's output and activations.
          images: what it was given, (N, H, W, C), augmented and normalized.
          batch: labels and ids.
        """
        raise NotImplementedError

    def zeros(self) -> dict[str, Array]:
        """The sums of `counts` over no examples."""
        return {}

    def counts(self, run: Forward, images: Array, batch: Batch) -> dict[str, Array]:
        """What is added up while training, besides the loss: scalars, over the examples whose mask is 1."""
        return {}

    def evaluated(self, run: Forward, images: Array, batch: Batch) -> dict[str, Array]:
        """What is added up in evaluation, over the examples whose mask is 1; `loss` is the sum of the loss reported."""
        return {"loss": masked_sum(self.losses(run, images, batch), batch.mask)} | self.counts(run, images, batch)

    def summary(self, sums: Mapping[str, Any], examples: int) -> dict[str, float]:
        """The metrics, from the sums of `counts` or of `evaluated` over so many examples."""
        keys = [metric.key for metric in (self.loss, *self.metrics)]
        return {key: float(sums[key]) / examples for key in keys if key in sums}

    def text(self, sums: Mapping[str, np.ndarray], classes: Sequence[str]) -> str:
        """What else there is to say of an evaluation, for the terminal."""
        return ""

    def draw(self, folder: Path, sums: Mapping[str, np.ndarray], classes: Sequence[str], title: str) -> list[str]:
        """Draw an evaluation into a folder; returns the names of the files."""
        return []

    def told(self, metrics: Mapping[str, float]) -> str:
        """The metrics in words: "loss 0.0412  accuracy 98.89%"."""
        given = [metric for metric in (self.loss, *self.metrics) if metric.key in metrics]
        return "  ".join(f"{metric.label} {metric.text(metrics[metric.key])}" for metric in given)

    def headline(self, metrics: Mapping[str, float]) -> str:
        """The first metric in words."""
        first = (*self.metrics, self.loss)[0]
        return f"{first.label} {first.text(metrics[first.key])}"


def masked_sum(values: Array, mask: Array) -> Array:
    """The sum of (N,) over the examples whose mask is 1."""
    return jnp.sum(jnp.where(mask > 0, values, 0))
