"""Download one file: resumed where it stopped, verified by its checksum, never half there under its own name."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from jaxcnn.host.errors import InputError

ATTEMPTS = 3
_CHUNK = 1 << 20
_SECONDS = 30  # without a byte, before an attempt is given up
_PERIOD, _FEWEST = 60, 60 << 10  # seconds, and the bytes in them below which an attempt is given up
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
Meter = Callable[[int], None]


def cache_folder() -> Path:
    """Where downloaded weights are kept: $XDG_CACHE_HOME/jaxcnn/weights, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcnn" / "weights"


def download(url: str, file: Path, digest: str, largest: int, say: Callable[[str], None] = lambda line: None) -> Path:
    """Have `url` in `file`, downloading what is missing of it; a bar on a terminal shows how far it is.

    Args:
      url: http or https.
      file: where it is to be; FILE.partial beside it holds what an interrupted download has brought.
      digest: "sha256:" or "md5:" and the beginning of the checksum in hexadecimal digits.
      largest: the bytes that it has at the most; an answer that has more, or goes on after them, is given up.
      say: told one line before a download begins.

    Returns:
      `file`.

    Raises:
      InputError: the server does not answer, has no such file or a larger one; the connection broke or came to a
        standstill three times (what has come is kept); what came has another checksum (it is removed); or nothing can
        be written there.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        if file.is_file():
            if _matches(file, digest):
                return file
            file.unlink()
        file.parent.mkdir(parents=True, exist_ok=True)
        if _size(partial) > largest:
            partial.unlink()
        if (free := shutil.disk_usage(file.parent).free) < largest - _size(partial):
            raise InputError(f"{file.parent} has {free:,} bytes left, and {url} has up to {largest:,}")
        say(f"downloading {url} to {file}")
        with _meter(file.name, largest) as meter:
            _fetched(url, partial, largest, meter)
        if not _matches(partial, digest):
            partial.unlink()
            raise InputError(f"{url} is not the published file: its checksum does not begin with {digest}")
        os.replace(partial, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    return file


def _fetched(url: str, partial: Path, largest: int, meter: Meter) -> None:
    """Have all that the server gives in `partial`, in several attempts."""
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            if _fetch(url, partial, largest, meter):
                return
            problem = "the connection broke"
        except urllib.error.HTTPError as error:
            raise InputError(f"{url} cannot be downloaded: {error.code} {error.reason}") from error
        except _BROKEN as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
    if not (had := _size(partial)):
        raise InputError(
            f"{url} cannot be reached ({problem}): give a copy of the file, or put it into {partial.parent}"
        )
    raise InputError(f"{url} stopped after {had:,} bytes ({problem}); the same command goes on from there")


def _fetch(url: str, partial: Path, largest: int, meter: Meter) -> bool:
    """Append to `partial` what the server still has; whether that was all of it."""
    had = _size(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        response = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and had:  # nothing beyond what we have: all of it, or of another file
            return True
        raise
    with response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {had}-")
        had = had if goes_on else 0
        length = _length(response)
        if length is not None and had + length > largest:
            raise InputError(f"{url} is not the published file: it has {had + length:,} bytes, not at most {largest:,}")
        with open(partial, "ab" if goes_on else "wb") as stream:
            got = _copied(response, stream, largest - had, lambda count: meter(had + count))
    if had + got > largest:
        partial.unlink()
        raise InputError(f"{url} is not the published file: it goes on after {largest:,} bytes")
    return length is None or got == length


def _copied(response: http.client.HTTPResponse, stream: BinaryIO, most: int, meter: Meter) -> int:
    """Write what comes, until it ends or is more than `most` bytes; how many came.

    Raises ConnectionError where it breaks off or hardly moves.
    """
    got, begun, before = 0, monotonic(), 0
    while got <= most and (chunk := _chunk(response)):
        got += stream.write(chunk)
        meter(got)
        if monotonic() - begun >= _PERIOD:
            if got - before < _FEWEST:
                raise ConnectionError(f"fewer than {_FEWEST // _PERIOD:,} bytes a second")
            begun, before = monotonic(), got
    return got


def _chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)  # what is there, so that the time is looked at
    except OSError as error:  # not to be taken for one of writing
        raise ConnectionError(str(error)) from error


def _length(response: http.client.HTTPResponse) -> int | None:
    """How many bytes the server says will come; None where it does not say, or nothing sensible."""
    said = response.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 20 else None


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _matches(file: Path, digest: str) -> bool:
    algorithm, _, beginning = digest.partition(":")
    with open(file, "rb") as stream:
        return bool(beginning) and hashlib.file_digest(stream, algorithm).hexdigest().startswith(beginning)


@contextmanager
def _meter(name: str, total: int) -> Iterator[Meter]:
    """Shows on a terminal how many of some bytes have come."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda count: progress.update(task, completed=count)
