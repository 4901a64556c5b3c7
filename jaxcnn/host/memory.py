"""How much memory this process may still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.host.text import bytes_text


class TooLarge(InputError):
    """Memory does not hold what is asked for."""


def require_memory(size: int, what: str, advice: str) -> None:
    """Raise TooLarge where `what` takes `size` bytes and fewer are free: what is needed, what is free, the advice."""
    free = free_memory()
    if free is not None and size > free:
        raise TooLarge(f"{what} take {bytes_text(size)} of memory, and {bytes_text(free)} are free: {advice}")


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    The least of what the machine has free, what its control groups (containers, batch systems) leave it, and what
    `ulimit -v` does. `root` is where `proc` and `sys` are found.
    """
    limits = [*_machine(root), *_groups(root), *_address_space(root)]
    return max(min(limits), 0) if limits else None


def _machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024
            return
    names = getattr(os, "sysconf_names", {})
    pages = next((name for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES") if name in names), None)
    if pages and "SC_PAGE_SIZE" in names:  # macOS says only how much there is, free or not
        yield os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")


def _groups(root: Path) -> Iterator[int]:
    """What each control group that the process is in, and each that holds it, still has (Linux: cgroups(7))."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = ("", "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        top = root / "sys/fs/cgroup" / names[0]
        folder = top / path.lstrip("/")
        # In a container the path is the host's, while the container's own group is mounted at the top.
        for group in [folder, *folder.parents][: len(folder.relative_to(top).parts) + 1]:
            yield from _left(group, *names[1:])


def _left(group: Path, limit: str, used: str, cache: str) -> Iterator[int]:
    try:
        most, now = int((group / limit).read_text()), int((group / used).read_text())
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return
    # The kernel drops cached files where a program needs their memory.
    cached = [int(line.split()[1]) for line in _lines(group / "memory.stat") if line.split()[0] == cache]
    yield most - now + sum(cached)


def _address_space(root: Path) -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        used = next(iter(_lines(root / "proc/self/statm")), "0").split()[0]
        yield most - int(used) * resource.getpagesize()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
