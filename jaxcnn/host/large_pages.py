"""Large pages for the arrays of a CPU under Linux.

XLA allocates the intermediate arrays of every step anew, and Linux hands out such memory in pages of 4 KiB, with one
fault each: 57,000 in a training step of cifar_cnn, 310,000 (a third of its time) in one of a MobileNetV2-like stack.
The C library can ask for pages of 2 MiB instead, and keep what is freed for the next array, but reads those wishes
only when a program starts. What can be asked of it later (`mallopt`: no array gets memory of its own, nothing is given
back; `madvise` on the heap) is as fast, but twice the memory: an array does not fit again where one of its size was.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from jaxcnn.host.interrupts import hold_for_restart

SWITCH = "JAXCNN_LARGE_PAGES"
SETTING = "glibc.malloc.hugetlb"
# arrays below 32 MiB (more cannot be said) come from one heap, of which up to 256 MiB may lie unused
HEAP = f"glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold={1 << 25}:glibc.malloc.trim_threshold={1 << 28}"
SETTINGS = f"{SETTING}=1:{HEAP}"
POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def obstacle(environment: Mapping[str, str]) -> str | None:
    """Why a program in this environment has no large pages of ours; None where it could have them, or has them."""
    if environment.get(SWITCH) == "0":
        return f"{SWITCH}=0 forbids them"
    if f"{SETTING}=0" in environment.get("GLIBC_TUNABLES", ""):
        return "GLIBC_TUNABLES forbids them"
    library, version = platform.libc_ver()
    if library != "glibc" or [int(part) for part in version.split(".")] < [2, 35]:
        return "they need Linux with glibc 2.35 or newer"
    if not POLICY.is_file() or "[never]" in POLICY.read_text():
        return "this Linux has none"
    return None


def wanted(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which this program has large pages; None where it has them, or cannot, or has said no."""
    tunables = environment.get("GLIBC_TUNABLES", "")
    if SWITCH in environment or SETTING in tunables or obstacle(environment) is not None:
        return None
    if "[madvise]" not in POLICY.read_text():  # "always" needs no asking
        return None
    return {**environment, SWITCH: "1", "GLIBC_TUNABLES": ":".join(filter(None, [tunables, SETTINGS]))}


def restart() -> None:
    """Start this program again, in the same process, if it has not the large pages that it can have.

    For the beginning of a program alone, as whatever it has done is lost; not under a debugger or profiler, which would
    begin again with it. JAXCNN_LARGE_PAGES=0 forbids it.
    """
    environment = wanted(os.environ)
    if environment and sys.executable and not (sys.gettrace() or sys.getprofile()):
        hold_for_restart()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
