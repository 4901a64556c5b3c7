"""Checked settings: frozen dataclasses that refuse values which cannot be meant, and their JSON."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from typeguard import TypeCheckError, check_type

from jaxcnn.host.errors import InputError

Config = TypeVar("Config")


def require(holds: object, sentence: str) -> None:
    """Raise InputError with a sentence where something does not hold."""
    if not holds:
        raise InputError(sentence)


def check_types(config: Any, prefix: str = "") -> None:
    """Refuse a value of another type than its field's: configs come from files as well as from typed flags."""
    hints = get_type_hints(type(config))
    for name in (each.name for each in fields(config)):
        value = getattr(config, name)
        try:
            check_type(value, hints[name])
        except TypeCheckError:
            raise InputError(f"{prefix}{name} must be {_wanted(hints[name])}, not {value!r}") from None
        numbers = [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, float)]
        require(all(map(math.isfinite, numbers)), f"{prefix}{name} must be finite, not {value}")


def _wanted(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def to_json(config: Any) -> Any:
    """Settings as plain JSON values: a dataclass as an object, a choice with its kind."""
    if hasattr(config, "to_json"):
        return {name: to_json(value) for name, value in config.to_json().items()}
    if is_dataclass(config):
        return {each.name: to_json(getattr(config, each.name)) for each in fields(config)}
    if isinstance(config, tuple):
        return [to_json(each) for each in config]
    return config


def from_json(kind: type[Config], values: dict[str, Any]) -> Config:
    """The settings that `to_json` wrote. Raises TypeError or KeyError where it wrote no such thing."""
    hints = get_type_hints(kind)
    return kind(**{name: _from_json(hints.get(name), value) for name, value in values.items()})


def _from_json(hint: Any, value: Any) -> Any:
    if isinstance(value, list):
        inner = get_args(hint)[0] if get_origin(hint) is tuple else None
        return tuple(_from_json(inner, each) for each in value)
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        return hint.from_json(value)
    if isinstance(value, dict) and is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[arg-type]
    return value


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names, such as "data.source"."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
