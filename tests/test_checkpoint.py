"""Checkpoints: a flipped bit is seen, the one before is used, and from each of them a run ends in the same bits."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jaxcnn.config import Adam, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import Failed, InputError
from jaxcnn.training import checkpoint, manifest
from jaxcnn.training import writer as writing
from jaxcnn.training.loop import fit
from jaxcnn.training.run_folder import fingerprint
from jaxcnn.training.trained import trained

SMALL = TrainConfig(
    name="small",
    network="mlp",
    network_options={"width": 16},
    data=DataConfig("digits", validation_fraction=0.01),
    optimizer=OptimizerConfig(Adam(), lr=2e-2),
    epochs=3,
    batch_size=128,
)


def run(folder: Path, config: TrainConfig = SMALL, **options) -> tuple[dict, str]:
    """The result of a run in `folder`, and what it printed."""
    console = Console(record=True, width=200, file=io.StringIO())
    return fit(config, results=folder, console=console, **options), console.export_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[str, Path]:
    """The fingerprint of a run, and its folder."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return sha(folder / "small"), folder / "small"


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished[1], tmp_path / "small"))


def flip(path: Path, at: int = -1, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def data_file(place: Path) -> Path:
    """The file with the most numbers in it."""
    return max((path for path in place.glob("model/**/*") if path.is_file()), key=lambda path: path.stat().st_size)


def sha(folder: Path, which="last") -> str:
    found = trained(folder, which)
    return fingerprint(found.params, found.batch_stats)


def test_two_checkpoints_of_the_newest_are_kept_and_one_of_the_best(finished):
    last, best = checkpoint.folders(finished[1])
    assert [place.name for place in checkpoint.places(last)] == ["36", "24"]
    assert len(checkpoint.places(best)) == 1
    assert all(manifest.fault(place) is None for place in [*checkpoint.places(last), *checkpoint.places(best)])


def test_a_flipped_bit_in_any_file_of_a_checkpoint_is_seen(copy):
    place = copy / "checkpoints/last/36"
    files = [path for path in place.rglob("*") if path.is_file() and path.name != manifest.NAME]
    assert len(files) > 10
    rng = np.random.default_rng(0)
    for path in files:
        content = path.read_bytes()
        for at in {0, len(content) - 1, *rng.integers(len(content), size=3).tolist()}:
            flip(path, at, int(rng.integers(8)))
            assert path.relative_to(place).as_posix() in str(manifest.fault(place))
            path.write_bytes(content)
        path.unlink()
        assert manifest.fault(place) == f"{path.relative_to(place).as_posix()} is missing"
        path.write_bytes(content)
    assert manifest.fault(place) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha256": {}}', b'{"sha256": {"a\\u0000b": ""}}', b"\xff"])
def test_a_manifest_that_says_nothing_is_a_fault(content, copy):
    place = copy / "checkpoints/last/36"
    (place / manifest.NAME).write_bytes(content)
    assert manifest.NAME in str(manifest.fault(place))


def test_a_reader_takes_the_checkpoint_before_a_damaged_one_and_says_so(copy):
    before = sha(copy)
    flip(data_file(copy / "checkpoints/last/36"))
    said = r"last/36 is damaged \(the bytes of model/.* are not those that were written\).*last/24 is used"
    with pytest.warns(UserWarning, match=said):
        assert sha(copy) != before


def test_a_reader_is_told_of_another_checkpoint_only_where_that_is_sound(copy):
    for place in checkpoint.places(copy / "checkpoints/last"):
        flip(data_file(place))
    with pytest.raises(
        InputError, match=r"last/36 is damaged .*; .*last/24 is damaged .*: that of --checkpoint best is"
    ):
        trained(copy, "last")
    assert trained(copy, "best").params
    flip(data_file(checkpoint.places(copy / "checkpoints/best")[0]))
    with pytest.raises(InputError, match=r"damaged.*: train again with --overwrite, or put back a copy"):
        trained(copy, "last")


def resumed(copy: Path, **options) -> tuple[str, str]:
    _, said = run(copy.parent, resume=True, **options)
    return sha(copy), said


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_bits(finished, copy):
    for place in copy / "checkpoints/last/36", *checkpoint.places(copy / "checkpoints/best"):
        flip(data_file(place))
    end, said = resumed(copy)
    assert end == finished[0]
    assert "last/36 is damaged" in said and "goes on from step 24" in said
    assert [place.name for place in checkpoint.places(copy / "checkpoints/last")] == ["36", "24"]
    assert [json.loads(line)["epoch"] for line in (copy / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


@pytest.mark.parametrize("gone", ["damaged", "deleted"])
def test_a_run_goes_on_from_its_best_checkpoint_where_it_has_no_other(gone, finished, copy):
    if gone == "deleted":
        shutil.rmtree(copy / "checkpoints/last")
    for place in checkpoint.places(copy / "checkpoints/last"):
        flip(data_file(place))
    end, said = resumed(copy)
    assert end == finished[0] and "goes on from step" in said
    assert manifest.fault(checkpoint.places(copy / "checkpoints/last")[0]) is None


def test_a_run_without_a_sound_checkpoint_is_not_resumed_and_not_changed(copy):
    for place in [place for folder in checkpoint.folders(copy) for place in checkpoint.places(folder)]:
        flip(data_file(place))
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"no checkpoint of .* is sound: .*put back a copy of .*--overwrite"):
        resumed(copy)
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    run(copy.parent, replace(SMALL, epochs=1), overwrite=True)  # the advice works


def test_a_run_whose_checkpoints_are_gone_does_not_begin_at_step_0_in_silence(copy):
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(InputError, match=r"has been trained for 3 epochs, but its checkpoints are gone"):
        resumed(copy)
    (copy / "result.json").unlink()
    with pytest.raises(InputError, match="checkpoints are gone"):
        resumed(copy)


def test_a_checkpoint_without_its_seal_is_not_complete(finished, copy):
    """As one whose writer was killed when Orbax was done and the manifest was not."""
    (copy / "checkpoints/last/36" / manifest.NAME).unlink()
    shutil.rmtree(copy / "checkpoints/best")
    end, said = resumed(copy)
    assert end == finished[0] and "goes on from step 24" in said and "last/36" not in said


def test_the_oldest_checkpoint_is_deleted_after_the_newest_is_sealed(tmp_path, monkeypatch):
    seen = []

    def seal(place: Path) -> None:
        seen.append(sorted(each.name for each in checkpoint.places(place.parent)))
        original(place)

    original = manifest.seal
    monkeypatch.setattr(manifest, "seal", seal)
    tree = {"a": np.ones(3, np.float32)}
    with writing.writer(tmp_path, keep=2) as writer:
        for step in 1, 2, 3, 4:
            writer.save(step, tree, tree)
            writer.wait_until_finished()
            assert manifest.fault(tmp_path / str(step)) is None
    assert seen == [[], ["1"], ["1", "2"], ["2", "3"]]
    assert [place.name for place in checkpoint.places(tmp_path)] == ["4", "3"]


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "half").write_text("written")
    (tmp_path / "notes").mkdir()
    with writing.writer(tmp_path, keep=2):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_failing_disk_is_a_sentence_and_the_checkpoint_before_is_kept(tmp_path, monkeypatch):
    tree = {"a": np.ones(3, np.float32)}

    def fail(place: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Failed, match=r"could not be written to .*: the disk is full; .*/1 is whole"):  # noqa: SIM117
        with writing.writer(tmp_path, keep=2) as writer:
            writer.save(1, tree, tree)
            writer.wait_until_finished()
            monkeypatch.setattr(manifest, "seal", fail)
            writer.save(2, tree, tree)
    place, damaged = checkpoint.newest([tmp_path])
    assert place == tmp_path / "1" and not damaged


def test_a_disk_without_room_for_a_checkpoint_is_not_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: (10**9, 0, 10**6))
    tree = {"a": np.ones(10**6, np.float32)}
    with pytest.raises(Failed, match="the disk has 1,000,000 bytes left, and a checkpoint needs 8,100,000"):  # noqa: SIM117
        with writing.writer(tmp_path, keep=2) as writer:
            writer.save(1, tree, tree)
    assert not list(tmp_path.iterdir())


FULL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_checkpoint import Failed, InputError, run, writing
if "unchecked" in sys.argv:
    writing.Writer._check_room = lambda *_: None
try:
    run(Path(sys.argv[1]), resume="resume" in sys.argv)
except (Failed, InputError) as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("unchecked", [[], ["unchecked"]])
@pytest.mark.parametrize("kilobytes", [4, 16, 80, 160, 300, 420])
def test_a_disk_that_is_full_at_any_moment_leaves_a_sentence_and_a_way_on(kilobytes, unchecked, finished, tmp_path):
    """`unchecked`: as where the room on the disk cannot be known before, because of a quota for example."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", disk], check=False).returncode:
        pytest.skip("no disk can be mounted")

    def train(*options: str) -> subprocess.CompletedProcess:
        words = [sys.executable, "-c", FULL, str(disk), str(Path(__file__).parent), *options]
        return subprocess.run(words, capture_output=True, text=True)

    try:
        done = train(*unchecked)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 1 and re.search("full|No space|bytes left", done.stdout), done
        folder = disk / "small"
        assert not checkpoint.newest(checkpoint.folders(folder))[1]
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        begun = (folder / "config.json").exists()
        done = train(*["resume"] * begun)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (folder / "result.json").exists() and sha(folder) == finished[0]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.slow
def test_a_run_killed_while_a_checkpoint_is_sealed_resumes_to_the_same_bits(finished, tmp_path):
    """SIGKILL in the thread that writes the manifest of the second checkpoint."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_checkpoint import *
original = manifest.seal
def seal(place):
    if place.name == "24":
        os.kill(os.getpid(), signal.SIGKILL)
    original(place)
manifest.seal = seal
run(Path({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [place.name for place in checkpoint.places(tmp_path / "small/checkpoints/last")] == ["12"]
    _, said = run(tmp_path, resume=True)
    assert sha(tmp_path / "small") == finished[0] and "goes on from step" in said


def test_a_reader_that_loses_its_checkpoint_to_a_newer_one_reads_that(copy, monkeypatch):
    """The run goes on while it is read: the checkpoint is deleted between the check and the reading."""
    original, places = checkpoint.read, []

    def read(place: Path, *trees):
        places.append(place.name)
        if len(places) == 1:
            shutil.copytree(place, place.with_name("48"))
            manifest.discard(place)
        return original(place, *trees)

    monkeypatch.setattr(checkpoint, "read", read)
    assert trained(copy, "last").params
    assert places == ["36", "48"]
