"""What the house knows of its machine: free memory, paths, and text that can be shown."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from jaxcnn.host import memory
from jaxcnn.host.errors import InputError
from jaxcnn.host.memory import free_memory, require_memory
from jaxcnn.host.paths import expanded
from jaxcnn.host.text import bytes_text, counted, printable

MIB = 2**20


def files(root: Path, **contents: str) -> None:
    """Files of a system: `__` in a name stands for a slash."""
    for name, content in contents.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    files(tmp_path, proc__meminfo="MemTotal: 9999 kB\nMemFree: 1 kB\nMemAvailable:    4096000 kB\n")
    return tmp_path


def test_a_machine_without_limits_has_what_is_available(system: Path):
    assert free_memory(system) == 4096000 * 1024
    files(system, proc__self__cgroup="0::/\n", sys__fs__cgroup__memory_dot_max="max\n")
    assert free_memory(system) == 4096000 * 1024


def test_a_control_group_leaves_less_and_gives_its_cached_files_back(system: Path):
    """cgroup v2: the limit of each group that holds the process's own counts."""
    files(system, proc__self__cgroup="0::/batch/job\n")
    group = "sys__fs__cgroup__batch__"
    files(system, **{f"{group}job__memory_dot_max": "max\n", f"{group}job__memory_dot_current": f"{MIB}\n"})
    assert free_memory(system) == 4096000 * 1024
    files(system, **{f"{group}memory_dot_max": f"{100 * MIB}\n", f"{group}memory_dot_current": f"{70 * MIB}\n"})
    assert free_memory(system) == 30 * MIB
    files(system, **{f"{group}memory_dot_stat": f"anon 5\ninactive_file {20 * MIB}\nactive_file 7\n"})
    assert free_memory(system) == 50 * MIB


def test_an_older_control_group_is_understood_too(system: Path):
    """cgroup v1 in a container, where the path is the host's and the group is at the top."""
    files(system, proc__self__cgroup="5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n")
    group = "sys__fs__cgroup__memory__memory_dot_"
    files(system, **{f"{group}limit_in_bytes": f"{9 * MIB}\n", f"{group}usage_in_bytes": f"{10 * MIB}\n"})
    assert free_memory(system) == 0
    files(system, **{f"{group}stat": f"total_inactive_file {3 * MIB}\n"})
    assert free_memory(system) == 2 * MIB


def test_the_limit_of_the_shell_counts(system: Path, monkeypatch: pytest.MonkeyPatch):
    resource = pytest.importorskip("resource", reason="not on Windows")
    files(system, proc__self__statm="256 9 9 9 0 9 0\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (300 * resource.getpagesize(), -1))
    assert free_memory(system) == 44 * resource.getpagesize()


def test_where_no_file_says_it_the_system_is_asked(tmp_path: Path):
    free = free_memory(tmp_path)
    assert free is None or free > MIB


def test_what_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 20 * 2**30)
    require_memory(20 * 2**30, "they", "")
    with pytest.raises(InputError, match=r"^9 images take 180 GiB of memory, and 20 GiB are free: give fewer$"):
        require_memory(180 * 2**30, "9 images", "give fewer")
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    require_memory(2**80, "they", "")


def test_the_home_folder_stands_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x" and expanded("a/~/x") == Path("a/~/x")
    for path, sentence in (
        ("~nobody-here/x", "there is no user nobody-here, whose folder ~nobody-here stands for"),
        ("a\0b", "holds a NUL"),
        ("x" * 256, "x cannot be read: File name too long"),
    ):
        with pytest.raises(InputError, match=sentence):
            expanded(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        ("$5 to $10", "$5 to $10"),
        ("caf\u00e9 \u732b", "caf\u00e9 \u732b"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("a\x1b[2J\nb\0", "a\\x1b[2J\\nb\\x00"),
        ("10\u00a0\u20ac", "10\u00a0\u20ac"),
        ("\u202egnp", "\\u202egnp"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
def test_text_is_shown_as_it_is_or_by_its_codes(text: str, shown: str):
    assert printable(text) == shown
    assert printable(shown) == shown and shown.encode("utf-8")
    assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in shown)


def test_numbers_are_said_as_people_say_them():
    assert [bytes_text(size) for size in (0, 1023, 1536, 10 * MIB, 2**40)] == [
        "0 bytes", "1023 bytes", "1.5 KiB", "10 MiB", "1.0 TiB",
    ]  # fmt: skip
    assert bytes_text(2**70) == "1024 EiB"
    assert (counted(1, "class", "classes"), counted(1200, "image"), counted(0, "class", "classes")) == (
        "1 class", "1,200 images", "0 classes",
    )  # fmt: skip
