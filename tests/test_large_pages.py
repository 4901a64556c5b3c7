"""A program that trains asks for large pages, once, and stays the same process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcnn import large_pages

LINUX = {"library": ("glibc", "2.36"), "policy": "always [madvise] never"}
FAULTS = """
import ctypes, os, resource
from jaxcnn import large_pages
given = os.environ.get("START")
os.environ.setdefault("START", str(os.getpid()))
large_pages.restart()
assert given in (None, str(os.getpid()))
libc = ctypes.CDLL(None)
libc.malloc.restype, size = ctypes.c_void_p, 1 << 27
libc.malloc.argtypes, libc.memset.argtypes = [ctypes.c_size_t], [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
libc.memset(libc.malloc(size), 1, size)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def output(*arguments: str, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
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
    assert large_pages.wanted({"A": "1"}) == {"A": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    others = {"GLIBC_TUNABLES": "glibc.malloc.check=3"}
    assert large_pages.wanted(others) == {"GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.hugetlb=1"}


@pytest.mark.parametrize(
    ("changed", "environment"),
    [
        ({}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
        ({}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}),
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


def test_a_notebook_is_not_restarted():
    cell = "from jaxcnn import large_pages; large_pages.restart(); import os; print(os.environ.get('GLIBC_TUNABLES'))"
    assert output("-c", f"exec({cell!r}, {{'__name__': 'notebook'}})") == "None\n"
    assert output("-c", cell) == "glibc.malloc.hugetlb=1\n"


def test_train_is_restarted_before_jax_is_imported(tmp_path):
    """What is imported before is imported twice, and JAX takes most of a second."""
    (tmp_path / "jax.py").write_text("import os; print(os.environ.get('GLIBC_TUNABLES')); raise SystemExit")
    script = Path(__file__).parents[1] / "train.py"
    assert output(str(script), PYTHONPATH=str(tmp_path)) == "glibc.malloc.hugetlb=1\n"
    (tmp_path / "linked.py").symlink_to(script)
    assert output(str(tmp_path / "linked.py"), PYTHONPATH=str(tmp_path)) == "glibc.malloc.hugetlb=1\n"
