"""Functions with values by name that are equal where they are the same, as the parameters of a primitive must be."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax


def named(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or a `partial` as one that is equal to another `partial` of the same.

    Raises TypeError for a `partial` with values that have no name.
    """
    if not isinstance(function, partial):
        return function
    if function.args:
        raise TypeError(f"{function} has values without a name")
    return _Named(function.func, tuple(sorted(function.keywords.items())))


@dataclass(frozen=True)
class _Named:
    function: Callable[..., Any]
    values: tuple[tuple[str, Hashable], ...]

    def __call__(self, *arrays: Any) -> Any:
        return self.function(*arrays, **dict(self.values))


@dataclass(frozen=True)
class Mapped:
    """`vmap` of a function, along these axes of its arguments and of its results."""

    function: Callable[..., Any]
    axes: tuple[int | None, ...]
    results: int | tuple[int, ...] = 0

    def __call__(self, *arrays: Any) -> Any:
        return jax.vmap(self.function, self.axes, self.results)(*arrays)
