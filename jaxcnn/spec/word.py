"""`word`: what makes a class one of the words of a spec, a frozen dataclass that checks what it is given."""

from __future__ import annotations

import difflib
import functools
import numbers
import types
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True)
def word(cls: type[Class]) -> type[Class]:
    """A frozen dataclass whose fields are checked against their types when it is made, and then by its method `check`.

    NumPy's integers and floats become Python's, so that equal specs are one key. Raises TypeError for a field that does
    not exist, with the one that was probably meant, and for a value of another type; ValueError for an unknown choice.
    """
    made: Any = dataclass(frozen=True, repr=False)(cls)
    initialize = made.__init__
    known = [field.name for field in fields(made)]

    @functools.wraps(initialize)
    def checked(self: Any, *values: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
                raise TypeError(f"{cls.__name__} has no field {name!r}; {hint}")
        initialize(self, *values, **named)
        for name, hint in _hints(made).items():
            value = _plain(getattr(self, name))
            object.__setattr__(self, name, value)
            if not _fits(value, hint):
                raise _refusal(f"{cls.__name__}.{name}", hint, value)
        if check is not None:
            check(self)

    check = getattr(made, "check", None)
    made.__init__ = checked
    if "__repr__" not in vars(cls):
        made.__repr__ = lambda self: f"{cls.__name__}({', '.join(arguments(self))})"
    return made


def arguments(value: Any) -> list[str]:
    """The arguments that make a word, as Python writes them: those that are not the defaults."""
    parts, positional = [], True
    for field in fields(value):
        given = getattr(value, field.name)
        if given == field.default and type(given) is type(field.default):
            positional = False
        else:
            parts.append(repr(given) if positional else f"{field.name}={given!r}")
    return parts


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    """Numbers of other libraries as Python's."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, numbers.Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, int | float):
        return float(value)
    return value


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in arguments)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if arguments[1:] == (...,):
            return all(_fits(each, arguments[0]) for each in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


def _refusal(name: str, hint: Any, value: Any) -> Exception:
    if get_origin(hint) is Literal:
        return ValueError(f"{name} must be one of {', '.join(map(repr, get_args(hint)))}, not {value!r}")
    wanted = hint.__name__ if isinstance(hint, type) else str(hint)
    if name == "Node.spec":
        wanted = "a layer or a graph"
    found = str(value) if isinstance(value, list) else repr(value)
    advice = f": write {tuple(value)}" if isinstance(value, list) and _fits(_plain(tuple(value)), hint) else ""
    return TypeError(f"{name} must be {wanted}, not {found}{advice}")
