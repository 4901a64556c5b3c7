"""A file that one process at a time can hold."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Locked(RuntimeError):
    """Another process holds the file; the message is who: `process 4711 on HOST`."""


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file, which is made where there is none and stays. Whatever ends this process, releases it.

    Where the system has no such locks, the process that the file names holds it while that lives; one on another host
    counts as living.

    Raises Locked where another process, or this one, holds it already, and OSError where it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _system_lock(descriptor):
            raise Locked(_holder(descriptor) or "another process")
        with suppress(OSError):  # on a full disk, others are not told who it is
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, _this_process().encode())
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _system_lock(descriptor: int) -> bool:
    """Whether this process holds the file now."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return not _alive(_holder(descriptor))


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1000).decode(errors="replace").strip()


def _alive(holder: str) -> bool:
    number, _, host = holder.removeprefix("process ").partition(" on ")
    if not number.isdecimal():
        return False
    if host != socket.gethostname() or os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
