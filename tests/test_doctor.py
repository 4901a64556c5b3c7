"""`jaxcnn doctor`: everything that it looks at, and what it says where something is slow or broken."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from jaxcnn import __version__
from jaxcnn.commands import doctor
from jaxcnn.commands.main import main
from jaxcnn.ops.native import status as native_status


@pytest.fixture
def found(capsys, monkeypatch):
    """What the doctor finds, by subject; its exit status is under "status"."""

    def look(**environment: str) -> dict:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        status = main(["doctor", "--json"])
        return {one["subject"]: one for one in json.loads(capsys.readouterr().out)} | {"status": status}

    return look


def of_program(monkeypatch, **changed):
    given = {"used": False, "reason": "why", "switch": "1", "compiler": "g++", "version": "g++ 12", "threads": 2}
    given |= {"options": (), "file": None, "folder": None} | changed
    monkeypatch.setattr(native_status, "status", lambda: SimpleNamespace(**given))


def test_it_looks_at_what_is_needed(found):
    subjects = found()
    assert subjects["status"] == 0 and subjects["jaxcnn"]["found"].startswith(__version__)
    assert f"jax {jax.__version__}" in subjects["packages"]["found"]
    for subject in "Python", "machine", "devices", "C++ program", "large pages", "caches", "settings":
        assert subjects[subject]["found"], subject
    assert not any(one["broken"] for subject, one in subjects.items() if subject != "status")


def test_the_text_fits_80_columns_and_ends_in_a_verdict(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if " " in line[12:]]  # a path is not broken
    assert max(map(len, lines)) <= 80
    assert "\nslow        JAX_ENABLE_X64: everything is computed in float64" in shown and "\ncure  " in shown
    assert "Nothing is slow" in doctor.report([doctor.Finding("a", "b")])


@pytest.mark.parametrize(("changed", "cure"), [
    ({"switch": "0", "reason": "JAXCNN_NATIVE is 0"}, "unset JAXCNN_NATIVE"),
    ({"compiler": None, "reason": "there is no C++ compiler"}, "install g++"),
    ({"reason": "the compiler failed; mend it"}, ""),
])  # fmt: skip
def test_a_program_that_is_not_used_is_slow_and_has_a_cure(changed, cure, found, monkeypatch):
    of_program(monkeypatch, **changed)
    one = found()["C++ program"]
    assert changed["reason"] in one["found"] and one["trouble"] and one["cure"].startswith(cure)
    assert bool(one["cure"]) == bool(cure)


def test_what_forbids_large_pages_is_named(found, monkeypatch, tmp_path):
    monkeypatch.setattr("jaxcnn.host.large_pages.platform.libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr("jaxcnn.host.large_pages.POLICY", tmp_path / "enabled")
    (tmp_path / "enabled").write_text("always [madvise] never")
    assert not found()["large pages"]["trouble"]
    assert "unset what forbids them" in found(JAXCNN_LARGE_PAGES="0")["large pages"]["cure"]
    monkeypatch.delenv("JAXCNN_LARGE_PAGES")
    (tmp_path / "enabled").write_text("always madvise [never]")
    assert str(tmp_path / "enabled") in found()["large pages"]["cure"]


def test_without_a_device_it_says_so_and_looks_at_the_rest(found, monkeypatch):
    def none(*_):
        raise AssertionError

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.setattr(jax, "default_backend", none)
    subjects = found(JAX_PLATFORMS="cuda")
    assert subjects["status"] == 1 and subjects["devices"]["broken"]
    assert "JAX_PLATFORMS=cuda" in subjects["devices"]["trouble"] and subjects["caches"]["found"]


def test_a_look_that_fails_is_a_finding(found, monkeypatch):
    def caches():
        raise PermissionError("not for you")

    monkeypatch.setattr(doctor, "LOOKS", (doctor.settings, caches))
    subjects = found()
    assert subjects["status"] == 1 and "PermissionError: not for you" in subjects["caches"]["trouble"]


def test_a_missing_package_is_broken(found, monkeypatch):
    monkeypatch.setattr(doctor, "NEEDED", ("jax", "no-such-package"))
    one = found()["packages"]
    assert one["broken"] and one["trouble"].startswith("no-such-package")


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"1234")
    (tmp_path / "b").write_bytes(b"56")
    assert doctor._size(tmp_path) == 6
