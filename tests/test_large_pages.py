"""A program that trains asks for large pages, once, and stays the same process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcnn.host import large_pages

HEAP = "glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=268435456"
SETTINGS = f"glibc.malloc.hugetlb=1:{HEAP}"
LINUX = {"library": ("glibc", "2.36"), "policy": "always [madvise] never"}
START = """
import ctypes, os, resource
from jaxcnn.host import large_pages
given = os.environ.get("START")
os.environ.setdefault("START", str(os.getpid()))
large_pages.restart()
assert given in (None, str(os.getpid()))
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.memset.argtypes = [ctypes.c_size_t], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def filled(size):
    array = libc.malloc(size)
    libc.memset(array, 1, size)
    return array

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled(size)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
FAULTS = START + "print(faults(1 << 27))"
FREED = START + "for array in [filled(1 << 24) for _ in range(6)]: libc.free(array)\nprint(faults(1 << 24))"


def output(*arguments: str, **more: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GLIBC_TUNABLES", large_pages.SWITCH)
    }
    if large_pages.wanted(environment) is None:
        pytest.skip("this machine has no large pages to ask for")
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment | more, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def be(library: tuple[str, str], policy: str | None) -> None:
        monkeypatch.setattr(large_pages.platform, "libc_ver", lambda: library)
        monkeypatch.setattr(large_pages, "POLICY", tmp_path / "enabled")
        if policy is not None:
            (tmp_path / "enabled").write_text(policy)

    return be


def test_the_wish_is_added_to_the_environment(machine):
    machine(**LINUX)
    assert large_pages.wanted({"A": "1"}) == {"A": "1", "JAXCNN_LARGE_PAGES": "1", "GLIBC_TUNABLES": SETTINGS}
    others = large_pages.wanted({"GLIBC_TUNABLES": "glibc.malloc.check=3"})
    assert others and others["GLIBC_TUNABLES"] == f"glibc.malloc.check=3:{SETTINGS}"


@pytest.mark.parametrize(
    ("changed", "environment"),
    [
        ({}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
        ({}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}),
        ({}, {"JAXCNN_LARGE_PAGES": "0"}),
        ({}, {"JAXCNN_LARGE_PAGES": "1"}),  # asked for before, and not heard
        ({"library": ("glibc", "2.31")}, {}),
        ({"library": ("", "")}, {}),
        ({"policy": "[always] madvise never"}, {}),
        ({"policy": "always madvise [never]"}, {}),
        ({"policy": None}, {}),
    ],
)
def test_nothing_is_done_where_it_is_done_or_of_no_use(machine, changed, environment):
    machine(**LINUX | changed)
    assert large_pages.wanted(environment) is None


def test_a_restarted_program_is_the_same_process_and_has_fewer_page_faults():
    small = int(output("-c", FAULTS, GLIBC_TUNABLES="glibc.malloc.hugetlb=0"))
    assert small > 32_000  # 128 MiB in pages of 4 KiB
    assert int(output("-c", FAULTS)) < small / 4  # 64 pages of 2 MiB, if the kernel has as many free


def test_what_is_freed_is_kept():
    """Six arrays of 16 MiB, freed; another is then made of what was theirs. By default it is asked for anew."""
    assert int(output("-c", FREED)) < 3
    assert int(output("-c", FREED, GLIBC_TUNABLES="glibc.malloc.hugetlb=1")) >= 8  # pages of 2 MiB


def test_a_debugged_program_is_not_restarted():
    program = (
        "import os; from jaxcnn.host.large_pages import restart; restart(); print(os.environ.get('GLIBC_TUNABLES'))"
    )
    assert output("-c", program) == f"{SETTINGS}\n"
    assert output("-c", f"import sys; sys.settrace(lambda *_: None); {program}") == "None\n"
    assert output("-c", program, JAXCNN_LARGE_PAGES="0") == "None\n"


@pytest.mark.parametrize(
    ("changed", "environment"), [({"policy": "always madvise [never]"}, {}), ({}, {"JAXCNN_LARGE_PAGES": "0"})]
)
def test_what_is_in_the_way_is_said(machine, changed, environment):
    machine(**LINUX | changed)
    assert large_pages.obstacle(environment)
    machine(**LINUX)
    assert large_pages.obstacle({}) is None and large_pages.obstacle({"JAXCNN_LARGE_PAGES": "1"}) is None


def test_train_is_restarted_before_jax_is_imported(tmp_path):
    """What is imported before is imported twice, and JAX takes most of a second."""
    (tmp_path / "jax.py").write_text("import os; print(os.environ.get('GLIBC_TUNABLES')); raise SystemExit")
    script = Path(__file__).parents[1] / "train.py"
    assert output(str(script), PYTHONPATH=str(tmp_path)) == f"{SETTINGS}\n"
    (tmp_path / "linked.py").symlink_to(script)
    assert output(str(tmp_path / "linked.py"), PYTHONPATH=str(tmp_path)) == f"{SETTINGS}\n"
