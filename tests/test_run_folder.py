"""The folder of a run: every state that we leave it in has a way on, and nothing of the person's is deleted."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jaxcnn.config import Adam, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host import files
from jaxcnn.host import lock as locking
from jaxcnn.host.errors import Failed, InputError
from jaxcnn.host.lock import Locked, lock
from jaxcnn.training import conclusion, loop, opening, run_folder
from jaxcnn.training.loop import fit
from jaxcnn.training.opening import check_folder, open_run
from jaxcnn.training.resuming import starting_point
from jaxcnn.training.run_folder import Facts, Record, read_record

SHORT = TrainConfig(
    name="short", network="mlp", network_options={"width": 8}, data=DataConfig("digits"),
    optimizer=OptimizerConfig(Adam(), lr=2e-2), epochs=1, batch_size=360,
)  # fmt: skip


def run(folder: Path, config: TrainConfig = SHORT, **options) -> dict:
    return fit(config, results=folder, console=Console(quiet=True), **options)


RECORD = Record(SHORT, Facts(tuple("0123456789"), (8, 8, 1), (0.3,), (0.4,), "ab" * 32))


def begin(folder: Path, record: Record = RECORD, resume: bool = False, overwrite: bool = False) -> Record:
    """What `fit` does with the folder `short` before it trains; returns what config.json says then."""
    folder /= "short"
    check_folder(folder, resume, overwrite)
    with opening.held(folder):
        if not resume:
            open_run(folder, record, overwrite)
    return read_record(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder / "short"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "short"))


# the states


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", "config.json.partial"]])
def test_a_folder_that_we_made_and_wrote_nothing_into_is_begun_anew(left, tmp_path):
    """A disk was full, or the process killed, before config.json was whole."""
    (tmp_path / "short").mkdir()
    for name in left:
        (tmp_path / "short" / name).write_text("{")
    with pytest.raises(InputError, match=r"nothing to resume: .* holds no run; begin it without --resume"):
        begin(tmp_path, resume=True)
    assert begin(tmp_path) == RECORD


def test_a_disk_that_is_full_while_config_json_is_written_leaves_no_dead_end(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write to the folder .*short: No space left on device"):
        begin(tmp_path)
    assert {path.name for path in (tmp_path / "short").iterdir()} == {".lock"}
    monkeypatch.undo()
    assert begin(tmp_path) == RECORD


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("content", [None, "", "{", '{"config": {}}', "\0\0\0"])
def test_a_lost_or_damaged_config_has_a_way_on(content, resume, copy):
    (copy / "config.json").unlink()
    if content is not None:
        (copy / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json.* put that back|is damaged" if resume else "--overwrite"):
        begin(copy.parent, resume=resume)
    assert begin(copy.parent, overwrite=True) == RECORD


def test_overwrite_deletes_what_training_wrote_and_nothing_else(copy):
    (copy / "notes.txt").write_text("years of work")
    begin(copy.parent, RECORD._replace(config=replace(SHORT, seed=1)), overwrite=True)
    assert (copy / "notes.txt").read_text() == "years of work"
    assert json.loads((copy / "config.json").read_text())["config"]["seed"] == 1
    assert {path.name for path in copy.iterdir()} == {".lock", "config.json", "notes.txt"}


@pytest.mark.parametrize("names", [["thesis.txt"], ["config.json", "model.safetensors"], ["checkpoints", "thesis.txt"]])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_that_is_no_run_is_left_alone(names, overwrite, tmp_path):
    """Such as a model of the Hugging Face Hub, which has a config.json of its own."""
    (tmp_path / "short").mkdir()
    for name in names:
        (tmp_path / "short" / name).write_text('{"architectures": ["ResNet"]}')
    with pytest.raises(InputError, match=r"not the folder of a run.* choose another --name"):
        begin(tmp_path, overwrite=overwrite)
    assert sorted(path.name for path in (tmp_path / "short").iterdir()) == sorted(names)


@pytest.mark.parametrize("files_deleted", range(6))
def test_a_run_killed_while_it_replaces_another_is_neither_and_is_finished_with_overwrite(
    files_deleted, copy, monkeypatch
):
    (copy / "notes.txt").write_text("years of work")
    count = 0

    def deleted(path: Path) -> None:
        nonlocal count
        if count == files_deleted:
            raise KeyboardInterrupt
        count += 1
        original(path)

    original = opening._delete
    monkeypatch.setattr(opening, "_delete", deleted)
    with pytest.raises(KeyboardInterrupt):
        begin(copy.parent, overwrite=True)
        raise KeyboardInterrupt  # there are fewer files than that
    monkeypatch.undo()
    if (copy / "config.json").exists():
        assert files_deleted == 5
        return
    for options in {}, {"resume": True}:
        with pytest.raises(InputError, match=r"was being replaced .* finish it with --overwrite"):
            begin(copy.parent, **options)
    assert begin(copy.parent, overwrite=True) == RECORD
    assert (copy / "notes.txt").exists() and not (copy / opening.DISCARDED).exists()


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000])
def test_a_folder_that_cannot_be_is_a_sentence(name, tmp_path):
    for options in {}, {"resume": True}, {"overwrite": True}:
        with pytest.raises(InputError, match=r"(cannot be read|cannot be the name of a folder|cannot write)"):
            begin(tmp_path / name, **options)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "short").write_text("")
    with pytest.raises(InputError, match="cannot be a folder, as a file is in its place"):
        begin(tmp_path, overwrite=True)


# the lock

HOLD = """
import sys
from pathlib import Path
from jaxcnn.training.opening import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_process_trains_is_refused_and_can_be_read(copy):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(copy)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for options in {"resume": True}, {"overwrite": True}:
        with pytest.raises(InputError, match=rf"short is being trained by process {holder.pid} on \S+: wait for it"):
            run(copy.parent, **options)
    from jaxcnn.training.trained import trained

    assert trained(copy).params
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert begin(copy.parent, overwrite=True) == RECORD  # the lock died with its holder


def test_of_two_new_runs_of_one_name_the_second_to_be_ready_is_refused(tmp_path, monkeypatch):
    """The other one begins while this one reads its data."""

    def prepare(*arguments, **options):
        monkeypatch.undo()
        with opening.held(tmp_path / "short"):
            with pytest.raises(InputError, match="is being trained by process"):
                run(tmp_path)
            raise Other

    class Other(Exception):
        pass

    monkeypatch.setattr(loop, "prepare", prepare)
    with pytest.raises(Other):
        run(tmp_path)


def test_a_lock_names_its_holder_and_is_released(tmp_path):
    path = tmp_path / ".lock"
    with lock(path), pytest.raises(Locked, match=f"process {os.getpid()} on "), lock(path):
        pass
    with lock(path):
        assert path.read_text().startswith(f"process {os.getpid()} on ")


def test_without_locks_of_the_system_the_process_that_the_file_names_has_it_while_it_lives(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    monkeypatch.setattr(locking, "fcntl", None)
    with lock(path), pytest.raises(Locked, match=f"process {os.getpid()} on "), lock(path):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = path.read_text().partition(" on ")[2] or locking.socket.gethostname()
    for content, free in (f"process {dead.pid} on {host}", True), ("", True), ("process 1 on another.host", False):
        path.write_text(content)
        if free:
            with lock(path):
                assert str(os.getpid()) in path.read_text()
        else:
            with pytest.raises(Locked, match=r"process 1 on another\.host"), lock(path):
                pass


def test_a_file_system_without_locks_is_as_a_system_without(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locking.fcntl, "flock", flock)
    with lock(tmp_path / ".lock"), pytest.raises(Locked), lock(tmp_path / ".lock"):
        pass


# what is written, and in what order


def test_the_result_is_written_before_the_pictures_and_no_picture_loses_it(tmp_path, monkeypatch):
    def fail(*_):
        assert (tmp_path / "short/result.json").exists()
        raise ValueError("a class called $1$2")

    monkeypatch.setattr(conclusion, "draw_curves", fail)
    console = Console(record=True, width=200, file=io.StringIO())
    result = fit(SHORT, results=tmp_path, console=console)
    assert json.loads((tmp_path / "short/result.json").read_text()) == result
    assert "not every picture could be drawn: ValueError: a class called $1$2" in console.export_text()


@pytest.mark.parametrize("name", ["metrics.jsonl", "result.json"])
def test_figures_that_cannot_be_written_are_a_sentence_with_a_way_on(name, tmp_path, monkeypatch):
    def write(path: Path, text: str) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device")
        original(path, text)

    original = files.write_text
    for module in files, run_folder:
        monkeypatch.setattr(module, "write_text", write)
    with pytest.raises(Failed, match=rf"{name} cannot be written: No space left .* --resume"):
        run(tmp_path)
    assert starting_point(tmp_path / "short", SHORT).place or name == "metrics.jsonl"


def test_a_file_is_written_whole_or_not_at_all_and_is_on_the_disk(tmp_path, monkeypatch):
    path, synced = tmp_path / "a.json", []
    files.write_json(path, 1)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((tmp_path / "a.json.partial").exists())
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    files.write_json(path, 2)
    assert (
        synced == [True, False] if os.name != "nt" else synced == [True]
    )  # the file before it is renamed, the folder after
    monkeypatch.setattr(files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError):
        files.write_json(path, 3)
    assert path.read_text() == "2\n" and [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_the_result_says_whether_the_program_computed(finished):
    from jaxcnn.ops import native

    said = json.loads((finished / "result.json").read_text())["native"]
    assert said["used"] is native.available() and said["reason"] == native.reason() and said["threads"] >= 1
