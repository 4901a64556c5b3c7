"""The C++ program by other compilers, for other processors and systems, and with every memory access watched.

Each compiles it anew, which takes a minute or some, and runs in processes of its own.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from native_program import COMPILER, needs_a_compiler

from jaxcnn.ops.native import build, compiler

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), needs_a_compiler]

TESTS = Path(__file__).parent
ZIG = f"'{sys.executable}' -m ziglang c++"  # a clang that pip installs
needs_zig = pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="no ziglang")
needs_x86 = pytest.mark.skipif(compiler.for_this(platform.machine()) != ("-march=native",), reason="not an x86")


def environment(place: Path, **variables: str) -> dict[str, str]:
    """With a folder of programs of its own, but zig's own files where they are."""
    zig = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zig"
    own = {"XDG_CACHE_HOME": str(place), "ZIG_GLOBAL_CACHE_DIR": str(zig), "PYTHONPATH": str(TESTS.parent)}
    return {**os.environ, "JAXCNN_NATIVE": "require", "CXXFLAGS": "", **own, **variables}


def run(variables: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], env=variables, cwd=TESTS.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


VARIANTS = {
    "clang": pytest.param({"CXX": ZIG}, marks=needs_zig),
    "AVX2": pytest.param({"CXXFLAGS": "-march=haswell"}, marks=needs_x86),
    "SSE2": pytest.param({"CXXFLAGS": "-march=x86-64"}, marks=needs_x86),
}


@pytest.mark.parametrize("variables", VARIANTS.values(), ids=VARIANTS)
def test_compiled_otherwise_it_says_the_same(tmp_path: Path, variables: dict[str, str]):
    tests = ["test_native.py", "test_native_errors.py"]
    run(environment(tmp_path, **variables), "pytest", "-q", *(str(TESTS / name) for name in tests))


def test_no_access_to_memory_and_no_arithmetic_is_undefined(tmp_path: Path):
    """By the sanitizers, which must be there before all else; JAX's own leaks are not ours."""
    assert COMPILER is not None
    asked = [[*COMPILER.words, f"-print-file-name={name}"] for name in ("libasan.so", "libstdc++.so")]
    found = [subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() for words in asked]
    if not all(Path(name).is_absolute() for name in found):
        pytest.skip("no libasan")
    watched = environment(
        tmp_path,
        CXXFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined",
        ASAN_OPTIONS="detect_leaks=0",
        LD_PRELOAD=" ".join(found),
    )
    named = "(threads or error) and not memory"  # a petabyte is an error of its own to the sanitizers
    run(watched, "pytest", "-q", "-k", named, str(TESTS / "test_native.py"), str(TESTS / "test_native_errors.py"))
    operations = ("conv", "depthwise_conv", "max_pool", "avg_pool", "batch_norm")
    run(watched, "jaxcnn", "verify", "--sample", "100", "--operations", *operations, "--output", str(tmp_path / "out"))


@needs_zig
@pytest.mark.parametrize("target", ["x86_64-windows-gnu", "aarch64-macos", "aarch64-linux-gnu"])
def test_it_compiles_for_other_systems(tmp_path: Path, target: str):
    """Where `long` has 32 bits, where an int64_t is a `long long`, where vectors have 16 bytes; without a warning."""
    options = [*compiler.OPTIONS[1:], "-Wall", "-Wextra", "-Werror", "-target", target]
    for source in (source for source in build.SOURCES if source.suffix == ".cc"):
        made = tmp_path / f"{source.stem}.o"
        words = ["ziglang", "c++", *options, "-isystem", jax.ffi.include_dir(), "-c", str(source), "-o", str(made)]
        run(environment(tmp_path), *words)
        assert made.stat().st_size > 0
