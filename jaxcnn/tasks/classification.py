"""Which class an image belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.charts.confusion import confusion_text, draw_confusion
from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import Forward
from jaxcnn.host.settings import require
from jaxcnn.host.text import printable
from jaxcnn.layout import Shape
from jaxcnn.tasks.losses import binary_cross_entropy, confusion_matrix, cross_entropy, in_top
from jaxcnn.tasks.task import Metric, Task, masked_sum


@dataclass(frozen=True)
class Classification(Task):
    """One class for each image: the mean cross-entropy of the network's logits, in nats."""

    label_smoothing: float = 0.0
    """The share of probability spread evenly over all classes."""
    binary: bool = False
    """Train by the binary cross-entropy of each class by itself; the loss reported stays the cross-entropy."""
    class_weights: tuple[float, ...] = ()
    """What an example of each class counts for in training, as in Keras: losses times weights, over the examples."""
    balanced: bool = False
    """Class weights inverse to how many training images each class has, 1 on average."""

    loss = Metric("loss", "loss", "{:.4f}", unit="nats")
    metrics = (
        Metric("accuracy", "accuracy", "{:.2%}", 100, "%", 7),
        Metric("top5", "top-5 accuracy", "{:.2%}", 100, "%", 7),
    )
    best = ("accuracy", 1)

    def check(self) -> None:
        require(
            0 <= self.label_smoothing < 1,
            f"classification's label_smoothing must be in [0, 1), not {self.label_smoothing}",
        )
        require(
            min(self.class_weights, default=1) >= 0 and (not self.class_weights or sum(self.class_weights) > 0),
            f"classification's class_weights must not be negative, nor all 0, not {self.class_weights}",
        )
        require(
            not (self.balanced and self.class_weights),
            "classification is balanced by class_weights of its own: give one of the two",
        )

    def options(self, classes: Sequence[str]) -> dict[str, Any]:
        return {"classes": len(classes)}

    def check_output(self, output: Shape, image: Shape, classes: Sequence[str]) -> None:
        if output != (len(classes),):
            raise ValueError(f"its output is {output}, not one number for each of {len(classes)} classes")

    def fitted(self, labels: np.ndarray, classes: Sequence[str]) -> Classification:
        if self.balanced:
            counts = np.maximum(np.bincount(labels, minlength=len(classes)), 1)
            weights = tuple((len(labels) / (len(classes) * counts)).tolist())
            return replace(self, balanced=False, class_weights=weights)
        if self.class_weights and len(self.class_weights) != len(classes):
            raise ValueError(f"class_weights are {len(self.class_weights)} numbers, not one for each of {len(classes)}")
        return self

    def baseline(self, labels: np.ndarray, classes: Sequence[str]) -> str:
        counts = np.bincount(labels, minlength=len(classes))
        most, share = printable(classes[int(counts.argmax())]), counts.max() / counts.sum()
        return f"to beat: {share:.2%} of the test images are of the most frequent class, {most}"

    def losses(self, run: Forward, images: Array, batch: Batch) -> Array:
        entropy = binary_cross_entropy if self.binary else cross_entropy
        losses = entropy(run.output, batch.labels, self.label_smoothing)
        if not self.class_weights:
            return losses
        return losses * jnp.asarray(self.class_weights, losses.dtype)[batch.labels]

    def zeros(self) -> dict[str, Array]:
        return {"accuracy": jnp.zeros((), jnp.int32)}

    def counts(self, run: Forward, images: Array, batch: Batch) -> dict[str, Array]:
        return {"accuracy": _right(run.output, batch, 1)}

    def evaluated(self, run: Forward, images: Array, batch: Batch) -> dict[str, Array]:
        entropies = cross_entropy(run.output, batch.labels)  # without smoothing, so that runs can be compared
        return {
            "loss": masked_sum(entropies, batch.mask),
            "accuracy": _right(run.output, batch, 1),
            "top5": _right(run.output, batch, 5),
            "confusion": confusion_matrix(run.output, batch.labels, batch.mask),
        }

    def text(self, sums: Mapping[str, np.ndarray], classes: Sequence[str]) -> str:
        return f"confusion matrix of the test images\n{confusion_text(sums['confusion'], tuple(classes))}"

    def draw(self, folder: Path, sums: Mapping[str, np.ndarray], classes: Sequence[str], title: str) -> list[str]:
        draw_confusion(folder / "confusion_matrix.png", sums["confusion"], tuple(classes), title)
        return ["confusion_matrix.png"]


def _right(logits: Array, batch: Batch, k: int) -> Array:
    return jnp.sum(in_top(logits, batch.labels, k) & (batch.mask > 0), dtype=jnp.int32)
