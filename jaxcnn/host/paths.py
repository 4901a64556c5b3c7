"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.host.text import printable


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with `~` and `~user` replaced by the folder that they stand for.

    Raises InputError where there is no such user, or the path is one that no file can have: with a NUL, or too long.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise InputError(f"the path {printable(text)} holds a NUL character, which no file's name has")
    try:
        found = Path(text).expanduser()
    except RuntimeError:
        user = Path(text).parts[0]
        raise InputError(f"there is no user {printable(user[1:])}, whose folder {printable(user)} stands for") from None
    try:
        found.exists()
    except OSError as error:  # a name of more than 255 bytes, or a folder that may not be entered
        raise InputError(f"{printable(str(found))} cannot be read: {error.strerror}") from None
    return found
