"""Compiling the C++ program: by which compiler, once, kept safely; and what is said where it cannot be.

Most compilers here are stand-ins: scripts that count their calls and hand out what the real one made before.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from native_program import COMPILER, needs_a_compiler

from jaxcnn.ops import native
from jaxcnn.ops.native import build, cache, compiler
from jaxcnn.ops.native.cache import Unusable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs of this test's own."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CXXFLAGS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxcnn" / "native"


@functools.cache
def real_program() -> Path:
    """Of the compiler at hand, made when the tests were collected."""
    program = native._program()
    assert isinstance(program, ctypes.CDLL)
    return Path(program._name)


class StandIn:
    """A compiler that does what a line of shell says; `made` times it was asked to make something."""

    def __init__(self, folder: Path, does: str, version: str = "stand-in 1.0"):
        self.path, self.calls = folder / "stand-in", folder / "calls"
        script = f"""#!/bin/sh
[ "$1" = --version ] && {{ echo '{version}'; exit; }}
echo "$@" >> {self.calls}
while [ $# -gt 1 ]; do [ "$1" = -o ] && made=$2; shift; done
{does}
"""
        self.path.write_text(script)
        self.path.chmod(0o755)

    @property
    def made(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


STEPS = 1 + len([source for source in build.SOURCES if source.suffix == ".cc"])  # every source, and all together


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandIn]:
    def make(does: str | None = None, **more) -> StandIn:
        made = StandIn(tmp_path, does or f'cp {real_program()} "$made"', **more)
        monkeypatch.setenv("CXX", str(made.path))
        return made

    return make


# which compiler


@needs_a_compiler
@pytest.mark.parametrize("value", ["", "no-such-compiler", "no-such-launcher g++", "'no end", "false"])
def test_a_compiler_that_does_not_exist_or_work_falls_through_to_the_others(monkeypatch, value: str):
    without = compiler.find()
    monkeypatch.setenv("CXX", value)
    assert compiler.find() == without is not None


@needs_a_compiler
def test_a_compiler_may_hold_options_and_be_started_by_another_program(monkeypatch):
    assert COMPILER is not None
    for words in (("env", *COMPILER.words), (*COMPILER.words, "-O1"), ("env", "A=b c", *COMPILER.words, "-O1")):
        monkeypatch.setenv("CXX", " ".join(f"'{word}'" for word in words))
        found = compiler.find()
        assert found is not None and found.words == words and found.version == COMPILER.version


def test_flags_come_after_all_options(monkeypatch, stand_in):
    stand_in()
    monkeypatch.setenv("CXXFLAGS", "-O1 -DNAME='a b'")
    found = compiler.find()
    assert found is not None and found.options[-2:] == ("-O1", "-DNAME=a b")


def test_every_kind_of_processor_has_its_option():
    assert compiler.for_this("x86_64") == compiler.for_this("AMD64") == ("-march=native",)
    assert compiler.for_this("aarch64") == compiler.for_this("arm64") == compiler.for_this("armv7l")
    assert compiler.for_this("arm64") == ("-mcpu=native",)
    assert compiler.for_this("riscv64") == ()


def test_the_name_of_a_program_changes_with_all_that_it_depends_on(tmp_path, monkeypatch, stand_in):
    def name() -> str:
        found = compiler.find()
        assert found is not None
        return build.identity(found)

    stand_in()
    names = [name()]
    assert name() == names[0]
    stand_in(version="stand-in 1.1")
    names.append(name())
    monkeypatch.setenv("CXXFLAGS", "-O2")
    names.append(name())
    monkeypatch.setenv("CXX", f"{tmp_path / 'stand-in'} -O1")
    names.append(name())
    monkeypatch.setattr(platform, "libc_ver", lambda: ("another libc", "7.0"))
    names.append(name())
    monkeypatch.setattr(build, "_processor", lambda: "another processor")
    names.append(name())
    changed = tmp_path / "conv.cc"
    changed.write_bytes(build.SOURCES[0].read_bytes() + b"// another\n")
    monkeypatch.setattr(build, "SOURCES", [changed, *build.SOURCES[1:]])
    names.append(name())
    assert len(set(names)) == 7


# once


def forget(monkeypatch) -> None:
    """As in a process that has not asked for the program yet."""
    monkeypatch.setattr(native, "_program", functools.cache(native._program.__wrapped__))


@needs_a_compiler
def test_what_was_compiled_is_found_again(place, stand_in):
    made = stand_in()
    first, again = build.library(), build.library()
    assert first._name == again._name and Path(first._name).parent == place
    assert len(made.made) == STEPS
    assert place.stat().st_mode & 0o777 == 0o700
    assert not list(place.glob(f"{cache.MAKING}*"))


DAMAGES = {
    "truncated": lambda program: os.truncate(program, 1000),
    "zeroed": lambda program: program.write_bytes(bytes(program.stat().st_size)),
    "empty": lambda program: os.truncate(program, 0),
    "removed": lambda program: program.unlink(),
    "of no checksum": lambda program: program.with_suffix(".sha256").unlink(),
    "of an empty checksum": lambda program: os.truncate(program.with_suffix(".sha256"), 0),
}


@needs_a_compiler
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_program_is_made_anew(stand_in, damage: str):
    """A process that mapped a truncated one would die of it."""
    made = stand_in()
    program = build._made(compiler.find())  # type: ignore[arg-type]
    DAMAGES[damage](program)
    assert build.library()._name == str(program)
    assert program.read_bytes() == real_program().read_bytes()
    assert len(made.made) == 2 * STEPS


@needs_a_compiler
def test_who_waits_for_another_process_finds_what_that_one_made(stand_in):
    made = stand_in()
    found = compiler.find()
    assert found is not None
    results = []
    waiting = threading.Thread(target=lambda: results.append(build.library()))
    with cache.lock(cache.prepare()) as alone, cache.making(cache.folder()) as beside:
        assert alone
        waiting.start()
        (beside / "made.so").write_bytes(real_program().read_bytes())
        assert waiting.is_alive()
        cache.keep(beside / "made.so", build.file(found))
    waiting.join()
    assert results and not made.made


@needs_a_compiler
def test_of_two_processes_at_once_one_compiles_and_both_compute(tmp_path, stand_in):
    """The first compiler's work ends when the second process has begun."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    made = stand_in(f'case "$made" in *.so) cat {begun};; esac; cp {real_program()} "$made"')
    asks = "import jaxcnn.ops.native as n; {}print(n._program()._name, n.available())"
    first = subprocess.Popen([sys.executable, "-c", asks.format("")], stdout=subprocess.PIPE, text=True)
    tells = asks.format(f"open({str(begun)!r}, 'w').close(); ")
    second = subprocess.run([sys.executable, "-c", tells], capture_output=True, text=True, check=True)
    said, _ = first.communicate()
    assert said.split()[1] == "True" and said == second.stdout
    assert len(made.made) == STEPS


def test_the_lock_of_a_process_that_dies_is_free(tmp_path):
    """The folder of what it was making is swept by the next."""
    place = cache.prepare()
    program = f"""
import runpy, sys
cache = runpy.run_path({cache.__file__!r})
from pathlib import Path
with cache["lock"](Path({str(place)!r})), cache["making"](Path({str(place)!r})) as beside:
    print(beside, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert left.is_dir()
    with cache.lock(place) as alone:
        assert alone
        cache.sweep(place)
    assert not left.exists()


@needs_a_compiler
def test_what_a_killed_compiler_left_is_swept_by_the_next(stand_in):
    stand_in()
    left = cache.prepare() / f"{cache.MAKING}123"
    left.mkdir()
    (left / "conv.o").write_text("half")
    build.library()
    assert not left.exists()


# what keeps it from working


def test_without_a_compiler_there_is_a_sentence_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    forget(monkeypatch)
    with native.switched("1"):
        with pytest.warns(UserWarning, match=r"about half as fast: there is no C\+\+ compiler .*; install one") as said:
            assert not native.available()
        assert not native.available()
    assert len(said) == 1 and "\n" not in str(said[0].message)


def test_where_it_is_required_a_sentence_is_the_end(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    forget(monkeypatch)
    with native.switched("require"), pytest.raises(RuntimeError, match=r"require.*there is no C\+\+ compiler"):
        native.available()


FAILS = "echo In file included from conv.cc >&2; echo 'conv.cc:1: error: no such option' >&2; exit 1"


def test_a_compiler_that_fails_is_asked_once_a_day(stand_in):
    made = stand_in(FAILS)
    found = compiler.find()
    assert found is not None
    marker = cache.failure(build.file(found))
    with pytest.raises(Unusable, match=r"stand-in failed: conv.cc:1: error: no such option$"):
        build.library()
    tries = len(made.made)
    with pytest.raises(Unusable, match=rf"no such option \(tried again after a day, or once {marker} is removed\)"):
        build.library()
    assert len(made.made) == tries
    os.utime(marker, (0, 0))
    with pytest.raises(Unusable):
        build.library()
    assert len(made.made) > tries
    assert not list(marker.parent.glob("*.so"))


@needs_a_compiler
def test_a_compiler_that_works_again_makes_its_failure_forgotten(stand_in):
    stand_in(FAILS)
    found = compiler.find()
    assert found is not None
    with pytest.raises(Unusable):
        build.library()
    stand_in()
    os.utime(cache.failure(build.file(found)), (0, 0))
    assert build.library()._name == str(build.file(found))
    assert not cache.failure(build.file(found)).exists()


def test_a_compiler_that_takes_too_long_is_ended_with_all_it_started(tmp_path, monkeypatch, stand_in):
    """What it started holds one end of a pipe, whose other end sees it go."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    stand_in(f"sleep 1000 > {alive} & wait")
    monkeypatch.setattr(build, "SOURCES", [source for source in build.SOURCES if source.name == "conv.cc"])
    ends = []

    def seconds_left(until: float) -> float:
        ends.append(alive.open())  # once it has begun
        return 0

    monkeypatch.setattr(build, "_left", seconds_left)
    with pytest.raises(Unusable, match="stand-in took more than 900 seconds"):
        build.library()
    with ends[0] as end:
        assert end.read() == ""


@needs_a_compiler
def test_a_program_that_cannot_be_loaded_is_said(stand_in):
    stand_in('echo "not a program" > "$made"')
    with pytest.raises(Unusable, match=r"on loading it; .*XDG_CACHE_HOME"):
        build.library()


# the folder


def test_a_folder_that_others_may_write_is_refused(place):
    cache.prepare()
    for mode in (0o770, 0o707, 0o777):
        place.chmod(mode)
        with pytest.raises(Unusable, match=rf"others may write to {place} .*chmod 700 {place}"):
            cache.prepare()


def test_a_folder_of_another_user_is_refused(place, monkeypatch):
    cache.prepare()
    if os.getuid() == 0:
        os.chown(place, 12345, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(Unusable, match=f"{place} belongs to another user"):
        cache.prepare()


def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch, stand_in):
    stand_in()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(Unusable, match=r"file.*may be moved by XDG_CACHE_HOME"):
        build.library()


def test_without_a_home_there_is_a_sentence(monkeypatch, stand_in):
    stand_in()

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(Unusable, match="no home folder"):
        build.library()
