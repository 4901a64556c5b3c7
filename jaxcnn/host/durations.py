"""How long something may take, as a person writes it: 3h, 90m, 1h30m, 45s."""

from __future__ import annotations

import re

from jaxcnn.host.errors import InputError

UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def seconds(text: str) -> float:
    """The seconds that "1h30m" is. Raises InputError for what is no such thing."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InputError(f"a time is a number and d, h, m or s, as 3h or 1h30m, not {text!r}")
    return sum(float(number) * UNITS[unit] for number, unit in parts)
