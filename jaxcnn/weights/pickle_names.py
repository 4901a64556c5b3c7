"""What a pickle may name: Python's containers, records of other classes, and nothing that runs."""

from __future__ import annotations

import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Calls = Mapping[str, Callable[..., Any]]

_PLAIN = (str, bytes, int, float, bool, type(None))  # what may be a key: hashing a nested tuple can take for ever
_LONGEST_NAME = 1000
# What Python's library has that training scripts keep beside their weights: values, no means to run anything.
_RECORDS = (
    "argparse.Namespace", "builtins.complex", "builtins.object", "builtins.range", "builtins.slice", "collections.",
    "datetime.", "decimal.Decimal", "enum.", "fractions.Fraction", "functools.partial", "logging.Logger",
    "logging.getLogger", "pathlib.", "random.Random", "re._compile", "time.struct_time", "types.SimpleNamespace",
    "uuid.UUID",
)  # fmt: skip


class WantsToRunError(ValueError):
    """A pickle calls something that no file of weights needs; it was not called."""


class Global(NamedTuple):
    """A name of a module, which is not imported."""

    module: str
    name: str

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Record:
    """An object that was not made: its class's full name, the arguments and the state that it would have been given.

    `became` is what `build` made of it, None while it is nothing else.
    """

    name: str
    arguments: Any = ()
    state: Any = None
    became: Any = None


def call(function: Any, arguments: Any, known: Calls) -> Any:
    """What a call makes: by our function of that name, or a Record for an object of a class that we do not know.

    Raises WantsToRunError for anything else.
    """
    if not isinstance(function, Global):
        raise WantsToRunError("the result of another call")
    if not isinstance(arguments, tuple | list):
        raise ValueError("a call without a tuple of arguments")
    if function.full in ("copyreg.__newobj__", "copyreg._reconstructor") and arguments:
        made, *rest = arguments
        return call(made, rest if function.name == "__newobj__" else (), known)
    if function.full in known:
        return known[function.full](*arguments)
    if _is_of_python(function) and not _is_record(function) and not _is_enumeration(function, arguments):
        raise WantsToRunError(function.full)
    return Record(function.full, arguments)


def _is_of_python(name: Global) -> bool:
    return name.module.partition(".")[0] in sys.stdlib_module_names


def _is_record(name: Global) -> bool:
    return name.full.startswith(_RECORDS) and "." not in name.name  # Path is one, Path.touch is not


def _is_enumeration(function: Global, arguments: Any) -> bool:
    """Python 3.11 keeps a member of an enumeration as getattr(its class, its name)."""
    of = arguments[0] if function.full == "builtins.getattr" and len(arguments) == 2 else None
    return isinstance(of, Global) and not _is_of_python(of)


def named(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is no text")
    if len(module) + len(name) > _LONGEST_NAME:
        raise ValueError("a name without end")
    # Protocols before 3 use the names of Python 2.
    return Global(*NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name)))


def with_elements(container: Any, elements: list[Any]) -> Any:
    """The list or set with more elements. Those of a Record, a list of some other class, are dropped."""
    if isinstance(container, list):
        container.extend(elements)
    elif isinstance(container, set):
        container.update(element for element in elements if isinstance(element, _PLAIN))
    elif not isinstance(container, Record):
        raise ValueError(f"elements for a {type(container).__name__}")
    return container


def with_items(container: Any, items: list[Any]) -> Any:
    """The dict with more items, of alternating keys and values. Those of a Record are dropped."""
    if isinstance(container, dict):
        pairs = zip(items[::2], items[1::2], strict=True)
        container.update((key, value) for key, value in pairs if isinstance(key, _PLAIN))
    elif not isinstance(container, Record):
        raise ValueError(f"items for a {type(container).__name__}")
    return container


def _dict(items: Any = (), *_: Any) -> dict[Any, Any]:
    pairs = items.items() if isinstance(items, dict) else items
    return {key: value for key, value in pairs if isinstance(key, _PLAIN)}


def _list(items: Any = (), *_: Any) -> list[Any]:
    return list(items)


def _set(items: Any = ()) -> set[Any]:
    return with_elements(set(), list(items))


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """How protocols before 3, which have no bytes, keep them: as text of their codes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in {str(encoding)[:20]}")
    return text.encode("latin-1")


def _bytes(data: Any = b"", *coding: str) -> bytes:
    if isinstance(data, int):  # bytes(n) are n zeros
        raise ValueError("bytes that are not in it")
    return _encoded(data, *coding) if isinstance(data, str) else bytes(data)


CONTAINERS: Calls = {
    "builtins.dict": _dict,
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": lambda *_: {},
    "builtins.list": _list,
    "collections.deque": _list,
    "builtins.tuple": lambda items=(): tuple(items),
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "_codecs.encode": _encoded,
}
