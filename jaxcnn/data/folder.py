"""Images sorted into class folders, in a directory or in an archive of one (read without unpacking)."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcnn.config import DataConfig
from jaxcnn.data import Dataset, Split, hold_out
from jaxcnn.data.images import EXTENSIONS, decode, stack
from jaxcnn.errors import InputError

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
LAYOUT = "the layout is <class>/<image>, or train/<class>/<image> and test/<class>/<image>"
DEPTH = 5  # an enclosing folder, the split, the class, the image, and one more to find what lies too deep
DAMAGE = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)

Parts = tuple[str, ...]
Entry = tuple[Parts, Callable[[], bytes] | None]  # a path in the source; how to read it, None for a folder
Named = list[tuple[Parts, int]]  # an image's path and its label


class Folder(NamedTuple):
    folders: dict[str, Folder]
    files: set[str]


def load(where: str, config: DataConfig) -> Dataset:
    """Read class folders of JPEG and PNG files from a directory or a .tar, .tar.gz, .tar.xz or .zip of one.

    The folders `train/` and `test/` (or `val/`, `valid/`, `validation/`, in this order) are the splits where
    they exist; else `config.test_fraction` is held out. Folders that enclose everything are stepped into.
    Classes are in natural order of their names ("2" before "10"), images in order of theirs. Hidden files
    (.x, __MACOSX, Thumbs.db) are ignored, and so is anything but images beside images or class folders.

    Raises InputError, naming the file or folder, for anything that would give a wrong or partial data set.
    """
    root = Path(where).expanduser()
    entries = _reader(root)
    try:
        # Two passes: the first learns every image's place, so that the second can put each, as it comes by in
        # the archive's order, where it belongs in an array of the final size. Memory holds the pixels once.
        classes, train, test = _arrange(_tree(entries()), root)
        if not test:
            labels = np.array([label for _, label in train])
            kept, held = hold_out(labels, config.test_fraction, config.split_seed)
            train, test = [train[row] for row in kept], [train[row] for row in held]
        rows = {parts: row for row, (parts, _) in enumerate(train + test)}
        named = (
            (rows[parts], name := str(root.joinpath(*parts)), decode(read(), name))
            for parts, read in entries()
            if read is not None and parts in rows
        )
        images = stack(len(rows), named, config.size, config.channels)
    except DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise InputError(f"{root} cannot be read, or is damaged: {reason}") from error
    labels = np.array([label for _, label in train + test], np.int32)
    cut = len(train)
    splits = Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    return Dataset(config.source, classes, *splits)


def _reader(root: Path) -> Callable[[], Iterator[Entry]]:
    if not root.exists():
        raise InputError(f"{root} does not exist: folder:PATH names a directory or an archive")
    if root.is_dir():
        return partial(_directory, root)
    if root.suffix.lower() == ".zip":
        return partial(_zip, root)
    if re.search(r"\.(tar(\.\w+)?|tgz|txz|tbz2?)$", root.name.lower()):
        return partial(_tar, root)
    raise InputError(f"{root} is neither a directory nor a .tar, .tar.gz, .tar.xz or .zip archive")


def _directory(root: Path) -> Iterator[Entry]:
    def fail(error: OSError) -> None:  # without it, os.walk leaves out what it may not read
        raise error

    for folder, folders, files in os.walk(root, onerror=fail, followlinks=True):
        parts = Path(folder).relative_to(root).parts
        folders.sort()  # os.walk goes on in this order, so that errors too are the same on every file system
        for name in folders:
            yield (*parts, name), None
        for name in sorted(files):
            yield (*parts, name), Path(folder, name).read_bytes
        if len(parts) == DEPTH:
            folders.clear()


def _zip(root: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(root) as archive:
        for info in archive.infolist():
            if info.flag_bits & 1:
                raise InputError(f"{root} is encrypted: unpack it with its password")
            yield _parts(info.filename), None if info.is_dir() else partial(archive.read, info)


def _tar(root: Path) -> Iterator[Entry]:
    def read(member: tarfile.TarInfo) -> bytes:
        file = archive.extractfile(member)  # follows links within the archive
        if file is None:
            raise InputError(f"{root}: {member.name} is not a file")
        return file.read()

    with tarfile.open(root) as archive:
        for member in archive:
            yield _parts(member.name), None if member.isdir() else partial(read, member)
        # tarfile takes damage between two members for the end, and would quietly give the images before it.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{root} is damaged: no end mark at byte {archive.offset} of the tar file")


def _parts(name: str) -> Parts:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _tree(entries: Iterator[Entry]) -> Folder:
    """The visible files as nested folders; an archive need not list a folder for it to be there."""
    root = Folder({}, set())
    for parts, read in entries:
        if any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db") for part in parts):
            continue
        folder = root
        for part in parts if read is None else parts[:-1]:
            folder = folder.folders.setdefault(part, Folder({}, set()))
        if read is not None and parts:
            folder.files.add(parts[-1])
    return root


def _images(folder: Folder) -> list[str]:
    return sorted(name for name in folder.files if name.lower().endswith(EXTENSIONS))


def _arrange(tree: Folder, root: Path) -> tuple[tuple[str, ...], Named, Named]:
    """The classes, and the labelled images for training and for testing (none without such a split)."""
    top: Parts = ()
    while len(tree.folders) == 1 and not _images(tree):
        name, inside = next(iter(tree.folders.items()))
        if name.lower() in TRAIN + TEST or _images(inside) or not inside.folders:
            break
        tree, top = inside, (*top, name)
    where = root.joinpath(*top)
    flat = [name for name, folder in tree.folders.items() if _images(folder)]
    # A class may well be called "train"; but where every folder sounds like a split, none of them is a class.
    if flat and all(re.match("train|test|val", name.lower()) for name in tree.folders):
        raise InputError(f"{where / min(flat)} holds images but no class folders: {LAYOUT}")
    splits = {name.lower(): name for name in tree.folders if name not in flat}
    train = next((splits[name] for name in TRAIN if name in splits), None)
    test = next((splits[name] for name in TEST if name in splits), None)
    if train is None and test is None:
        classes = _classes(tree, where)
        return tuple(classes), _labelled(classes, tree, top), []
    if train is None:
        raise InputError(f"{where} has {test}/ but no train/: {LAYOUT}")
    classes = _classes(tree.folders[train], where / train)
    labelled = _labelled(classes, tree.folders[train], (*top, train))
    if test is None:
        return tuple(classes), labelled, []
    others = _classes(tree.folders[test], where / test)
    if odd := sorted(set(classes) ^ set(others)):
        has, lacks = (train, test) if odd[0] in classes else (test, train)
        raise InputError(f"{where / has} has the class folder {odd[0]!r}, but {where / lacks} has not")
    return tuple(classes), labelled, _labelled(classes, tree.folders[test], (*top, test))


def _classes(tree: Folder, where: Path) -> list[str]:
    if not tree.folders:
        raise InputError(f"{where} has no class folders: {LAYOUT}")
    for name, folder in tree.folders.items():
        if deep := [below for below, inside in folder.folders.items() if _images(inside)]:
            inner = where / name / min(deep)
            raise InputError(f"{inner} holds images below the class folder {name!r}: {LAYOUT}")
        if not _images(folder):
            others = f"it has {min(folder.files)}, but " if folder.files else ""
            raise InputError(f"the class folder {where / name} is empty: {others}no .jpg, .jpeg or .png file")
    if len(tree.folders) == 1:
        raise InputError(f"{where} has one class folder, {min(tree.folders)!r}: two or more are needed")
    return sorted(tree.folders, key=lambda name: (re.sub("[0-9]+", lambda run: run[0].zfill(20), name), name))


def _labelled(classes: list[str], tree: Folder, top: Parts) -> Named:
    files = [(label, name, _images(tree.folders[name])) for label, name in enumerate(classes)]
    return [((*top, name, image), label) for label, name, images in files for image in images]
