"""A run with all that several sections need of it, computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxcnn.data import Dataset, Split, load
from jaxcnn.data.pixels import normalize
from jaxcnn.forward_pass import apply
from jaxcnn.host.errors import InputError
from jaxcnn.layout import Params, init
from jaxcnn.readings.cost import macs
from jaxcnn.report.neighborhood import neighborhood
from jaxcnn.spec import Spec
from jaxcnn.tasks import Classification
from jaxcnn.training.beginning import initial_key
from jaxcnn.training.checkpoint import epochs, places
from jaxcnn.training.comparison import Finished, finished
from jaxcnn.training.epochs import kept_epochs
from jaxcnn.training.run_folder import Record, read_record
from jaxcnn.training.trained import Trained, trained
from jaxcnn.visualize.batching import Prepare, at_once, in_batches
from jaxcnn.visualize.neighbors import Neighbors
from jaxcnn.visualize.subject import Subject

BUDGET = 3e12  # multiply-accumulates of one pass over images: about a minute of two cores


@dataclass(frozen=True)
class Examined:
    """A run, its network and its data; `test` and `train` are as many of its images as the budget of a pass allows.

    `logits` (N, K) and `hidden` are of the test images; `epochs` are the arrays of the epochs that the run has kept.
    """

    name: str
    record: Record
    finished: Finished
    trained: Trained
    dataset: Dataset
    subject: Subject
    test: Split
    train: Split
    logits: np.ndarray
    around: Neighbors | None
    epochs: Mapping[int, tuple[Params, Params]]
    passes: int

    @property
    def result(self) -> dict[str, Any]:
        """What result.json says."""
        return self.finished.result

    @property
    def network(self) -> tuple[Any, Params, Params]:
        """The spec and its arrays."""
        return self.subject.net, self.subject.params, self.subject.batch_stats

    @property
    def labels(self) -> np.ndarray:
        """The classes of the test images."""
        return self.test.labels

    @cached_property
    def shares(self) -> np.ndarray:
        """The probability of every class for every test image, (N, K)."""
        wide = self.logits.astype(np.float64)
        powers = np.exp(wide - wide.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    @cached_property
    def said(self) -> np.ndarray:
        """The most probable class of every test image."""
        return self.logits.argmax(1)

    @property
    def right(self) -> np.ndarray:
        """Of which test images that is the class."""
        return self.said == self.labels

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the most probable class."""
        return self.shares.max(1)

    @cached_property
    def macs(self) -> int:
        """The multiply-accumulates of a forward pass of one image."""
        return max(1, macs(self.subject.net, self.subject.shape))

    def affordable(self, passes: int, most: int, budget: float = BUDGET) -> int:
        """How many images can take so many forward passes each within a budget: at least 1, at most `most`."""
        return int(max(1, min(most, budget // (self.macs * passes))))

    @cached_property
    def of_bytes(self) -> Prepare:
        """From images uint8 to what the network takes; always the same function, so that it is compiled once."""
        return self.subject.of_bytes()

    @property
    def at_once(self) -> int:
        """How many images go through the network together."""
        return at_once(self.subject.shape)

    @cached_property
    def start(self) -> Params | None:
        """The parameters that training began with, where they were drawn."""
        config = self.record.config
        if config.weights or config.whiten:
            return None
        return init(self.subject.net, initial_key(config), self.subject.shape)[0]

    def of_test(self, number: int) -> str:
        """A test image by its place in the test images."""
        return f"test image {number}"


def examine(folder: Path, *, checkpoint: Literal["last", "best"] | None = None, trust: bool = False) -> Examined:
    """A run that is done, with its data: what its network says of the test images, and which images it finds alike.

    Raises InputError where the folder is none of a run, or not of one that is done, where it has learned something
    else than classes, where its checkpoint is not sound, or its data are not there any more.
    """
    record, done = read_record(folder), finished(folder)
    if not isinstance(record.config.task, Classification):
        raise InputError(
            f"{folder} has learned {record.config.task.kind()}: a report is of a network that tells classes"
        )
    run = trained(folder, checkpoint, trust=trust)
    try:
        dataset = load(record.config.data).in_memory()
    except InputError as error:
        raise InputError(f"the images of {folder} cannot be read, without which there is no report: {error}") from error
    facts = record.facts
    if dataset.test.images.shape[1:] != facts.input or dataset.classes != facts.classes:
        raise InputError(f"the data {record.config.data.source} are not those any more that {folder} was trained on")
    subject = Subject(
        run.net, run.params, run.batch_stats, facts.input, facts.classes,
        lambda pixels: normalize(255 * pixels, facts.mean, facts.std),
    )  # fmt: skip
    about = Examined(
        folder.resolve().name, record, done, run, dataset, subject, dataset.test, dataset.train,
        np.zeros((0, 0)), None, {}, 0,
    )  # fmt: skip
    some = dataset.limited(about.affordable(1, max(len(dataset.test.labels), len(dataset.train.labels))))
    prepare = subject.of_bytes()
    logits = in_batches(lambda images: _logits(*about.network, images, prepare), some.test.images, about.at_once)
    around = neighborhood(subject, some.train.images, some.test.images, about.at_once)
    kept = kept_epochs(folder, run.net, facts.input) if places(epochs(folder)) else {}
    passes = len(some.test.labels) + (len(some.train.labels) + len(some.test.labels) if around else 0)
    return Examined(
        about.name, record, done, run, dataset, subject, some.test, some.train, logits, around, kept, passes
    )


@partial(jax.jit, static_argnums=(0, 4))
def _logits(net: Spec, params: Params, batch_stats: Params, images: jax.Array, prepare: Prepare) -> jax.Array:
    return apply(net, params, batch_stats, prepare(images))[0]
