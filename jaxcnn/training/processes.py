"""Training by several processes at once, on one machine or many: who writes, and that all do the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxcnn.host.errors import InputError

ADDRESS, NUMBER, COUNT = "JAX_COORDINATOR_ADDRESS", "JAX_PROCESS_ID", "JAX_NUM_PROCESSES"
SILENCE = 30  # seconds after which a process that is not heard of ends the others


def start() -> None:
    """Join the processes that train together, before JAX looks for devices.

    Slurm, Open MPI, Kubernetes and TPU pods tell JAX who they are; elsewhere the variables above do.

    Raises InputError where nothing tells it, and where they do not find each other.
    """
    given = {name: os.environ.get(name) for name in (ADDRESS, NUMBER, COUNT)}
    if missing := [name for name, value in given.items() if not value] if any(given.values()) else []:
        raise InputError(f"--distributed needs ${' and $'.join(missing)} too: the address is HOST:PORT of process 0")
    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM is for us
    options = {"heartbeat_timeout_seconds": SILENCE}
    if given[ADDRESS]:
        try:
            options |= {"num_processes": int(given[COUNT] or 0), "process_id": int(given[NUMBER] or 0)}
        except ValueError:
            raise InputError(
                f"${COUNT} and ${NUMBER} are numbers, not {given[COUNT]!r} and {given[NUMBER]!r}"
            ) from None
    try:
        jax.distributed.initialize(given[ADDRESS], **options)  # type: ignore[arg-type]
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--distributed: the processes did not find each other ({reason}); outside of Slurm, MPI, Kubernetes and "
            f"TPU pods give each ${ADDRESS}, ${COUNT} and ${NUMBER}"
        ) from error


def first() -> bool:
    """Whether this is the process that writes and speaks; where there is but one, it is."""
    return jax.process_index() == 0


def any_of(here: bool) -> bool:
    """Whether something holds in any of the processes, all of which must ask."""
    return bool(np.any(_gathered(np.array(here))))


def _gathered(value: np.ndarray) -> np.ndarray:
    """A value of each of the processes."""
    if jax.process_count() == 1:
        return value[None]
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(value)).reshape(jax.process_count(), *value.shape)


def agree(what: str, value: str) -> None:
    """Raise InputError, in all processes, where not all have the same value."""
    digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
    others = _gathered(digest)
    if odd := [number for number, other in enumerate(others) if not np.array_equal(other, others[0])]:
        names = ", ".join(map(str, odd))
        raise InputError(f"process {names} of {len(others)} has another {what} than process 0: start all with the same")


@contextmanager
def together() -> Iterator[None]:
    """What stops one process within, stops all: those that it does not concern raise InputError."""
    failure: BaseException | None = None
    try:
        yield
    except Exception as error:
        failure = error
    failed = _gathered(np.array(failure is not None))
    if failure is not None:
        raise failure
    if failed.any():
        names = ", ".join(str(number) for number in np.flatnonzero(failed))
        raise InputError(f"process {names} of {len(failed)} could not begin: it says why")


def local(sharding: NamedSharding, shape: tuple[int, ...]) -> slice:
    """Which part of the last axis of arrays of that shape, which `sharding` divides, is of this process's devices."""
    parts = [index[-1] for index in sharding.addressable_devices_indices_map(shape).values() if index is not None]
    spans = [part.indices(shape[-1]) for part in parts]
    return slice(min(start for start, _, _ in spans), max(stop for _, stop, _ in spans))
