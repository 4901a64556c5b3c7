"""Bad input: one sentence that says what was wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """The user's input cannot work. The command line prints the sentence and exits with code 2."""


@contextmanager
def input_errors(about: str = "") -> Iterator[None]:
    """Turn a ValueError or TypeError raised inside, and what was noted on it, into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        parts = [about] if about else []
        parts.append(str(error))
        raise InputError(
            ": ".join(parts) + "".join(f" ({note})" for note in getattr(error, "__notes__", []))
        ) from error
