"""A standard output that is closed, full, read by nobody any more, or in a code that knows few letters."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest

from jaxcnn.commands.main import main
from jaxcnn.host.output import OutputLost, standard_output

ROOT = Path(__file__).parents[1]
TINY = ["train", "--data.size", "8", "8", "--network", "mlp", "--epochs", "2", "--batch-size", "512"]


@contextmanager
def nobody_reads() -> Iterator[None]:
    """Print to a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe, redirect_stdout(pipe):
        yield


@contextmanager
def full() -> Iterator[None]:
    """Print to a disk that is full."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as disk, redirect_stdout(disk):
        yield


def in_shell(command: str) -> tuple[int, str]:
    """The exit status of a shell line with `jaxcnn` in it, and its standard error."""
    line = command.replace("jaxcnn", f"{sys.executable} -m jaxcnn")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    return done.returncode, done.stderr.decode()


def test_a_command_whose_reader_has_gone_ends_without_a_word(capsys):
    with nobody_reads():
        assert main(["summary", "lenet5"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_command_whose_output_is_full_says_so(capsys):
    with full():
        assert main(["summary", "lenet5"]) == 1
    assert capsys.readouterr() == ("", "jaxcnn: cannot write to the standard output: No space left on device\n")


def test_a_training_that_nobody_reads_goes_on_to_its_end(capsys, tmp_path):
    with nobody_reads():
        assert main([*TINY, "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "jaxcnn: nobody reads the standard output any more; the work goes on\n"
    assert json.loads((tmp_path / "digits" / "result.json").read_text())["epochs"] == 2


@pytest.mark.parametrize(("place", "why"), [(nobody_reads, "nobody reads"), (full, "No space left on device")])
def test_what_lasts_says_once_that_it_is_not_read(place, why, capsys):
    with place(), standard_output() as output:
        output.lasting = True
        print("x", flush=True)
        print("y", flush=True)
    shown, said = capsys.readouterr()
    assert shown == "" and said.count("\n") == 1 and why in said and said.endswith("; the work goes on\n")


@pytest.mark.parametrize("place", [nobody_reads, full])
def test_what_does_not_last_ends(place, capsys):
    with place(), pytest.raises(OutputLost), standard_output():
        print("x", flush=True)
        pytest.fail("it went on")


def test_processes_end_with_the_right_status_and_no_traceback():
    assert in_shell("jaxcnn --version >&-") == (0, "")
    assert in_shell("jaxcnn --version >&- 2>&- <&-") == (0, "")
    assert in_shell("jaxcnn --help | head -1; exit ${PIPESTATUS[0]}") == (0, "")
    status, said = in_shell("jaxcnn --version > /dev/full")
    assert (status, said) == (1, "jaxcnn: cannot write to the standard output: No space left on device\n")


def test_a_closed_standard_output_does_not_lend_its_number_to_the_next_file(tmp_path):
    (tmp_path / "program.py").write_text("""
import sys
from jaxcnn.host.output import standard_output
with standard_output():
    print(open(__file__).fileno(), file=sys.stderr)
""")
    line = f"{sys.executable} {tmp_path / 'program.py'} >&-"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment)
    assert int(done.stderr) > 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_a_code_has_no_letter_for_is_drawn_by_another(encoding, tmp_path, monkeypatch):
    file = tmp_path / "shown"
    with file.open("w", encoding=encoding) as shown:
        monkeypatch.setattr(sys, "stdout", shown)
        with standard_output():
            print("a 50% ██ of … 犬 \udcff")
        monkeypatch.undo()
    more = "…" if encoding == "cp1252" else "~"
    assert file.read_text(encoding=encoding) == f"a 50% ## of {more} \\u72ac \\udcff\n"


def test_where_there_is_no_descriptor_the_code_is_looked_after_as_well(monkeypatch):
    data = io.BytesIO()
    memory = io.TextIOWrapper(data, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", memory)
    with standard_output():
        print("██", flush=True)
    monkeypatch.undo()
    assert data.getvalue() == b"##\n" and memory.errors == "strict"


def test_what_was_printed_before_an_error_is_not_lost(tmp_path, monkeypatch):
    file = tmp_path / "shown"
    with file.open("w") as shown:
        monkeypatch.setattr(sys, "stdout", shown)
        with pytest.raises(ZeroDivisionError), standard_output():
            print("before")
            raise ZeroDivisionError
        monkeypatch.undo()
    assert file.read_text() == "before\n"
