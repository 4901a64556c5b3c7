"""Which folders are the splits and the classes, and which images belong to them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePath
from typing import NamedTuple

from jaxcnn.data.tree import File, Folder, Tree, composed
from jaxcnn.host.errors import InputError
from jaxcnn.host.text import counted

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation")
LAYOUT = "the layout is <class>/<image>, or train/<class>/<image> and test/<class>/<image>"
DEEPEST = 100  # folders that enclose everything; a link in an archive may lead to the one that it is in
MOST = 5  # of a kind that are named one by one

Labelled = list[tuple[File, int]]  # images and their labels


class Arrangement(NamedTuple):
    """What of a source is learned from, and what is to be said of the rest."""

    classes: tuple[str, ...]
    train: Labelled
    test: Labelled  # empty where the source has no test split
    notes: tuple[str, ...]


def arrange(tree: Tree, source: Path) -> Arrangement:
    """Find the splits, the classes in natural order of their names, and the images in the order of theirs.

    `train/` is the training split; the first of TEST that holds classes is the test split, where one does. Folders
    that enclose everything are stepped into. Raises InputError, naming the folder, for what would give a wrong or
    partial data set.
    """
    top, where = _inside(tree.root, source, (*TRAIN, *TEST))
    flat = [name for name, folder in top.folders.items() if folder.has_images and not _has_classes(folder)]
    splits = {name.lower(): name for name in top.folders if name not in flat}
    train = next((splits[name] for name in TRAIN if name in splits), None)
    # A class may well be called "train"; but where every folder sounds like a split, none of them is a class.
    if flat and train is None and all(re.match("train|test|val", name.lower()) for name in top.folders):
        raise InputError(f"{where / min(flat)} holds images but no class folders: {LAYOUT}")
    tests = [splits[name] for name in TEST if name in splits and _has_classes(top.folders[splits[name]])]
    if train is None and tests:
        raise InputError(f"{where} has {tests[0]}/ but no train/: {LAYOUT}")
    folder, at = (top, where) if train is None else _inside(top.folders[train], where / train)
    classes = _classes(folder, at)
    learned, tested, notes = _labelled(classes, folder), Labelled(), ()
    if tests:
        folder, test_at = _inside(top.folders[tests[0]], where / tests[0])
        if odd := sorted(_class_folders(folder, test_at) - set(classes)):
            raise InputError(f"{test_at} has the class folder {odd[0]!r}, but {at} has not")
        tested = _labelled(classes, folder)
        notes = _which_test(tests)
    return Arrangement(tuple(classes), learned, tested, (*notes, *_left_out(tree, learned + tested, where, source)))


def _inside(folder: Folder, where: Path, splits: tuple[str, ...] = ()) -> tuple[Folder, Path]:
    """Step into folders that enclose all there is, but not into those of a split or a class."""
    for _ in range(DEEPEST):
        if len(folder.folders) != 1 or folder.has_images:
            break
        name, below = next(iter(folder.folders.items()))
        if name.lower() in splits or below.has_images or not below.folders:
            break
        folder, where = below, where / name
    return folder, where


def _has_classes(folder: Folder) -> bool:
    return any(below.has_images for below in _inside(folder, Path())[0].folders.values())


def _class_folders(folder: Folder, where: Path) -> set[str]:
    """The names of the folders with images. Raises InputError where some lie deeper than that."""
    for name, inside in folder.folders.items():
        if deep := [below for below, deeper in inside.folders.items() if deeper.has_images]:
            raise InputError(f"{where / name / min(deep)} holds images below the class folder {name!r}: {LAYOUT}")
    return {name for name, inside in folder.folders.items() if inside.has_images}


def _classes(folder: Folder, where: Path) -> list[str]:
    """The names of the classes in natural order: "2" before "10"."""
    if not folder.folders:
        raise InputError(f"{where} has no class folders: {LAYOUT}")
    full = _class_folders(folder, where)
    for name, inside in folder.folders.items():
        if name not in full:
            others = f"it has {min(file.parts[-1] for file in inside.files)}, but " if inside.files else ""
            raise InputError(f"the class folder {where / name} is empty: {others}no image that Pillow reads")
    if len(full) == 1:
        raise InputError(f"{where} has one class folder, {min(full)!r}: two or more are needed")
    return sorted(full, key=lambda name: (re.sub("[0-9]+", lambda run: run[0].zfill(20), name), name))


def _labelled(classes: list[str], folder: Folder) -> Labelled:
    none = Folder({}, [])
    return [(file, label) for label, name in enumerate(classes) for file in folder.folders.get(name, none).images]


def _which_test(tests: list[str]) -> tuple[str, ...]:
    if len(tests) == 1:
        return ()
    others = " and ".join(f"{name}/" for name in tests[1:])
    return (f"{tests[0]}/ is the test split; {others} {'is' if len(tests) == 2 else 'are'} not used",)


def _left_out(tree: Tree, used: Labelled, where: Path, source: Path) -> list[str]:
    """What is said of the files that are neither trained on nor tested on."""
    taken = {file.origin for file, _ in used}
    images = [file for file in tree.files if file.image and file.origin not in taken]
    others = [file for file in tree.files if not file.image]
    notes = []
    if images:
        top = len(where.relative_to(source).parts)
        places = Counter(_place(composed(file.parts), top) for file in images)
        notes.append(f"left out {counted(len(images), 'image')} outside the class folders: {_listed(places)}")
    kinds = Counter(PurePath(file.parts[-1]).suffix.lower() or "without an ending" for file in others if not file.fault)
    if kinds:
        what = counted(kinds.total(), "file that is no image", "files that are no images")
        notes.append(f"left out {what}: {_listed(kinds)}")
    for fault, count in sorted(Counter(file.fault for file in others if file.fault).items()):
        notes.append(f"left out {counted(count, 'file')}, {'each ' if count > 1 else ''}{fault}")
    return notes


def _place(parts: tuple[str, ...], top: int) -> str:
    return f"in {parts[top]}/" if len(parts) > top + 1 else "in none"


def _listed(counts: Counter[str]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {what}" for what, count in most[:MOST]]
    rest = sum(count for _, count in most[MOST:])
    return ", ".join([*named, f"{rest:,} others"] if rest else named)
