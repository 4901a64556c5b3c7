"""From a command back to the words that ask for it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any


def words(name: str, command: Any, *, positional: Sequence[str] = (), without: Sequence[str] = ()) -> str:
    """The command line that makes such a value of a dataclass: what differs from the defaults.

    `positional` are the fields without a flag, `without` those that are nobody's concern.
    """
    line = ["jaxcnn", name, *(str(getattr(command, field)) for field in positional)]
    for field in fields(command):
        value = getattr(command, field.name)
        if field.name in (*positional, *without) or value == field.default:
            continue
        values = value if isinstance(value, tuple) else () if value is True else (value,)
        line += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return shlex.join(line)
