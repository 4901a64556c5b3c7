"""Under what a figure came about: the processor, its cores, the versions of what is installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

from jaxcnn.host.errors import InputError


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_devices() -> None:
    """Raise InputError where JAX has no device to compute on, or none of those that $JAX_PLATFORMS asks for."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # for CUDA without its plugin JAX fails an assertion of its own
        asked = os.environ.get("JAX_PLATFORMS", "")
        why = f" ({' '.join(str(error).split())})" if str(error) else ""
        cure = f"JAX_PLATFORMS={asked} asks for what is not here: unset it" if asked else "see `jaxcnn doctor`"
        raise InputError(f"JAX finds no device to compute on; {cure}, or install JAX for it{why}") from error


def processor() -> str:
    """The model of the processor."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)


def machine() -> str:
    """The processor, the number of its cores, and the accelerators in use."""
    devices = jax.devices()
    accelerators = "" if devices[0].platform == "cpu" else f", {len(devices)} x {devices[0].device_kind}"
    return f"{processor()}, {cores()} cores{accelerators}"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of Python, as "python", and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
