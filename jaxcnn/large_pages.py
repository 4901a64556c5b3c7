"""Large pages for the arrays of a CPU under Linux.

XLA allocates the intermediate arrays of every step anew, and Linux hands out such memory in pages of 4 KiB, with one
fault each: 70,000 in a training step of cifar_cnn, 318,000 (a third of its time) in one of a MobileNetV2-like stack.
The C library can ask for pages of 2 MiB instead, and keep what is freed for the next array, but reads those wishes
only when a program starts.
"""

from __future__ import annotations

import itertools
import os
import platform
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

SETTING = "glibc.malloc.hugetlb"
# arrays below 32 MiB (more cannot be said) come from one heap, of which up to 256 MiB may lie unused
HEAP = f"glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold={1 << 25}:glibc.malloc.trim_threshold={1 << 28}"
SETTINGS = f"{SETTING}=1:{HEAP}"
POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def wanted(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which this program has large pages; None where it has them, or cannot, or has said no."""
    tunables = environment.get("GLIBC_TUNABLES", "")
    library, version = platform.libc_ver()
    if library != "glibc" or [int(part) for part in version.split(".")] < [2, 35] or SETTING in tunables:
        return None
    if not POLICY.is_file() or "[madvise]" not in POLICY.read_text():  # "always" needs no asking, "never" hears none
        return None
    return {**environment, "GLIBC_TUNABLES": ":".join(filter(None, [tunables, SETTINGS]))}


def restart() -> None:
    """Start this program again, in the same process, if it has not the large pages that it can have.

    For the beginning of a program, as whatever it has done is lost; nothing happens where other code, a notebook's or a
    debugger's, waits for this to return. `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` forbids it.
    """
    environment = wanted(os.environ)
    if environment and sys.executable and _is_the_program():
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _is_the_program() -> bool:
    callers = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_stack(None)]
    own = itertools.dropwhile(lambda name: name == "runpy", reversed(callers))  # that is `python -m`
    return all(name == "__main__" or name.split(".")[0] == "jaxcnn" for name in own)
