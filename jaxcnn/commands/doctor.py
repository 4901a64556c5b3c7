"""`jaxcnn doctor`: what jaxcnn runs on here, what is slow, why, and the cure."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jaxcnn
from jaxcnn.commands.command import FAILED, Command
from jaxcnn.commands.flags import Flag
from jaxcnn.host import large_pages
from jaxcnn.host.text import bytes_text

NEEDED = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow", "tensorflow-datasets")
OPTIONAL = ("torch", "keras", "h5py", "tensorflow-cpu", "tensorflow")
SETTINGS = ("JAX_", "XLA_", "JAXCNN_", "GLIBC_TUNABLES", "NPROC", "PJRT_NPROC", "OMP_NUM_THREADS", "CUDA_", "CXX")
SLOWER = {
    "JAX_ENABLE_X64": "everything is computed in float64, which takes twice as long",
    "JAX_DISABLE_JIT": "nothing is compiled",
    "JAX_DEBUG_NANS": "every result is looked at for NaN",
    "JAX_CHECK_TRACER_LEAKS": "every function is traced anew",
}
"""Variables that make JAX slow where they are set."""


class Finding(NamedTuple):
    """Something that was looked at; what is slow or broken about it, if anything is; and the cure."""

    subject: str
    found: str
    trouble: str = ""
    cure: str = ""
    broken: bool = False


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Say what jaxcnn runs on here, what is slow, why, and the cure.

    The exit status is 1 where something is broken, and 0 where it is only slow.
    """

    json: Flag = False
    """Print JSON."""

    def run(self) -> int:
        """Look at everything, and print what was found."""
        found = [finding for look in LOOKS for finding in looked(look)]
        print(json.dumps([one._asdict() for one in found], indent=1) if self.json else report(found))
        return FAILED if any(finding.broken for finding in found) else 0


def looked(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What one look finds; an error is a finding, too, as this is for installations that do not work."""
    try:
        return list(look())
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        return [Finding(look.__name__, "", f"it cannot be looked at: {said}", "", broken=True)]


def report(found: list[Finding]) -> str:
    """The findings as text for the terminal, and under them what is wrong."""
    width = min(shutil.get_terminal_size().columns, 100)
    shown = [_paragraph(one.subject, one.found, width) for one in found if one.found]
    wrong = [one for one in found if one.trouble]
    for one in wrong:
        shown += ["", _paragraph("broken" if one.broken else "slow", f"{one.subject}: {one.trouble}", width)]
        shown += [_paragraph("cure", one.cure, width)] if one.cure else []
    return "\n".join(shown if wrong else [*shown, "", "Nothing is slow or broken here."])


def _paragraph(label: str, text: str, width: int) -> str:
    start = f"{label:<12}"
    lines = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, width - len(start), break_on_hyphens=False) or [""]
    ]
    return "\n".join((start if number == 0 else " " * len(start)) + line for number, line in enumerate(lines))


def versions() -> Iterator[Finding]:
    from jaxcnn.host.machine import versions

    yield Finding("jaxcnn", f"{jaxcnn.__version__}, in {Path(jaxcnn.__file__).parent}")
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    needed, optional = versions(NEEDED), versions(OPTIONAL)
    missing = [name for name in NEEDED if name not in needed]
    shown = ", ".join(f"{name} {number}" for name, number in needed.items() if name != "python")
    trouble = f"{', '.join(missing)} cannot be found" if missing else ""
    yield Finding("packages", shown, trouble, "install jaxcnn with its dependencies: pip install jaxcnn", bool(missing))
    also = ", ".join(f"{name} {number}" for name, number in optional.items() if name != "python")
    yield Finding("also", also or "neither PyTorch nor Keras, which are needed only to compare with")


def machine() -> Iterator[Finding]:
    from jaxcnn.host.machine import cores, processor
    from jaxcnn.host.memory import free_memory

    free, usable, all_cores = free_memory(), cores(), os.cpu_count() or 1
    memory = f", {bytes_text(free)} of memory free" if free is not None else ""
    of = f"{usable} of {all_cores} cores" if usable < all_cores else f"{usable} cores"
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    busy = f"{load:.0f} programs want to compute on {usable} cores" if load > usable + 1 else ""
    found = f"{processor()}, {of}{memory}\n{platform.platform()}"
    yield Finding("machine", found, busy, "wait for the others, or stop them" if busy else "")


def devices() -> Iterator[Finding]:
    import jax

    from jaxcnn.host.errors import InputError
    from jaxcnn.host.machine import check_devices

    try:
        check_devices()
    except InputError as error:
        yield Finding("devices", "", str(error), "", broken=True)
        return
    kinds = [" ".join(dict.fromkeys((device.platform, device.device_kind))) for device in jax.devices()]
    shown = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    unused = jax.default_backend() == "cpu" and Path("/proc/driver/nvidia/version").exists()
    trouble = "there is an NVIDIA card, and JAX computes on the CPU" if unused else ""
    yield Finding("devices", shown, trouble, 'install JAX for it: pip install -U "jax[cuda13]"' if unused else "")


def _on_cpu() -> bool:
    """Whether JAX computes on the CPU; not where it cannot compute at all."""
    import jax

    try:
        return jax.default_backend() == "cpu"
    except (RuntimeError, AssertionError):
        return False


def program() -> Iterator[Finding]:
    from jaxcnn.ops.native.status import status

    if not _on_cpu():
        return
    found = status()
    compiler = f"{found.compiler} ({found.version})" if found.compiler else "no C++ compiler"
    if found.used:
        yield Finding("C++ program", f"used, {found.threads} threads\n{found.file}\n{compiler}")
        return
    install = "install g++ or clang++ (or pip install ziglang, and CXX='python -m ziglang c++')"
    cure = "unset JAXCNN_NATIVE" if found.switch == "0" else "" if found.compiler else install
    slow = "convolutions take twice as long, or longer, without it"
    yield Finding("C++ program", f"not used: {found.reason}\n{compiler}", slow, cure)


def pages() -> Iterator[Finding]:
    if not _on_cpu():
        return
    why = large_pages.obstacle(os.environ)
    policy = large_pages.POLICY.read_text().strip() if large_pages.POLICY.is_file() else "none"
    found = "train, evaluate and bench ask for them" if why is None else f"none: {why}"
    cures = {
        "forbid": "unset what forbids them",
        "this Linux": f"echo madvise | sudo tee {large_pages.POLICY}",
    }
    cure = next((cure for part, cure in cures.items() if why and part in why), "")
    trouble = "a training step takes 10 to 50% longer without them" if why and cure else ""
    yield Finding("large pages", f"{found} (transparent huge pages: {policy})", trouble, cure)


def caches() -> Iterator[Finding]:
    import jax

    from jaxcnn.ops.native.cache import folder
    from jaxcnn.weights.download import cache_folder

    places = [folder(), cache_folder()]
    compiled = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    places += [Path(compiled)] if compiled else []
    shown = [f"{place}: {bytes_text(_size(place)) if place.is_dir() else 'not there yet'}" for place in places]
    yield Finding("caches", "\n".join(shown))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def settings() -> Iterator[Finding]:
    given = {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}
    yield Finding("settings", "\n".join(f"{name}={value}" for name, value in given.items()) or "none")
    for name, why in SLOWER.items():
        if given.get(name, "0").lower() not in ("", "0", "false"):
            yield Finding(name, "", why, f"unset {name}, where it is not meant")


LOOKS = (versions, machine, devices, program, pages, caches, settings)
