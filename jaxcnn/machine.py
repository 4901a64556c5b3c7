"""Under what a figure came about: the processor, its cores, the versions of what is installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """The processor, the number of its cores, and the accelerators in use."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    devices = jax.devices()
    accelerators = "" if devices[0].platform == "cpu" else f", {len(devices)} x {devices[0].device_kind}"
    return f"{model}, {cores()} cores{accelerators}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of Python, as "python", and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
