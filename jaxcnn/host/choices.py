"""Settings that are one of several kinds of values: an optimizer, a schedule, an augmentation, a task.

Each kind is a frozen dataclass; a table of its wing gives it a name. As text, a value is its name and then its fields
where they are not the defaults: `sgd momentum=0.8`. A single field may stand behind the name: `crop=4` is
`crop padding=4`, and `crop=4,reflect` gives the first two.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin, get_type_hints

from jaxcnn.host.errors import InputError
from jaxcnn.host.settings import check_types

Kind = TypeVar("Kind", bound="Choice")


class Choice:
    """The base of a family of frozen dataclasses, of which a setting is one."""

    what: ClassVar[str] = "choice"
    """The family's name in sentences."""
    kinds: ClassVar[Mapping[str, type[Choice]]] = {}

    def __post_init__(self) -> None:
        check_types(self, f"{self.what} {self.kind()}: ")
        self.check()

    def check(self) -> None:
        """Raise InputError where the fields cannot work."""

    @classmethod
    def table(cls, rows: Mapping[str, type[Kind]]) -> Mapping[str, type[Kind]]:
        """Make `rows` the family's table: every kind by its name."""
        cls.kinds = dict(rows)
        return rows

    @classmethod
    def kind(cls) -> str:
        """The name of this kind."""
        return next((name for name, kind in cls.kinds.items() if kind is cls), cls.__name__.lower())

    @classmethod
    def parse(cls, words: Sequence[str]) -> tuple[Self, ...]:
        """The values that words stand for. Raises InputError for a name, a field or a value that is none."""
        found: list[tuple[Any, dict[str, Any]]] = []
        for word in words:
            name, given, text = word.partition("=")
            if name in cls.kinds:
                kind = cls.kinds[name]
                values = zip(_fields(kind), text.split(","), strict=False) if given else ()
                if given and text.count(",") >= len(_fields(kind)):
                    raise InputError(
                        f"{cls.what} {name} has only the fields {', '.join(_fields(kind)) or 'none'}: {word}"
                    )
                found.append((kind, {field: _value(kind, field, value) for field, value in values}))
            elif given and found and name in _fields(found[-1][0]):
                kind, settings = found[-1]
                settings[name] = _value(kind, name, text)
            elif given and found:
                kind = found[-1][0]
                raise InputError(f"{cls.what} {kind.kind()} has no field {name!r}{_suggestion(name, _fields(kind))}")
            else:
                raise InputError(f"there is no {cls.what} {name!r}{_suggestion(name, list(cls.kinds))}")
        return tuple(kind(**settings) for kind, settings in found)

    def words(self) -> list[str]:
        """The words that `parse` reads this value from."""
        value: Any = self
        given = [(each.name, getattr(self, each.name), each.default) for each in fields(value)]
        return [self.kind(), *(f"{name}={_text(each)}" for name, each, default in given if each != default)]

    def to_json(self) -> dict[str, Any]:
        """All fields, and the kind's name as "kind"."""
        return {"kind": self.kind()} | {name: getattr(self, name) for name in _fields(type(self))}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The value that `to_json` wrote. Raises TypeError or KeyError where it wrote no such thing."""
        settings = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        kind: Any = cls.kinds[values["kind"]]
        return kind(**{name: value for name, value in settings.items() if name != "kind"})


def _fields(kind: Any) -> list[str]:
    """The names of its fields; those that can be given by name only come last."""
    return [each.name for each in sorted(fields(kind), key=lambda each: bool(each.kw_only))]


def _suggestion(name: str, known: list[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(known) or 'none'}"


def _value(kind: type[Choice], field: str, text: str) -> Any:
    """A field's value from its text: a number, a word, or for tuples several between commas."""
    hint = get_type_hints(kind)[field]
    tuples = [each for each in (hint, *get_args(hint)) if get_origin(each) is tuple]
    if tuples:
        return tuple(_literal(part) for part in text.split(",") if part)
    value = _literal(text)
    return float(value) if hint is float and type(value) is int else value


def _literal(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _text(value: Any) -> str:
    return ",".join(map(_text, value)) if isinstance(value, tuple) else str(value)
