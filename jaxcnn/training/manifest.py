"""The seal of a checkpoint: the SHA-256 of each of its files, written when all the others are on the disk.

Orbax has no checksums of its own: a flipped bit in its files is read as another number. A checkpoint without its
manifest is not complete, as its writer was killed or is still at work.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from jaxcnn.host.files import sync_folder, write_json

NAME = "manifest.json"


def seal(place: Path) -> None:
    """Write the manifest of a checkpoint's folder, after all of its files are on the disk. Raises OSError."""
    sums = {}
    for path in _files(place):
        with path.open("r+b") as file:
            sums[path.relative_to(place).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    for folder in [*(path for path in place.rglob("*") if path.is_dir()), place, place.parent]:
        sync_folder(folder)
    write_json(place / NAME, {"sha256": sums})


def sealed(place: Path) -> bool:
    """Whether a checkpoint was written to its end."""
    return (place / NAME).is_file()


def fault(place: Path) -> str | None:
    """What is wrong with the files of a sealed checkpoint, as half a sentence; None where they are as written."""
    try:
        sums = json.loads((place / NAME).read_bytes())["sha256"]
        if not sums or not all(name.isprintable() for name in sums):
            return f"its {NAME} names no files"
        for name, expected in sums.items():
            path = place / name
            if not path.is_file():
                return f"{name} is missing"
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    return f"the bytes of {name} are not those that were written"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"its {NAME} cannot be read"
    except OSError as error:
        return f"{Path(error.filename or NAME).name} cannot be read: {error.strerror or error}"
    return None


def discard(place: Path) -> None:
    """Delete a checkpoint, its seal first: a process killed meanwhile leaves none that looks complete."""
    with suppress(FileNotFoundError):
        (place / NAME).unlink()
    shutil.rmtree(place, ignore_errors=True)


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file() and path != place / NAME)
