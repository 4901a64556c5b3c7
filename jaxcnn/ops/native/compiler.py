"""The C++ compiler: which one, what it says of itself, and its options for this very processor."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from dataclasses import dataclass

NAMES = ("g++", "clang++", "c++")
OPTIONS = ("-O3", "-std=c++20", "-fPIC", "-fvisibility=hidden")


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler that works here."""

    words: tuple[str, ...]  # that start it, such as ("ccache", "g++")
    version: str  # what it says when asked for it, in full
    options: tuple[str, ...]

    @property
    def path(self) -> str:
        return shutil.which(self.words[0]) or self.words[0]


def find() -> Compiler | None:
    """$CXX, or g++, clang++ or c++: the first that there is. None where there is none.

    $CXX may hold options or be started by another program, as in `g++ -O1` and `ccache g++`; $CXXFLAGS come last.
    """
    for words in (_words("CXX"), *((name,) for name in NAMES)):
        if words and (version := _version(words)):
            return Compiler(words, version, (*OPTIONS, *for_this(platform.machine()), *_words("CXXFLAGS")))
    return None


def for_this(machine: str) -> tuple[str, ...]:
    """The option for all that the processor at hand can do: ARM's compilers call it otherwise, some have none."""
    name = machine.lower()
    if name in ("x86_64", "amd64", "i386", "i686", "s390x"):
        return ("-march=native",)
    return ("-mcpu=native",) if name.startswith(("arm", "aarch64", "ppc", "powerpc")) else ()


def _words(variable: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(os.environ.get(variable, "")))
    except ValueError:  # a quotation without an end
        return ()


def _version(words: tuple[str, ...]) -> str | None:
    try:
        asked = subprocess.run(
            [*words, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None if asked.returncode == 0 else None
