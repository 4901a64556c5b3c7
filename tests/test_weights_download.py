"""Downloads from a server on this machine: resumed, verified, and never half there."""

from __future__ import annotations

import hashlib
import http.server
import io
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jaxcnn.host.errors import InputError
from jaxcnn.weights import download as module
from jaxcnn.weights.download import cache_folder, download

CONTENT = bytes(range(256)) * 5000
LARGEST = len(CONTENT) + 1000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()[:8]}"


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `breaks` answers end early, after `most` bytes each; `ranges` says whether it can resume.

    `length` stands for the true Content-Length where it is set; `endless` answers go on behind the content.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.breaks, self.most, self.ranges = 0, 100_000, True
        self.length: str | None = None
        self.endless = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/resnet.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        if self.path != "/resnet.pth":
            return self.send_error(404)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if first >= len(CONTENT):
            return self.send_error(416)
        body = CONTENT[first:]
        self.send_response(206 if first else 200)
        if not self.server.endless:
            self.send_header("Content-Length", str(len(body)) if self.server.length is None else self.server.length)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: self.server.most]
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has had enough
            self.wfile.write(body)
            while self.server.endless:
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.01])  # seconds between looks for its end
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_downloaded_once(server, tmp_path):
    file, said = tmp_path / "cache" / "resnet.pth", []
    for _ in range(2):
        assert download(server.url, file, DIGEST, LARGEST, said.append).read_bytes() == CONTENT
    assert server.asked == [None] and len(said) == 1 and names(file.parent) == ["resnet.pth"]


def test_a_broken_connection_is_resumed_where_it_stopped(server, tmp_path):
    server.breaks = 2
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_after_three_breaks_the_next_call_goes_on(server, tmp_path):
    server.breaks = 3
    with pytest.raises(InputError, match=r"stopped after 300,000 bytes.*goes on from there"):
        download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert names(tmp_path) == ["a.pth.partial"]
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-" and names(tmp_path) == ["a.pth"]


def test_a_server_that_cannot_resume_begins_again(server, tmp_path):
    server.breaks, server.ranges = 1, False
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT


def test_a_complete_partial_file_is_taken(server, tmp_path):
    (tmp_path / "a.pth.partial").write_bytes(CONTENT)
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.pth"]


def test_another_checksum_is_refused_and_nothing_is_left(server, tmp_path):
    with pytest.raises(InputError, match="is not the published file: its checksum does not begin with sha256:00000000"):
        download(server.url, tmp_path / "a.pth", "sha256:00000000", LARGEST)
    assert names(tmp_path) == []


@pytest.mark.parametrize("damaged", ["a.pth", "a.pth.partial"])
def test_a_damaged_file_in_the_cache_does_not_stay(damaged, server, tmp_path):
    (tmp_path / damaged).write_bytes(b"x" * 1000)
    if damaged.endswith("partial"):
        with pytest.raises(InputError, match="checksum"):
            download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT


def test_a_checksum_may_be_md5(server, tmp_path):
    download(server.url, tmp_path / "a.h5", f"md5:{hashlib.md5(CONTENT).hexdigest()}", LARGEST)


def test_a_missing_file_and_a_missing_server_get_a_sentence(server, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot be downloaded: 404"):
        download(f"{server.url}x", tmp_path / "a.pth", DIGEST, LARGEST)
    assert len(server.asked) == 1  # asking again would not help
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with pytest.raises(InputError, match=r"cannot be reached .*: give a copy of the file, or put it into"):
        download("http://127.0.0.1:9/resnet.pth", tmp_path / "a.pth", DIGEST, LARGEST)  # port 9 discards


def test_a_folder_that_cannot_be_written_gets_a_sentence(server, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot be written"):
        download(server.url, tmp_path / "file" / "a.pth", DIGEST, LARGEST)


def test_the_cache_follows_the_xdg_convention(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jaxcnn" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "jaxcnn" / "weights"


@pytest.mark.parametrize("length", ["none of your business", "-5", "", "9" * 5000, "\xb2\xb3"])
def test_a_length_that_is_no_number_is_as_good_as_none(length, server, tmp_path):
    server.length = length
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT


def test_a_length_that_is_too_small_ends_in_the_checksum_s_sentence(server, tmp_path):
    server.length = "1000"
    with pytest.raises(InputError, match="is not the published file: its checksum does not begin with"):
        download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert names(tmp_path) == []


def test_a_length_that_is_too_large_is_found_out_by_asking_for_the_rest(server, tmp_path):
    server.length = str(len(CONTENT) + 500)
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT)}-"]


def test_a_file_that_is_larger_than_the_published_one_is_not_downloaded(server, tmp_path):
    sentence = rf"is not the published file: it has {len(CONTENT):,} bytes, not at most 1,000$"
    with pytest.raises(InputError, match=sentence):
        download(server.url, tmp_path / "a.pth", DIGEST, 1000)
    assert names(tmp_path) == []


def test_an_answer_that_never_ends_is_given_up(server, tmp_path):
    server.endless = True
    with pytest.raises(InputError, match=rf"is not the published file: it goes on after {LARGEST:,} bytes$"):
        download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert names(tmp_path) == [] and len(server.asked) == 1


def test_a_partial_file_that_is_too_large_begins_again(server, tmp_path):
    (tmp_path / "a.pth.partial").write_bytes(bytes(LARGEST + 1))
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT
    assert server.asked == [None]


def test_an_answer_that_hardly_moves_is_given_up_and_kept(server, tmp_path, monkeypatch):
    """A clock that runs ahead by half a minute with each look at it, and chunks of a few bytes."""
    clock = iter(range(0, 1_000_000, 31))
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module, "_CHUNK", 10)
    with pytest.raises(InputError, match=r"stopped after \d+ bytes \(fewer than 1,024 bytes a second\); the same"):
        download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert len(server.asked) == 3 and names(tmp_path) == ["a.pth.partial"]
    monkeypatch.setattr(module, "_CHUNK", 1 << 20)
    assert download(server.url, tmp_path / "a.pth", DIGEST, LARGEST).read_bytes() == CONTENT


def test_a_disk_without_room_is_noticed_before(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9, 0, 9))  # pyright: ignore
    with pytest.raises(InputError, match="has 9 bytes left, and http"):
        download(server.url, tmp_path / "a.pth", DIGEST, LARGEST)
    assert server.asked == []


def test_a_terminal_shows_a_bar_and_nothing_else_does(server, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, shown in (Terminal(), True), (io.StringIO(), False):
        monkeypatch.setattr(sys, "stderr", stream)
        download(server.url, tmp_path / f"{shown}.pth", DIGEST, LARGEST)
        assert (f"{shown}.pth" in stream.getvalue()) == shown
