"""Ctrl-C, SIGTERM and a lost terminal stop the program whenever they come, with a sentence and the right status."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jaxcnn.host import interrupts
from jaxcnn.host.interrupts import Interrupted, Stop, stop_requests, stoppable

ROOT = Path(__file__).parents[1]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
each_signal = pytest.mark.parametrize(("number", "code"), SIGNALS)


@pytest.fixture(autouse=True)
def handlers_are_put_back():
    before = {number: signal.getsignal(number) for number, _ in SIGNALS}
    for number in before:
        signal.signal(number, signal.default_int_handler)  # those that are ignored here would stay so
    yield
    assert all(signal.getsignal(number) is signal.default_int_handler for number in before)
    for number, handler in before.items():
        signal.signal(number, handler)


@each_signal
def test_a_signal_stops_what_can_be_stopped(number, code):
    with pytest.raises(Stop) as stopped, stoppable():
        signal.raise_signal(number)
    assert stopped.value.code == code and isinstance(stopped.value, KeyboardInterrupt)


def test_a_stop_that_a_callback_swallows_comes_back():
    """As JAX's callback for the garbage collection does, which runs anywhere."""

    def callback(phase: str, _: dict) -> None:
        if phase == "start":
            gc.callbacks.remove(callback)
            signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    with pytest.raises(Stop), stoppable():
        gc.collect()
        threading.Event().wait(60)
        pytest.fail("it did not come back")


@pytest.mark.parametrize("error", [ImportError, SystemExit, Exception])
def test_a_stop_that_a_library_makes_another_error_is_a_stop(error):
    with pytest.raises(Stop) as stopped, stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise error("Encountered an error while initializing the extension.") from None
    assert stopped.value.code == 143


def test_a_stop_that_a_library_suppresses_is_one_in_the_end():
    reached = False
    with pytest.raises(Stop), stoppable():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            reached = True
    assert reached


def test_errors_without_a_signal_pass():
    with pytest.raises(ValueError, match="mine"), stoppable():
        raise ValueError("mine")


@each_signal
def test_a_request_is_noted_and_stops_nothing(number, code):
    with stop_requests() as stops:
        signal.raise_signal(number)
        assert stops == [number]


def test_a_request_within_a_stoppable_program_is_noted_and_what_comes_after_stops_it():
    with pytest.raises(Stop), stoppable():
        with stop_requests() as stops:
            assert stops == []
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")


def test_a_stop_that_was_suppressed_is_a_request_already():
    with pytest.raises(Interrupted, match="saved"), stoppable():
        with pytest.raises(Stop):
            signal.raise_signal(signal.SIGTERM)
        with stop_requests() as stops:
            assert stops == [signal.SIGTERM]
            raise Interrupted("saved", 143)


def test_signals_that_are_ignored_stay_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by nohup
    with stop_requests() as stops:
        signal.raise_signal(signal.SIGHUP)
    assert stops == [] and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGHUP, signal.default_int_handler)


def test_outside_the_main_thread_nothing_is_caught():
    seen = []

    def work() -> None:
        with stoppable(), stop_requests() as stops:
            seen.append((signal.getsignal(signal.SIGINT), list(stops)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(signal.default_int_handler, [])]


def test_of_signals_that_come_together_the_second_is_none(monkeypatch):
    """A program that runs this one sends on what the terminal has sent to both."""
    monkeypatch.setattr(interrupts, "leave", lambda number: pytest.fail("left"))
    with stop_requests() as stops:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert stops[0] == signal.SIGINT


def test_a_second_signal_is_not_only_noted_and_a_second_loss_of_the_terminal_is(monkeypatch):
    """Within a program that is not ours, a notebook for example, which does not end."""
    monkeypatch.setattr(interrupts, "ONE_PRESS", -1.0)
    with pytest.raises(Stop), stop_requests() as stops:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stops == [signal.SIGHUP, signal.SIGHUP]
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")


# real processes


def process(script: str) -> subprocess.Popen:
    start = "import sys\nfrom jaxcnn.host.interrupts import *\nfrom jaxcnn.host.interrupts import hold_for_restart\n"
    words = [sys.executable, "-c", start + script]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(words, text=True, env=environment, **pipes)


def line(stream) -> str:
    return stream.readline().strip()


@each_signal
def test_a_program_that_has_only_begun_ends_on_the_spot(number, code):
    """Inside of imports, for example, where an exception may be swallowed."""
    started = process("begin()\ntry:\n    print('ready', flush=True)\n    input()\nexcept:\n    input()\n")
    assert line(started.stdout) == "ready"
    started.send_signal(number)
    said = started.stderr.read()
    assert (started.wait(), said) == (code, "jaxcnn: stopped\n")


def test_a_program_that_has_only_begun_ends_inside_a_library_too():
    """Or just before it waits for a file, when Python's handler comes too late to be called."""
    started = process(
        "import hashlib\nbegin()\nprint('ready', flush=True)\nhashlib.pbkdf2_hmac('sha1', b'', b'', 10**9)"
    )
    assert line(started.stdout) == "ready"
    started.send_signal(signal.SIGINT)
    said = started.stderr.read()
    assert (started.wait(), said) == (130, "jaxcnn: stopped\n")


def test_a_second_signal_ends_a_program_that_is_inside_a_library():
    """Where no handler in Python runs before the library returns, as in XLA's compiler."""
    started = process("""
import hashlib
begin()
with stop_requests():
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
""")
    assert line(started.stdout) == "ready"
    started.send_signal(signal.SIGINT)
    assert line(started.stderr) == "jaxcnn: stopping as soon as this can be left; once more stops at once"
    started.send_signal(signal.SIGINT)
    assert started.stderr.read() == "jaxcnn: stopped\n"
    assert started.wait() == 130


def test_a_signal_that_comes_while_the_program_starts_itself_again_is_not_lost():
    again = "from jaxcnn.host.interrupts import begin; begin(); input()"
    started = process(f"""
begin()
hold_for_restart()
signal.raise_signal(signal.SIGTERM)
os.execv(sys.executable, [sys.executable, "-c", {again!r}])
""")
    said = started.stderr.read()
    assert (started.wait(), said) == (143, "jaxcnn: stopped\n")


@pytest.mark.parametrize(
    "words", [["train", "--epochs", "0"], ["summary", "no_such_network"]], ids=["train", "summary"]
)
def test_no_stop_is_raised_in_libraries_that_are_being_loaded(words: list[str]):
    """JAX's call Python then: an exception there ended the process with a segmentation fault."""
    started = process(f"""
import importlib.abc, signal
from jaxcnn.commands import main

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "jaxlib":
            print(signal.getsignal(signal.SIGINT).manner, flush=True)

sys.meta_path.insert(0, Finder())
begin()
main.main({words})
""")
    said, _ = started.communicate()
    assert (said, started.returncode) == ("leave\n", 0)


TRAIN = ["-u", "-m", "jaxcnn", "train", "--data.size", "16", "16", "--network", "resnet20", "--epochs", "2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "number", "code"),
    [(seconds, *SIGNALS[0]) for seconds in (0.6, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20)]
    + [(seconds, *SIGNALS[1]) for seconds in (0.8, 2.5, 5, 9)],  # the same handler
)
def test_training_can_be_stopped_at_any_moment(seconds, number, code, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, *TRAIN]
    training = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    try:
        _, said = training.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        training.send_signal(number)
        _, said = training.communicate()
        assert training.returncode == code, said
        sentences = [text for text in said.splitlines() if "stopping as soon" not in text]
        assert len(sentences) == 1 and re.match("jaxcnn: .*stopped", sentences[0]), said
        if "--resume" not in said:
            return
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/digits/result.json").exists()
