"""The folder where compiled programs are kept: for its owner alone, written by one process at a time, and checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MAKING = "making-"  # what the folders begin with in which a compiler is at work
FORGOTTEN = 24 * 60 * 60  # seconds after which a failure is tried again


class Unusable(Exception):
    """Why there is no program: a sentence, with the cure."""


def folder() -> Path:
    """Where what was compiled is kept: $XDG_CACHE_HOME/jaxcnn/native, by default in ~/.cache."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcnn" / "native"
    except RuntimeError as error:
        raise Unusable("there is no home folder to keep it in; name a folder of yours by XDG_CACHE_HOME") from error


def prepare() -> Path:
    """The folder, made if need be. One that others may write is refused: what is loaded from it runs as this user."""
    place = folder()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32":
        found = place.stat()
        cure = f"make it yours alone (chmod 700 {place}), or name another folder by XDG_CACHE_HOME"
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Unusable(f"others may write to {place} and so change what is run; {cure}")
        if found.st_uid not in (os.getuid(), 0):
            raise Unusable(f"{place} belongs to another user, who may change what is run; {cure}")
    return place


@contextlib.contextmanager
def lock(place: Path) -> Iterator[bool]:
    """Held by one process at a time; the system takes it from one that dies. False where there are no locks."""
    with open(place / "lock", "a") as file:
        yield _acquired(file)


if sys.platform == "win32":
    import msvcrt

    def _acquired(file) -> bool:
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                return True
            except OSError:  # after ten seconds
                continue
else:
    import fcntl

    def _acquired(file) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without them
            return False
        return True


@contextlib.contextmanager
def making(place: Path) -> Iterator[Path]:
    """A folder to compile in, removed in the end."""
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=place) as beside:
        yield Path(beside)


def sweep(place: Path) -> None:
    """Remove what processes left that were killed while they compiled; the caller holds the lock."""
    for left in place.glob(f"{MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)


def keep(made: Path, program: Path) -> None:
    """Put a program in its place, whole, with its checksum beside it, in the form of `sha256sum`."""
    checksum = made.with_suffix(".sha256")
    checksum.write_text(f"{_sum(made)}  {program.name}\n")
    made.replace(program)
    checksum.replace(program.with_suffix(".sha256"))
    failure(program).unlink(missing_ok=True)


def is_sound(program: Path) -> bool:
    """Whether a program is there and still what was put there."""
    try:
        return program.with_suffix(".sha256").read_text().split()[:1] == [_sum(program)]
    except FileNotFoundError:
        return False


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def failure(program: Path) -> Path:
    """The file that holds why a program could not be made."""
    return program.with_suffix(".failed")


def remember(program: Path, why: str) -> None:
    failure(program).write_text(why)


def remembered(program: Path) -> str | None:
    """Why a program could not be made, if that is less than a day ago."""
    try:
        file = failure(program)
        return file.read_text() if time.time() - file.stat().st_mtime < FORGOTTEN else None
    except FileNotFoundError:
        return None
