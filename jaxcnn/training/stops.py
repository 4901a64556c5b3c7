"""What makes a run stop before its end: a signal, or that its time is up."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import NamedTuple

import jax

from jaxcnn.host.interrupts import Interrupted
from jaxcnn.training import processes

ASKED_EVERY = 10  # steps


class Stops(NamedTuple):
    """The signals that have come, and when the run is to stop by itself, by time.monotonic()."""

    signals: list[int]
    at: float = math.inf

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.at

    def agreed(self, step: int = 0, per_epoch: int = 0) -> bool:
        """Whether all processes stop here, as one of them is to; several ask each other every few steps of an epoch."""
        here = bool(self.signals) or self.late
        if jax.process_count() == 1:
            return here
        return (step % ASKED_EVERY == 0 or step == per_epoch) and processes.any_of(here)

    def interrupted(self, step: int, folder: Path) -> Interrupted:
        """What is to be raised once the run is saved. A process that knows of nothing stops for another's SIGTERM."""
        saved = f"stopped and saved at step {step} in {folder}"
        if self.late and not self.signals:
            return Interrupted(f"the time is up: {saved}", 0)
        number = self.signals[0] if self.signals else signal.SIGTERM
        return Interrupted(f"{signal.Signals(number).name}: {saved}", 128 + number)
