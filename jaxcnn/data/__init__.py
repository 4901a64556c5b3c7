"""Labelled images from many sources as one value: pixels and labels, split into training and test images."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import numpy as np

from jaxcnn.data.config import DataConfig
from jaxcnn.data.stack import require_images
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.errors import InputError
from jaxcnn.host.memory import TooLarge
from jaxcnn.host.text import counted, printable


class Split(NamedTuple):
    """Images and their labels, in an order that does not depend on the machine."""

    images: np.ndarray  # uint8 (N, H, W, C); or a `Streamed`, which stands for one
    labels: np.ndarray  # int32 (N,): places in Dataset.classes


class Dataset(NamedTuple):
    """A classification data set: in memory, or streamed, but for its labels."""

    name: str  # the source string it was loaded by
    classes: tuple[str, ...]
    train: Split
    test: Split
    notes: tuple[str, ...] = ()  # sentences that whoever trains on it should read: what was left out, what is odd
    validation: Split | None = None  # training images that are not learned from, where `validation_fraction` asks so

    @property
    def judging(self) -> tuple[str, Split]:
        """The images by which each epoch is judged, and what they are called: "validation", or "test"."""
        return ("test", self.test) if self.validation is None else ("validation", self.validation)

    def in_memory(self) -> Dataset:
        """The same with all images read. Raises InputError where memory does not hold them."""

        def read(split: Split) -> Split:
            if isinstance(split.images, Streamed):
                require_images(len(split.labels), split.images.each)
            return Split(np.asarray(split.images), split.labels)

        rest = self.validation and read(self.validation)
        return self._replace(train=read(self.train), test=read(self.test), validation=rest)

    def limited(self, size: int) -> Dataset:
        """At most `size` images of each split, from all over it."""

        def some(split: Split) -> Split:
            places = np.linspace(0, len(split.labels) - 1, min(size, len(split.labels)), dtype=int)
            return Split(split.images[places], split.labels[places])

        rest = self.validation and some(self.validation)
        return self._replace(train=some(self.train), test=some(self.test), validation=rest)


SOURCES = {"digits": "digits", "idx": "idx:DIR", "folder": "folder:PATH", "tfds": "tfds:NAME"}

STREAMED = ("folder", "tfds")  # sources whose images can be read one by one


def load(config: DataConfig) -> Dataset:
    """Read the data set that `config.source` names, with images of `config.size` and `config.channels`.

    Raises InputError, with a sentence that names the file or the field, for whatever cannot be read.
    """
    kind, _, where = config.source.partition(":")
    if kind not in SOURCES or bool(where) != (":" in SOURCES[kind]):
        raise InputError(_unknown(config.source))
    if config.stream and kind not in STREAMED:
        raise InputError(f"data.stream is for {' and '.join(STREAMED)}: {config.source} is read as a whole")
    # Each reader loads its library (scikit-learn, Pillow, TFDS) only when it is asked for.
    reader = importlib.import_module(f"jaxcnn.data.{kind}")
    try:
        dataset = _with_validation(_with_fold(_read(reader, where, config), config), config)
        notes = (*dataset.notes, *_empty_classes(dataset))
    except InputError as error:
        raise InputError(printable(str(error))) from error
    except MemoryError as error:
        raise InputError(f"memory ended while {config.source} was read: {error}") from error
    # The one place where names from files become text that can be shown anywhere.
    return dataset._replace(classes=tuple(map(printable, dataset.classes)), notes=tuple(map(printable, notes)))


def _read(reader: ModuleType, where: str, config: DataConfig) -> Dataset:
    """What a source holds, in memory; streamed where that does not hold it, and the source can be."""
    try:
        return reader.load(where, config)
    except TooLarge as error:
        if config.source.partition(":")[0] not in STREAMED or config.skip_damaged:
            raise
        with contextlib.suppress(InputError):
            dataset = reader.load(where, replace(config, stream=True))
            return dataset._replace(notes=(*dataset.notes, f"images are streamed: {str(error).partition(': ')[0]}"))
        raise


def _with_fold(dataset: Dataset, config: DataConfig) -> Dataset:
    """The same, tested on a fold of its training images, which is not learned from; its test images are left out."""
    if not config.folds:
        return dataset
    images, labels = dataset.train
    held = fold_of(labels, config.folds, config.split_seed) == config.fold
    left = counted(len(dataset.test.labels), "test image")
    note = f"fold {config.fold} of {config.folds} of the training images is tested; the source's {left} are not used"
    train, test = (Split(images[places], labels[places]) for places in (~held, held))
    return dataset._replace(train=train, test=test, notes=(*dataset.notes, note))


def _with_validation(dataset: Dataset, config: DataConfig) -> Dataset:
    if not config.validation_fraction:
        return dataset
    images, labels = dataset.train
    learned, held = hold_out(labels, config.validation_fraction, config.split_seed)
    return dataset._replace(train=Split(images[learned], labels[learned]), validation=Split(images[held], labels[held]))


def _empty_classes(dataset: Dataset) -> list[str]:
    """What is said of classes without images. Raises InputError for a split without any."""
    notes = []
    for split, images in ("training", dataset.train), ("test", dataset.test):
        if not len(images.labels):
            raise InputError(f"{dataset.name} has no {split} images left")
        counts = np.bincount(images.labels, minlength=len(dataset.classes))
        if empty := [name for name, count in zip(dataset.classes, counts, strict=True) if not count]:
            names = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
            notes.append(f"no {split} images of {counted(len(empty), 'class', 'classes')}: {names}")
    return notes


def _unknown(source: str) -> str:
    """The sentence about a source that is none of the known forms."""
    kind = source.partition(":")[0]
    if kind in SOURCES:
        meant = [SOURCES[kind]]
    elif os.path.exists(os.path.expanduser(source)):
        meant = [f"folder:{source}"]
    else:
        meant = [SOURCES[close] for close in difflib.get_close_matches(kind.lower(), SOURCES, n=1)]
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return f"unknown data source {source!r}: it is one of {', '.join(SOURCES.values())}{hint}"


def hold_out(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose test images at random: (training places, test places), both ascending, without overlap.

    Of every class `fraction` is held out, to the nearest image, but at least one image where the class has
    two or more; one always stays in training. Raises InputError where nothing can be held out.
    """
    order = _shuffled(len(labels), seed)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        raise InputError("no class has a second image to hold out: add images, or a test split")
    return np.flatnonzero(~held), np.flatnonzero(held)


def _shuffled(size: int, seed: int) -> np.ndarray:
    # NumPy promises that a bit generator's raw stream never changes; it promises no such thing of
    # Generator.permutation. Sorting raw 64-bit draws is the same shuffle on every machine and version.
    return np.argsort(np.random.PCG64(seed).random_raw(size), kind="stable")


def fold_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold, from 1 on, that holds each image out: labels (N,) give (N,).

    Of every class each fold has as many images as any other, to within one, and so it has of all together (stratified
    cross-validation, Kohavi 1995). Raises InputError where no class has so many images.
    """
    largest = int(np.bincount(labels, minlength=1).max())
    if folds > largest:
        raise InputError(f"data.folds {folds} is more than the {counted(largest, 'image')} of the largest class")
    order = _shuffled(len(labels), seed)
    by_class = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int32)
    found[by_class] = np.arange(len(labels)) % folds + 1  # one class begins where another ends, so that sizes agree
    return found


def kept(labels: np.ndarray, config: DataConfig) -> np.ndarray:
    """The places of the training images to learn from, ascending: `config.train_fraction` of every class."""
    if config.train_fraction == 1:
        return np.arange(len(labels))
    return hold_out(labels, 1 - config.train_fraction, config.split_seed)[0]


def divide(images: np.ndarray, labels: np.ndarray, config: DataConfig) -> tuple[Split, Split]:
    """Split images that came in one piece into (train, test), as `hold_out` and `kept` choose."""
    train, test = hold_out(labels, config.test_fraction, config.split_seed)
    train = train[kept(labels[train], config)]
    return Split(images[train], labels[train]), Split(images[test], labels[test])


def thinned(split: Split, config: DataConfig) -> Split:
    """The training images to learn from, as `kept` chooses."""
    if config.train_fraction == 1:
        return split
    places = kept(split.labels, config)
    return Split(split.images[places], split.labels[places])
