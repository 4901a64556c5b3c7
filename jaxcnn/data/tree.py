"""The entries of a source as nested folders of files, each file with the place where its bytes are."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from jaxcnn.data.archives import is_archive_name
from jaxcnn.data.entries import Entry, Parts, visible
from jaxcnn.data.images import HEAD, LARGEST, is_image, is_image_name
from jaxcnn.host.text import bytes_text

LINKS = 40  # links that one link may lead to in turn (Linux: path_resolution(7))


class File(NamedTuple):
    """A visible file: where it lies in the source, and what can be read of it."""

    parts: Parts
    origin: Parts  # the place of its bytes: of a link in an archive, where it leads
    image: bool
    fault: str = ""  # why it cannot be read
    size: int = 0  # in bytes


class Folder(NamedTuple):
    """A folder by the names of what lies in it; names in composed and decomposed Unicode (NFC, NFD) are one."""

    folders: dict[str, Folder]
    files: list[File]

    @property
    def has_images(self) -> bool:
        return any(file.image for file in self.files)

    @property
    def images(self) -> list[File]:
        """The images, in the order of their names."""
        return sorted((file for file in self.files if file.image), key=lambda file: (composed(file.parts), file.parts))


class Tree(NamedTuple):
    """All that is visible in a source."""

    root: Folder
    files: list[File]
    archives: bool  # whether archives are among the files


def tree_of(entries: Iterator[Entry]) -> Tree:
    """Arrange the entries; an archive need not list a folder for it to be there."""
    root, files, links, hidden = Folder({}, []), {}, {}, {}
    archives = False
    for entry in entries:
        parts = entry.parts
        if not parts or not all(map(visible, parts)):
            if parts and entry.open:  # a link may lead to it
                hidden[composed(parts)] = File(parts, parts, is_image_name(parts[-1]), size=entry.size)
            continue
        # An archive may hold a name twice: the last is meant, as where it is unpacked.
        if entry.link is not None:
            files.pop(parts, None)
            links[parts] = entry.link
        elif entry.open or entry.fault:
            links.pop(parts, None)
            files[parts] = _file(entry)
            archives = archives or is_archive_name(parts[-1])
        else:
            _folder(root, parts)
    for file in files.values():
        _folder(root, file.parts[:-1]).files.append(file)
    linked = _follow(root, hidden | {composed(parts): file for parts, file in files.items()}, links)
    return Tree(root, [*files.values(), *linked], archives)


def _file(entry: Entry) -> File:
    name, fault = entry.parts[-1], entry.fault
    image = is_image_name(name)
    if entry.open and entry.size and not image:
        image = _holds_image(entry)
    if image and entry.size > LARGEST:
        fault = f"of {bytes_text(entry.size)}, and of one image at most {bytes_text(LARGEST)} are read"
    return File(entry.parts, entry.parts, image, fault, entry.size)


def _holds_image(entry: Entry) -> bool:
    assert entry.open
    try:
        with entry.open() as file:
            return is_image(entry.parts[-1], file.read(HEAD))
    except entry.alone:
        return False


def composed(parts: Parts) -> Parts:
    """The parts in composed Unicode (NFC): macOS writes the same names in the other form."""
    return tuple(part if part.isascii() else unicodedata.normalize("NFC", part) for part in parts)


def _folder(root: Folder, parts: Parts) -> Folder:
    for part in composed(parts):
        root = root.folders.setdefault(part, Folder({}, []))
    return root


def _follow(root: Folder, files: dict[Parts, File], links: dict[Parts, Parts]) -> list[File]:
    """Put what an archive's links lead to where they lie, a folder as itself. Gives the files that there are more."""
    linked = []
    for _ in range(LINKS):
        waiting = {}
        for parts, target in links.items():
            above, name = _folder(root, parts[:-1]), composed(parts)[-1]
            if file := files.get(composed(target)):
                linked.append(file._replace(parts=parts, image=file.image or is_image_name(name)))
                above.files.append(linked[-1])
                files[composed(parts)] = linked[-1]
            elif folder := _found(root, target):
                above.folders.setdefault(name, folder)
            else:
                waiting[parts] = target
        if len(waiting) == len(links):  # what is left leads in a circle, or to nothing that the archive holds
            break
        links = waiting
    for parts in links:
        lost = File(parts, parts, is_image_name(parts[-1]), "a link that leads nowhere within the archive")
        _folder(root, parts[:-1]).files.append(lost)
        linked.append(lost)
    return linked


def _found(root: Folder, parts: Parts) -> Folder | None:
    for part in composed(parts):
        if part not in root.folders:
            return None
        root = root.folders[part]
    return root
