"""Download one file: resumed where it stopped, verified by its checksum, never half there under its own name."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from jaxcnn.errors import InputError

ATTEMPTS = 3
_CHUNK = 1 << 20
_SECONDS = 30  # without a byte, before an attempt is given up


def cache_folder() -> Path:
    """Where downloaded weights are kept: $XDG_CACHE_HOME/jaxcnn/weights, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxcnn" / "weights"


def download(url: str, file: Path, digest: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """Have `url` in `file`, downloading what is missing of it.

    Args:
      url: http or https.
      file: where it is to be; FILE.partial beside it holds what an interrupted download has brought.
      digest: "sha256:" or "md5:" and the beginning of the checksum in hexadecimal digits.
      say: told one line before a download begins.

    Returns:
      `file`.

    Raises:
      InputError: the server does not answer or has no such file; the connection broke three times (what has come is
        kept); what came has another checksum (it is removed); or nothing can be written there.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        if file.is_file():
            if _matches(file, digest):
                return file
            file.unlink()
        file.parent.mkdir(parents=True, exist_ok=True)
        say(f"downloading {url} to {file}")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if _fetch(url, partial):
                    break
                problem = "the connection broke"
            except urllib.error.HTTPError as error:
                raise InputError(f"{url} cannot be downloaded: {error.code} {error.reason}") from error
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            if attempt == ATTEMPTS:
                had = partial.stat().st_size if partial.exists() else 0
                if not had:
                    raise InputError(
                        f"{url} cannot be reached ({problem}): give a copy of the file, or put it into {file.parent}"
                    )
                raise InputError(f"{url} stopped after {had:,} bytes ({problem}); the same command goes on from there")
        if not _matches(partial, digest):
            partial.unlink()
            raise InputError(f"{url} is not the published file: its checksum does not begin with {digest}")
        os.replace(partial, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from error
    return file


def _matches(file: Path, digest: str) -> bool:
    algorithm, _, beginning = digest.partition(":")
    with open(file, "rb") as stream:
        return bool(beginning) and hashlib.file_digest(stream, algorithm).hexdigest().startswith(beginning)


def _fetch(url: str, partial: Path) -> bool:
    """Append to `partial` what the server still has; whether that was all of it."""
    had = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        response = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and had:  # nothing beyond what we have: all of it, or of another file
            return True
        raise
    with response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {had}-")
        with open(partial, "ab" if goes_on else "wb") as stream:
            return _copied(response, stream)


def _copied(response: http.client.HTTPResponse, stream: BinaryIO) -> bool:
    expected = response.headers.get("Content-Length")
    got = 0
    while chunk := response.read(_CHUNK):
        got += stream.write(chunk)
    return expected is None or got == int(expected)
