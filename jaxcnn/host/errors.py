"""Bad input: one sentence that says what was wrong, where, and what would be right."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """The user's input cannot work. The command line prints the sentence and exits with code 2."""


class Failed(RuntimeError):
    """What was asked for could not be done to its end. The command line prints the sentence and exits with code 1."""


@contextmanager
def sentences() -> Iterator[None]:
    """Show this library's warnings as the command line shows everything else: without a place in the source."""
    before, package = warnings.showwarning, Path(__file__).parents[1]

    def show(message: Warning | str, category: type[Warning], filename: str, *place: Any) -> None:
        if issubclass(category, UserWarning) and package in Path(filename).parents:
            print(f"jaxcnn: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            before(message, category, filename, *place)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


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
        raise InputError(": ".join(parts) + "".join(f" ({note})" for note in _notes(error))) from error


def _notes(error: BaseException) -> list[str]:
    """What was noted on an error, without JAX's word on the frames that it has cut out of the traceback."""
    return [note for note in getattr(error, "__notes__", []) if "JAX has removed its internal frames" not in note]
