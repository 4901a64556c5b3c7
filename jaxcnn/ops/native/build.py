"""Compiling the C++ program for this very processor, once, and loading it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import jax

from jaxcnn.ops.native import cache
from jaxcnn.ops.native.cache import Unusable
from jaxcnn.ops.native.compiler import NAMES, Compiler, find

SOURCES = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in (".cc", ".h"))
SECONDS = 900  # that a compiler may take; ten are usual


def library() -> ctypes.CDLL:
    """The program, compiled before or now.

    Raises:
      Unusable: there is no compiler, it failed now or in the last day, or the folder of programs cannot be used.
    """
    compiler = find()
    if compiler is None:
        names = f"neither $CXX nor {', '.join(NAMES)}"
        raise Unusable(
            f"there is no C++ compiler ({names}); install one, such as g++, or ziglang by pip and set "
            "CXX='python -m ziglang c++'"
        )
    try:
        return _loaded(_made(compiler))
    except OSError as error:
        raise Unusable(f"{error}; the folder of programs may be moved by XDG_CACHE_HOME") from error


def file(compiler: Compiler) -> Path:
    """Where the program by this compiler for this machine is, or will be."""
    return cache.folder() / f"{identity(compiler)}.so"


def identity(compiler: Compiler) -> str:
    """A name that changes with all that the program depends on."""
    parts = [part for source in SOURCES for part in (source.name.encode(), source.read_bytes())]
    told = [
        *(version("jaxlib"), compiler.path, *compiler.words, compiler.version, *compiler.options),
        *(sysconfig.get_platform(), *platform.libc_ver(), _processor()),
    ]
    return hashlib.sha256(b"\0".join([*parts, *(text.encode() for text in told)])).hexdigest()[:16]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return platform.processor()
    lines = information.read_text().splitlines()
    telling = ("model name", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(telling)))


def _made(compiler: Compiler) -> Path:
    """The file of the program. Of several processes at once, one compiles and the others wait for it."""
    place, program = cache.prepare(), file(compiler)
    if cache.is_sound(program):
        return program
    if sys.stderr.isatty():
        print("jaxcnn: compiling its C++ program for this processor (some ten seconds, once)", file=sys.stderr)
    with cache.lock(place) as alone:
        if cache.is_sound(program):
            return program
        if (why := cache.remembered(program)) is not None:
            raise Unusable(f"{why} (tried again after a day, or once {cache.failure(program)} is removed)")
        if alone:
            cache.sweep(place)
        with cache.making(place) as beside:
            try:
                cache.keep(_compiled(compiler, beside), program)
            except Unusable as error:
                cache.remember(program, str(error))
                raise
    return program


def _compiled(compiler: Compiler, beside: Path) -> Path:
    until = time.monotonic() + SECONDS
    start = [*compiler.words, *compiler.options]
    run = partial(_run, " ".join(compiler.words), beside, until)
    objects = {source: beside / f"{source.stem}.o" for source in SOURCES if source.suffix == ".cc"}
    include = ["-isystem", jax.ffi.include_dir()]
    run([[*start, *include, "-c", str(source), "-o", str(made)] for source, made in objects.items()])
    made = beside / "made.so"
    run([[*start, "-shared", *map(str, objects.values()), "-o", str(made)]])
    return made


def _run(name: str, beside: Path, until: float, commands: Sequence[Sequence[str]]) -> None:
    """All commands at once. None of them outlives this, and what they leave is in the folder."""
    environment = {**os.environ, "TMPDIR": str(beside)}
    started: list[tuple[subprocess.Popen, Path]] = []
    try:
        for number, command in enumerate(commands):
            said = beside / f"{number}.txt"
            with said.open("w") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            started.append((process, said))
        for process, said in started:
            if process.wait(_left(until)):
                raise Unusable(f"{name} failed: {_reason(said.read_text(errors='replace'))}")
    except subprocess.TimeoutExpired as error:
        raise Unusable(f"{name} took more than {SECONDS} seconds") from error
    finally:
        for process, _ in started:
            _end(process)


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0)


def _reason(said: str) -> str:
    """The first line that speaks of an error, or the first of all."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it did not say why")


def _end(process: subprocess.Popen) -> None:
    """With all that it has started itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _loaded(program: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(program))
    except OSError as error:
        cure = "a folder from which programs may be run can be named by XDG_CACHE_HOME"
        raise Unusable(f"{error} on loading it; {cure}") from error
