"""Stopping a run between two steps, when Ctrl-C or SIGTERM asks for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(RuntimeError):
    """The run was asked to stop, and saved what it needs to go on. `code` is the exit status that says so."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list to which Ctrl-C, SIGTERM and a lost terminal append their signal; a second Ctrl-C ends the process.

    Signals that are ignored (under nohup, say) stay so. Outside the main thread nothing is caught.
    """
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        if received and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        received.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in "SIGINT", "SIGTERM", "SIGHUP":
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
