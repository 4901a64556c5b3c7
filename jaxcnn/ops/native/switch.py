"""JAXCNN_NATIVE: whether the C++ program is to compute.

Which way a function takes is decided when jax traces it, and stays: so the variable is read once, when a function is
first traced that could use the program, and another value later is an error.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import jax

VALUES = {"1": "where it can", "0": "never", "require": "or fail"}
_inside: list[str] = []  # the values of `switched`, the innermost last


def switch() -> str:
    """The value that holds: that of `switched`, or $JAXCNN_NATIVE, by default 1.

    Raises:
      ValueError: there is no such value.
      RuntimeError: the variable was changed after it was first read.
    """
    if _inside:
        return _inside[-1]
    first, now = _first(), _said()
    if now != first:
        raise RuntimeError(
            f"JAXCNN_NATIVE is {now} now and was {first} when it was read, as the first function was traced: what was "
            f"traced keeps to that. Set it before, or compute within jaxcnn.ops.native.switched({now!r})"
        )
    return first


@contextlib.contextmanager
def switched(value: str) -> Iterator[None]:
    """Inside, the program computes as if JAXCNN_NATIVE were `value`. All that jax has traced is forgotten twice.

    It holds for the whole process, not for one thread.
    """
    _inside.append(_known(value))
    jax.clear_caches()
    try:
        yield
    finally:
        _inside.pop()
        jax.clear_caches()


@functools.cache
def _first() -> str:
    return _said()


def _said() -> str:
    return _known(os.environ.get("JAXCNN_NATIVE") or "1")


def _known(value: str) -> str:
    if value not in VALUES:
        meanings = ", ".join(f"{name} ({meaning})" for name, meaning in VALUES.items())
        raise ValueError(f"JAXCNN_NATIVE is {value!r}; it says when the C++ program is to compute: {meanings}")
    return value
