"""Compiling the C++ program for this very processor, once, and keeping it in a cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import jax

SOURCES = [Path(__file__).with_name(name) for name in ("conv.cc", "pool.cc", "norm.cc", "common.h", "tile.h", "walk.h")]
OPTIONS = ["-O3", "-march=native", "-std=c++20", "-fPIC"]


def folder() -> Path:
    """Where what was compiled is kept: $XDG_CACHE_HOME/jaxcnn/native, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcnn" / "native"


def file() -> Path:
    """Where the program for this machine is, or will be."""
    return folder() / f"{_identity()}.so"


def compiler() -> str | None:
    """The C++ compiler: $CXX, or g++, clang++ or c++, the first there is. None where there is none."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    return next((found for name in names if (found := shutil.which(name))), None)


def library() -> ctypes.CDLL | None:
    """The program, compiled before or now. None without a compiler; a warning where one fails."""
    try:
        made = file()
        if not made.is_file():
            program = compiler()
            if program is None:
                return None
            _compile(program, made)
        return ctypes.CDLL(str(made))
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:  # RuntimeError: there is no home folder
        said = (getattr(error, "stderr", "") or str(error)).strip().partition("\n")[0]
        warnings.warn(f"jaxcnn computes convolutions without its C++ program, more slowly: {said}", stacklevel=2)
        return None


def _compile(program: str, file: Path) -> None:
    """Written beside its place and moved there whole: another process never loads half a file."""
    if sys.stderr.isatty():
        print("jaxcnn: compiling its C++ program for this processor (some ten seconds, once)", file=sys.stderr)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as beside:

        def run(*arguments):
            subprocess.run([program, *OPTIONS, *map(str, arguments)], check=True, capture_output=True, text=True)

        def translate(source):
            run("-isystem", jax.ffi.include_dir(), "-c", source, "-o", made := Path(beside) / f"{source.stem}.o")
            return made

        with ThreadPoolExecutor() as pool:
            objects = list(pool.map(translate, (source for source in SOURCES if source.suffix == ".cc")))
        run("-shared", *objects, "-o", made := Path(beside) / "made.so")
        made.replace(file)


def _identity() -> str:
    """A name that changes with all that the program depends on: its source, jaxlib's interface, this processor."""
    parts = [*(source.read_bytes() for source in SOURCES), version("jaxlib").encode(), " ".join(OPTIONS).encode()]
    parts += [platform.machine().encode(), _processor().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return platform.processor()
    lines = information.read_text().splitlines()
    telling = ("model name", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(telling)))
