"""JAXCNN_NATIVE, and what there is to say of the C++ program in a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from native_program import COMPILER, needs_a_compiler

from jaxcnn import ops
from jaxcnn.ops import native
from jaxcnn.ops.native.status import status, threads


def calls_of_the_program(function, *arguments) -> int:
    return jax.jit(function).lower(*arguments).as_text().count("@jaxcnn_")


def convolved(x, kernel):
    return ops.conv(x, kernel, padding=1)


ARRAYS = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 4))


@needs_a_compiler
def test_inside_a_switch_what_was_traced_before_is_traced_anew():
    """Also within one another, and after an error."""
    step = jax.jit(convolved)
    texts = []

    def text():
        texts.append(step.lower(*ARRAYS).as_text().count("@jaxcnn_"))

    text()
    with native.switched("0"):
        text()
        with native.switched("1"):
            text()
        text()
    text()
    with pytest.raises(ZeroDivisionError), native.switched("0"):
        _ = 1 / 0
    text()
    assert texts == [1, 0, 1, 0, 1, 1]


def test_changing_the_variable_later_is_an_error_that_says_what_to_do(monkeypatch):
    held = native.switch()
    other = "0" if held != "0" else "1"
    monkeypatch.setenv("JAXCNN_NATIVE", other)
    sentence = rf"JAXCNN_NATIVE is {other} now and was {held} when it was read.*switched\('{other}'\)"
    with pytest.raises(RuntimeError, match=sentence):
        jax.jit(lambda x, kernel: convolved(x, kernel)).lower(*ARRAYS)
    with native.switched(other):
        assert native.switch() == other


@pytest.mark.parametrize("value", ["yes", "2", "Require"])
def test_another_value_is_refused(monkeypatch, value: str):
    monkeypatch.setenv("JAXCNN_NATIVE", value)
    with pytest.raises(ValueError, match=rf"JAXCNN_NATIVE is '{value}'.*1 \(where it can\), 0 \(never\), require"):
        native.available()
    with pytest.raises(ValueError, match="JAXCNN_NATIVE is"), native.switched(value):
        pass


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    if native.switch() != "1":
        pytest.skip("it is set for these tests")
    monkeypatch.setenv("JAXCNN_NATIVE", "")
    assert native.switch() == "1"


@needs_a_compiler
def test_required_it_computes():
    with native.switched("require"):
        assert native.available() and calls_of_the_program(convolved, *ARRAYS) == 1


@needs_a_compiler
def test_the_status_says_what_computes():
    found = status()
    assert COMPILER is not None and found.file is not None
    assert found.used and found.reason is None and found.switch == native.switch()
    assert found.compiler == " ".join(COMPILER.words) and found.version == COMPILER.version.splitlines()[0]
    assert found.options == COMPILER.options
    assert Path(found.file).is_file() and str(Path(found.file).parent) == found.folder


def test_the_status_says_why_the_program_does_not_compute(tmp_path, monkeypatch):
    with native.switched("0"):
        found = status()
        assert not found.used and found.reason == "JAXCNN_NATIVE is 0"
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CXX", raising=False)
        assert status().compiler is None


@pytest.mark.skipif(sys.platform != "linux", reason="threads have names in /proc alone")
def test_the_threads_are_those_of_xla():
    jax.block_until_ready(jnp.ones(3) + 1)
    tasks = Path("/proc/self/task").iterdir()
    assert [(task / "comm").read_text() for task in tasks].count("tf_XLAEigen\n") == threads()


@pytest.mark.skipif(sys.platform != "linux", reason="the cores of a process are known in Linux alone")
def test_the_threads_are_as_many_as_the_variables_of_xla_say(monkeypatch):
    devices = len(jax.local_devices(backend="cpu"))
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    for value, expected in {"7": 7, "0": 1, "none": len(os.sched_getaffinity(0))}.items():
        monkeypatch.setenv("NPROC", value)
        assert threads() == max(expected, devices)
    monkeypatch.setenv("PJRT_NPROC", "9")
    assert threads() == max(9, devices)
