"""What there is to say of the C++ program here: for `jaxcnn doctor`, and for the record of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass

import jax

from jaxcnn.ops import native
from jaxcnn.ops.native import build, cache, compiler
from jaxcnn.ops.native.switch import switch


@dataclass(frozen=True)
class Status:
    """Whether the program computes here, and with what it was or would be compiled."""

    used: bool
    reason: str | None  # why it is not used
    switch: str  # the value of JAXCNN_NATIVE that holds
    compiler: str | None  # the words that start it; None where there is none
    version: str | None  # the first line of what it says of itself
    options: tuple[str, ...]
    file: str | None  # of the program
    folder: str | None  # where programs are kept
    threads: int  # of XLA, which the program shares


def status() -> Status:
    """What holds in this process. It does what `native.available` does, and asks the compiler for its version."""
    why, found = native.reason(), compiler.find()
    try:
        folder = cache.folder()
    except cache.Unusable:
        folder = None
    return Status(
        used=why is None,
        reason=why,
        switch=switch(),
        compiler=found and " ".join(found.words),
        version=found and found.version.splitlines()[0],
        options=found.options if found else (),
        file=str(build.file(found)) if found and folder else None,
        folder=folder and str(folder),
        threads=threads(),
    )


def threads() -> int:
    """How many threads XLA computes with on CPUs: $PJRT_NPROC, $NPROC, or the cores that this process may use.

    At least as many as there are CPU devices. XLA cuts some of its sums by that number, so the bits of a training
    depend on it; on another machine they are the same again where NPROC says the same.
    """
    said = next((value for name in ("PJRT_NPROC", "NPROC") if (value := os.environ.get(name, "")).isdigit()), None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores if said is None else int(said), len(jax.local_devices(backend="cpu")))
