"""What lies in a source of images, one entry after another; here, that of a directory."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

Parts = tuple[str, ...]

HIDDEN = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found"}
DEPTH = 5  # an enclosing folder, the split, the class, the image, and one more to find what lies too deep


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of a source; a folder is what is none of the others."""

    parts: Parts
    size: int = 0  # bytes of a file
    open: Callable[[], IO[bytes]] | None = None  # to be called before the next entry is asked for
    link: Parts | None = None  # where a link in an archive leads; links in a directory are followed
    fault: str = ""  # what it is instead of a file that can be read
    alone: tuple[type[Exception], ...] = ()  # exceptions that reading raises for damage of this one file


def visible(name: str) -> bool:
    """Whether a name is one that its owner sees: neither hidden nor put there by a system."""
    return not name.startswith(".") and name.lower() not in HIDDEN


def directory(root: Path) -> Iterator[Entry]:
    """All that is visible in a directory, in the order of the names, so that errors too are the same everywhere."""
    return _folder(root, (), (root,))


def _folder(folder: Path, parts: Parts, above: tuple[Path, ...]) -> Iterator[Entry]:
    names = sorted(name for name in os.listdir(folder) if visible(name))
    for name in names:
        path, place = folder / name, (*parts, name)
        try:
            found = path.stat()
        except OSError as error:
            yield Entry(place, fault=_unreachable(path, error))
            continue
        if stat.S_ISREG(found.st_mode):
            yield Entry(place, found.st_size, partial(_opened, path), alone=(OSError,))
        elif not stat.S_ISDIR(found.st_mode):
            yield Entry(place, fault=_kind(found.st_mode))
        elif path.is_symlink() and any(path.samefile(folder) for folder in above):
            yield Entry(place, fault="a link that leads back to its own folder")
        else:
            yield Entry(place)
            if len(place) <= DEPTH:
                yield from _folder(path, place, (*above, path))


def _unreachable(path: Path, error: OSError) -> str:
    if path.is_symlink():
        return "a link that goes in a circle" if error.errno == errno.ELOOP else "a link that leads nowhere"
    return f"not to be read: {error.strerror}"


def _kind(mode: int) -> str:
    for is_kind, kind in ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket")):
        if is_kind(mode):
            return kind
    return "a device"


def _opened(path: Path) -> IO[bytes]:
    # Not to wait where the file has become a pipe since, or is one of the kernel's that wait for news.
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))


def parts_of(name: str) -> Parts:
    """The parts of a member's name, which archives made on Windows part by backslashes."""
    return tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))


def link_of(parts: Parts, target: str, base: Parts) -> Entry:
    """A link whose target is told from a folder of the archive."""
    target = target.replace("\\", "/")
    path = posixpath.normpath("/".join((*base, target)))
    if target.startswith("/") or path.split("/")[0] == "..":
        return Entry(parts, fault="a link that leads out of the archive")
    return Entry(parts, link=parts_of(path))
