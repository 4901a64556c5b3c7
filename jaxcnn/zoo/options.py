"""What a wrong value of a network's option gets: one sentence with the choices."""

from __future__ import annotations


def check_choice(option: str, value: object, *choices: str) -> None:
    """Raise ValueError, with the choices, unless `value` is one of them."""
    if value not in choices:
        raise ValueError(f"{option} must be one of {', '.join(map(repr, choices))}, not {value!r}")
