"""How values are written as flags: paths with `~`, choices as `--optimizer.rule sgd momentum=0.8`, plain switches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from tyro.conf import FlagCreatePairsOff
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from jaxcnn.host.choices import Choice
from jaxcnn.host.errors import InputError
from jaxcnn.host.paths import expanded

Flag = Annotated[bool, FlagCreatePairsOff]  # --json, and no --no-json

registry = ConstructorRegistry()


@registry.primitive_rule
def path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Every path may begin with `~`."""
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1, metavar="PATH", instance_from_str=lambda words: expanded(words[0]),
        is_instance=lambda value: isinstance(value, Path), str_from_instance=lambda value: [str(value)],
    )  # fmt: skip


@registry.primitive_rule
def choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How tyro reads and shows a field whose type is a choice, or a tuple of them."""
    several = get_origin(info.type) is tuple
    kind = get_args(info.type)[0] if several and get_args(info.type) else info.type
    if not (isinstance(kind, type) and issubclass(kind, Choice)):
        return None

    def read(words: list[str]) -> Any:
        found = kind.parse(words)
        if several:
            return found
        if len(found) != 1:
            raise InputError(f"one {kind.what} is wanted, not {len(found)}: {' '.join(words) or 'nothing'}")
        return found[0]

    def shown(value: Any) -> list[str]:
        return [word for each in (value if several else (value,)) for word in each.words()]

    def fits(value: Any) -> bool:
        return all(isinstance(each, Choice) for each in (value if isinstance(value, tuple) else (value,)))

    return PrimitiveConstructorSpec("*", kind.what.upper(), read, fits, shown)
