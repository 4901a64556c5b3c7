"""Ctrl-C, SIGTERM and a lost terminal: each stops the program, whenever it comes, with a sentence and 128 + its number.

What a signal does depends on what the program is about:

- after `begin`: nothing has been done yet, and libraries are being imported. The process ends on the spot.
- `stoppable`: `Stop` is raised where the program is, so that what is half done is tidied up.
- `stop_requests`: the signal is noted, for the program to stop between two steps, when it has saved what it did.

The second signal ends a command on the spot, also while it is inside a library that does not listen.
"""

from __future__ import annotations

import _thread
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Literal

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
Manner = Literal["leave", "raise", "note"]
ONE_PRESS = 0.2  # seconds within which a signal that comes twice is one
PATIENCE = 1.0  # seconds after which a program that has not stopped yet says that it will

_leaving = threading.Lock()


class Interrupted(RuntimeError):
    """The run was asked to stop, and saved what it needs to go on. `code` is the exit status that says so."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Stop(KeyboardInterrupt):
    """A signal that asks the program to stop. `code` is the exit status that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.code = number, 128 + number


class _Presses:
    """Which signals repeat an earlier one.

    A terminal that is lost is told more than once, by the kernel and by the shell; and a program that runs this one may
    send on what the terminal has sent to both.
    """

    def __init__(self) -> None:
        self._first = math.inf

    def repeated(self, number: int) -> bool:
        now = time.monotonic()
        repeated = now > self._first + ONE_PRESS and signal.Signals(number).name != "SIGHUP"
        self._first = min(self._first, now)
        return repeated


class _Handler:
    """What this process does about those signals, all of them."""

    def __init__(self, manner: Manner) -> None:
        self.manner: Manner = manner
        self.begun = False  # whether this process is a command, which may end
        self.received: list[int] = []
        self.answered = False  # whether the program is on its way out
        self.echoes = [0, 0]  # signals of our own that the main thread, and the watching one, are yet to see
        self._presses = _Presses()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.echoes[0]:
            self.echoes[0] -= 1
        elif self._presses.repeated(number) or self.manner == "leave":
            if not self.begun:  # inside another program, a notebook for example, which goes on
                raise Stop(number)
            leave(number)
        else:
            self.received.append(number)
        if self.manner == "raise":
            raise Stop(self.received[0])

    def bring_back(self) -> None:
        """Raise the Stop in the main thread, once more."""
        if self.manner == "raise":
            self.echoes = [self.echoes[0] + 1, self.echoes[1] + 1]
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, self.received[0])
            else:
                _thread.interrupt_main(signal.Signals(self.received[0]))


def leave(number: int) -> None:
    """End the process now, with a sentence and nothing else."""
    if _leaving.acquire(blocking=False):
        tell("stopped", cursor=True)
        os._exit(128 + number)


def tell(sentence: str, cursor: bool = False) -> None:
    """Write a sentence to the terminal, past all buffers; with the `cursor`, which a progress bar hides."""
    with suppress(OSError):
        terminal = os.isatty(2)
        start = ("\r\x1b[K" if terminal else "") + ("\x1b[?25h" if terminal and cursor else "")
        os.write(2, f"{start}jaxcnn: {sentence}\n".encode())


def begin() -> None:
    """For the first line of a program that is a command: from here on no signal is lost or ends in a traceback.

    Signals that are ignored (under nohup, say) stay so.
    """
    handler = _Handler("leave")
    handler.begun = True
    caught = _install(handler)
    _watch(handler)
    if hasattr(signal, "pthread_sigmask"):  # those that came while the program started itself again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, caught)


def hold_for_restart() -> None:
    """Keep what comes from now on for the `begin` of the program that takes this process's place, if this one began."""
    if isinstance(signal.getsignal(signal.SIGINT), _Handler) and hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [number for number in _numbers() if _ours(number)])


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise Stop in what is done inside, if a signal comes, and where a library swallows it or raises another error.

    Outside the main thread nothing is caught. Within another `stoppable` or `stop_requests`, that remains in force.
    """
    with _in_manner("raise") as handler, _swallowed(handler):
        try:
            yield
        except (Stop, Interrupted):
            handler.answered = True
            raise
        except BaseException as error:
            if handler.received:
                raise Stop(handler.received[0]) from error
            raise
        if handler.received:
            raise Stop(handler.received[0])


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list to which signals are appended, for the program to stop when it can; it may have one in it already.

    Outside the main thread nothing is caught.
    """
    with _in_manner("note") as handler:
        yield handler.received


@contextmanager
def _in_manner(manner: Manner) -> Iterator[_Handler]:
    """The process's handler, in another manner; a new one where there is none."""
    if threading.current_thread() is not threading.main_thread():
        yield _Handler(manner)
        return
    there = signal.getsignal(signal.SIGINT)
    if isinstance(there, _Handler):
        before, there.manner = there.manner, manner
        try:
            yield there
        finally:
            there.manner, there.answered = before, bool(there.received)
        return
    handler = _Handler(manner)
    handlers = {number: signal.getsignal(number) for number in _numbers()}
    caught = _install(handler)
    try:
        yield handler
    finally:
        for number in caught:
            signal.signal(number, handlers[number])


def _install(handler: _Handler) -> list[int]:
    caught = [number for number in _numbers() if signal.getsignal(number) is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, handler)
    return caught


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


def _ours(number: int) -> bool:
    return isinstance(signal.getsignal(number), _Handler)


@contextmanager
def _swallowed(handler: _Handler) -> Iterator[None]:
    """Bring back a Stop that comes in a callback of C, such as JAX's for the garbage collection, which swallows it."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Stop):
            before(unraisable)
        elif handler.manner == "raise":
            threading.Timer(0.05, handler.bring_back).start()  # after the callback, not within

    sys.unraisablehook = hook
    try:
        yield
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = before


def _watch(handler: _Handler) -> None:
    """Let a thread answer what the main thread may not: it can be inside a library for minutes."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    if before != -1:  # another library watches already
        signal.set_wakeup_fd(before)
        return

    def watch(_: socket.socket = writer) -> None:  # which closes where nobody holds it
        presses = _Presses()
        while True:
            try:
                number = reader.recv(1)[0]
            except TimeoutError:
                reader.settimeout(None)
                if not handler.answered:
                    tell("stopping as soon as this can be left; once more stops at once")
                continue
            if not _ours(number):
                continue
            nothing_done = handler.manner == "leave" and not handler.received
            if handler.echoes[1]:
                handler.echoes[1] -= 1
            elif presses.repeated(number) or nothing_done:
                leave(number)
            else:
                reader.settimeout(PATIENCE)

    threading.Thread(target=watch, name="signals", daemon=True).start()
