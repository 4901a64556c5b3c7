"""Labelled images from many sources as one value: pixels and labels, split into training and test images."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import NamedTuple

import numpy as np

from jaxcnn.config import DataConfig
from jaxcnn.errors import InputError


class Split(NamedTuple):
    """Images and their labels, in an order that does not depend on the machine."""

    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int32 (N,): places in Dataset.classes


class Dataset(NamedTuple):
    """A classification data set, whole, in memory."""

    name: str  # the source string it was loaded by
    classes: tuple[str, ...]
    train: Split
    test: Split


SOURCES = {"digits": "digits", "idx": "idx:DIR", "folder": "folder:PATH", "tfds": "tfds:NAME"}


def load(config: DataConfig) -> Dataset:
    """Read the data set that `config.source` names, with images of `config.size` and `config.channels`.

    Raises InputError, with a sentence that names the file or the field, for whatever cannot be read.
    """
    if config.size is not None and len(config.size) != 2:
        raise InputError(f"data.size is a height and a width, not {config.size}")
    if config.channels not in (None, 1, 3):
        raise InputError(f"data.channels is 1 (gray), 3 (RGB) or None (as is), not {config.channels}")
    kind, _, where = config.source.partition(":")
    if kind not in SOURCES or bool(where) != (":" in SOURCES[kind]):
        raise InputError(_unknown(config.source))
    # Each reader loads its library (scikit-learn, Pillow, TFDS) only when it is asked for.
    reader = importlib.import_module(f"jaxcnn.data.{kind}")
    dataset = reader.load(where, config)
    if config.train_fraction == 1:
        return dataset
    kept, _ = hold_out(dataset.train.labels, 1 - config.train_fraction, config.split_seed)
    return dataset._replace(train=Split(dataset.train.images[kept], dataset.train.labels[kept]))


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
    if seed < 0:
        raise InputError(f"data.split_seed is 0 or more, not {seed}")
    # NumPy promises that a bit generator's raw stream never changes; it promises no such thing of
    # Generator.permutation. Sorting raw 64-bit draws is the same shuffle on every machine and version.
    shuffled = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        raise InputError("no class has a second image to hold out for testing: add images, or a test split")
    return np.flatnonzero(~held), np.flatnonzero(held)


def divide(images: np.ndarray, labels: np.ndarray, config: DataConfig) -> tuple[Split, Split]:
    """Split images that came in one piece into (train, test), as `hold_out` chooses."""
    train, test = hold_out(labels, config.test_fraction, config.split_seed)
    return Split(images[train], labels[train]), Split(images[test], labels[test])
