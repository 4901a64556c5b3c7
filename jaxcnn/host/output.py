"""Standard output that may be closed, full, read by nobody any more, or in a code that knows few letters."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

ERRORS = "jaxcnn-plain"
PLAIN = {"█": "#", "…": "~"}  # what is drawn where the code of the output knows no such letter


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    drawn = "".join(PLAIN.get(letter, letter) for letter in error.object[error.start : error.end])
    return drawn.encode(error.encoding, "backslashreplace").decode(error.encoding), error.end


codecs.register_error(ERRORS, _plain)


class OutputLost(OSError):
    """What is printed cannot be written. `closed`: its reader has gone, which needs no word."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to the standard output: {error.strerror}")
        self.closed = error.errno == errno.EPIPE


class Output(io.FileIO):
    """A file to print to. From the first failure on it takes everything and writes nothing.

    That failure is raised as OutputLost, or, where the work is `lasting`, told on the standard error.
    """

    lasting = False
    _lost = False

    def write(self, data: Any, /) -> int:
        """Write bytes; returns how many were written, or dropped."""
        if not self._lost:
            try:
                return super().write(data)
            except OSError as error:
                self._lost, lost = True, OutputLost(error)
                if not self.lasting:
                    raise lost from error
                why = "nobody reads the standard output any more" if lost.closed else str(lost)
                with suppress(OSError):
                    print(f"jaxcnn: {why}; the work goes on", file=sys.stderr)
        return memoryview(data).nbytes


@contextmanager
def standard_output() -> Iterator[Output]:
    """Print safely inside: a closed standard output is as /dev/null, and a letter that it has no code for is replaced.

    Yields the file behind `sys.stdout`, to set its `lasting`. Raises OutputLost where it cannot be written.
    """
    _open_what_is_closed()
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper) or (descriptor := _descriptor(before)) is None:
        with Output(os.devnull, "w") as file, _replacing(before):
            yield file
        return
    before.flush()
    with Output(descriptor, "w", closefd=False) as file:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(file), before.encoding, ERRORS,
            line_buffering=before.line_buffering, write_through=before.write_through,
        )  # fmt: skip
        try:
            yield file
        finally:
            try:
                sys.stdout.flush()
            finally:
                sys.stdout = before


def _descriptor(file: io.TextIOWrapper) -> int | None:
    """Of what is printed to; None where it has none, or, as Windows' console, takes more than bytes."""
    if os.name == "nt":
        return None
    with suppress(OSError):
        return file.fileno()
    return None


@contextmanager
def _replacing(file: TextIO) -> Iterator[None]:
    if not isinstance(file, io.TextIOWrapper):
        yield
        return
    before = file.errors
    file.reconfigure(errors=ERRORS)
    try:
        yield
    finally:
        file.reconfigure(errors=before)


def _open_what_is_closed() -> None:
    """Put /dev/null in the place of closed standard files, which the next file to be opened would take."""
    for number, name, mode in (0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(opened, mode, closefd=opened != number))  # noqa: SIM115
