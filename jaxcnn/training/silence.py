"""What Orbax says besides its exceptions, of which we have sentences.

It logs every phase of its work. Where a write fails, the tasks that it abandons print tracebacks when the garbage is
collected, up to the end of the process, in two ways: by the hook for exceptions that nobody can catch, and by asyncio's
log.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from jaxcnn.host.errors import Failed


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what Orbax and its abandoned tasks say, and that alone; after a Failed, to the process's end."""
    absl, asyncio = logging.getLogger("absl"), logging.getLogger("asyncio")
    before, level, failed = sys.unraisablehook, absl.level, False
    sys.unraisablehook = _Hook(before)
    news = partial(_is_news)  # one of its own, where one of these is inside another
    asyncio.addFilter(news)
    absl.setLevel(logging.CRITICAL)  # Orbax logs each phase of each save there, and each failure
    try:
        yield
    except Failed:
        failed = True
        raise
    finally:
        if not failed:
            sys.unraisablehook = before
            asyncio.removeFilter(news)
            absl.setLevel(level)


class _Hook:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, unraisable: sys.UnraisableHookArgs) -> None:
        error = unraisable.exc_value
        closed = isinstance(error, RuntimeError) and str(error) == "Event loop is closed"
        if not closed and not _from_orbax(unraisable.exc_traceback):
            self._before(unraisable)


def _is_news(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return error is None or not (_from_orbax(error.__traceback__) or _of_tensorstore(error))


def _of_tensorstore(error: BaseException) -> bool:
    """Whether it came from what writes Orbax's arrays, which says so in its text; a future of it has no traceback."""
    return error.__traceback__ is None and any(word in str(error) for word in ("tensorstore", "os_error_code="))


def _from_orbax(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if f"{os.sep}orbax{os.sep}" in traceback.tb_frame.f_code.co_filename:  # modules lose their names at the end
            return True
        traceback = traceback.tb_next
    return False
