"""Images sorted into class folders, in a directory or in an archive of one (read without unpacking)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxcnn.data import Dataset, Split, hold_out, kept
from jaxcnn.data.archives import NESTED, archive, damaged, within
from jaxcnn.data.arrange import MOST, Labelled, arrange
from jaxcnn.data.config import DataConfig
from jaxcnn.data.encoded import encoded
from jaxcnn.data.entries import Entry, Parts, directory
from jaxcnn.data.images import decode, read_bytes
from jaxcnn.data.stack import Row, stack
from jaxcnn.data.streamed import streamed
from jaxcnn.data.tar import UNREADABLE
from jaxcnn.data.tree import Tree, tree_of
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded
from jaxcnn.host.text import counted


def load(where: str, config: DataConfig) -> Dataset:
    """Read class folders of images from a directory or an archive of one, as `arrange` finds them.

    An image is whatever Pillow reads, of which the first frame; an archive is a .zip or a .tar, bare or compressed by
    gzip, xz, bzip2 or Zstandard. Both are told by their content. Where a source holds archives instead of images, as
    a train.zip beside a test.zip, each is a folder of its name. Where it has no test split, `config.test_fraction` is
    held out. Hidden files are ignored; what else is left out is said in the notes.

    Raises InputError, naming the file or folder, for anything that would give a wrong or partial data set; for
    damaged images unless `config.skip_damaged`.
    """
    root = expanded(where)
    try:
        tree, nested = _survey(root)
        classes, train, test, notes = arrange(tree, root)
        lost = {file.origin: f"{_name(root, file.parts)} is {file.fault}" for file, _ in train + test if file.fault}
        while True:
            learned, tested = _chosen(train, test, lost, config)
            if config.stream:
                files = [(file.origin, file.size) for file, _ in learned + tested]
                images = streamed(encoded(root, files, nested), len(files), config)
                break
            # Two passes: the first has learned every image's place, so that the second can put each, as it comes by
            # in the archive's order, where it belongs in an array of the final size. Memory holds the pixels once.
            images, damage = _read(_entries(root, nested), learned + tested, root, config)
            lost |= damage
            if lost and not config.skip_damaged:
                raise InputError(f"{_named(lost, len(train + test))}; --data.skip-damaged goes on without")
            if images is not None:
                break  # else once more, as if the damaged ones had not been there
    except UNREADABLE as error:
        raise InputError(damaged(str(root), error)) from error
    labels, cut = _labels(learned + tested), len(learned)
    splits = Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    if lost:
        notes = (*notes, f"{_named(lost, len(train + test))}; left out, as data.skip_damaged says")
    return Dataset(config.source, classes, *splits, notes)


def _survey(root: Path) -> tuple[Tree, int]:
    """What lies in the source, and how deep its archives must be looked into for images."""
    for nested in range(NESTED):
        tree = tree_of(_entries(root, nested))
        if not tree.archives or any(file.image for file in tree.files):
            return tree, nested
    return tree_of(_entries(root, NESTED)), NESTED


def _entries(root: Path, nested: int) -> Iterator[Entry]:
    if root.is_dir():
        yield from within(directory(root), nested, str(root))
    elif root.is_file():
        with root.open("rb") as file:
            yield from within(archive(file, str(root)), nested, str(root))
    else:
        fault = "is neither a directory nor an archive" if root.exists() else "does not exist"
        raise InputError(f"{root} {fault}: folder:PATH names a directory or an archive")


def _chosen(train: Labelled, test: Labelled, lost: Container[Parts], config: DataConfig) -> tuple[Labelled, Labelled]:
    """The images to learn from and those to test on, of which no others are read."""
    learned, tested = ([each for each in part if each[0].origin not in lost] for part in (train, test))
    if not test:
        places, held = hold_out(_labels(learned), config.test_fraction, config.split_seed)
        learned, tested = [learned[row] for row in places], [learned[row] for row in held]
    return [learned[row] for row in kept(_labels(learned), config)], tested


def _labels(labelled: Labelled) -> np.ndarray:
    return np.array([label for _, label in labelled], np.int32)


def _name(root: Path, parts: Parts) -> str:
    return str(root.joinpath(*parts))


def _read(
    entries: Iterator[Entry], labelled: Labelled, root: Path, config: DataConfig
) -> tuple[np.ndarray | None, dict[Parts, str]]:
    """The images, None where some are damaged; sentences about those, by the places of their bytes."""
    rows: dict[Parts, list[int]] = {}
    for row, (file, _) in enumerate(labelled):
        rows.setdefault(file.origin, []).append(row)
    damage: dict[Parts, str] = {}

    def images() -> Iterator[Row]:
        for entry in entries:
            if entry.parts not in rows or not entry.open:
                continue
            name = _name(root, entry.parts)
            try:
                pixels = _pixels(entry, name, config)
            except InputError as error:
                damage[entry.parts] = str(error)
                continue
            yield from ((row, name, pixels) for row in rows[entry.parts])

    try:
        fitted = replace(config, size=None, channels=None, resize=None)
        return stack(len(labelled), images(), fitted), damage
    except InputError:
        if damage:  # so that some are missing; whatever else there was comes up again
            return None, damage
        raise


def _pixels(entry: Entry, name: str, config: DataConfig) -> np.ndarray:
    assert entry.open
    try:
        with entry.open() as file:
            data = read_bytes(file, name, entry.size)
    except entry.alone as error:
        raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return decode(data, name, config.size, config.channels, config.fit, config.resize)


def _named(lost: dict[Parts, str], count: int) -> str:
    more = f"; and {len(lost) - MOST:,} more" if len(lost) > MOST else ""
    what = f"{len(lost):,} of {counted(count, 'image')} {'is' if len(lost) == 1 else 'are'} damaged or cannot be read"
    return f"{what}: {'; '.join(sorted(lost.values())[:MOST])}{more}"
