"""What holds for some parameters and not for others, by their paths."""

from __future__ import annotations

import fnmatch
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn.layout import Params

Factors = dict[str, dict[str, float]]


def kernels(params: Params) -> dict[str, dict[str, bool]]:
    """Which parameters weight decay applies to, unless it is said by paths: the kernels."""
    return {path: {name: name == "kernel" for name in layer} for path, layer in params.items()}


def factors(patterns: Mapping[str, float], params: Params) -> Factors:
    """The number of the first pattern that each parameter fits.

    A pattern is of paths, as `layer1` (all of that part) or `*.bn?`, or of parameters, as `*.bias`. Raises ValueError
    for a parameter that none fits, and for a pattern that fits none.
    """
    found: Factors = {}
    fitting: set[str] = set()
    for path, layer in params.items():
        found[path] = {}
        for name in layer:
            pattern = next((each for each in patterns if _fits(each, path, name)), None)
            if pattern is None:
                raise ValueError(f"no pattern covers {path}.{name}: end with '*' NUMBER for all the rest")
            fitting |= {each for each in patterns if _fits(each, path, name)}
            found[path][name] = patterns[pattern]
    if idle := [each for each in patterns if each not in fitting]:
        raise ValueError(f"no parameter that is trained fits {idle[0]!r}; layers are called {', '.join(found)}")
    return found


def _fits(pattern: str, path: str, name: str) -> bool:
    parts = path.split(".")
    wholes = [".".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatch.fnmatchcase(each, pattern) for each in (*wholes, f"{path}.{name}"))


def by_depth(factor: float, parts: Sequence[str], params: Params) -> Factors:
    """factor ** (how many parts of the network stand behind a parameter's).

    Parts are what stands first in paths, in the network's order: a tree's is lost where a function is traced.
    """
    behind = {part: len(parts) - 1 - place for place, part in enumerate(parts)}
    return {path: dict.fromkeys(layer, factor ** behind[path.split(".")[0]]) for path, layer in params.items()}


def parts_of(params: Params) -> tuple[str, ...]:
    """The parts of a network whose parameters stand in its order, as `init` and `abstract` return them."""
    return tuple(dict.fromkeys(path.split(".")[0] for path in params))


def scaled(of: Any) -> optax.GradientTransformation:
    """Updates times the factors `of(updates)`."""
    return optax.stateless(lambda updates, _: jax.tree.map(operator.mul, updates, of(updates)))


class Scale(NamedTuple):
    """The state of `scaled_from_outside`."""

    plateau_scale: jax.Array


def scaled_from_outside() -> optax.GradientTransformation:
    """Updates times a number in the state, 1 at first, which `with_scale` sets."""

    def update(updates: Any, state: Scale, params: Any = None) -> tuple[Any, Scale]:
        return jax.tree.map(lambda each: each * state.plateau_scale.astype(each.dtype), updates), state

    return optax.GradientTransformation(lambda _: Scale(jnp.ones(())), update)  # type: ignore[arg-type]


def with_scale(opt_state: Any, scale: float) -> Any:
    """The state of an optimizer that has a `scaled_from_outside`, with its number."""
    return optax.tree_utils.tree_set(opt_state, plateau_scale=jnp.float32(scale))


def decayed(decay: float, of: Any) -> optax.GradientTransformation:
    """Updates plus decay * factor * parameter, with the factors `of(updates)`."""

    def update(updates: Any, params: Any) -> Any:
        return jax.tree.map(lambda u, p, factor: u + decay * factor * p, updates, params, of(updates))

    return optax.stateless(update)


def thawed(of: Any) -> optax.GradientTransformation:
    """Updates from the step `of(updates)` on; zeros before it."""

    def update(updates: Params, count: jax.Array, params: Params | None = None) -> tuple[Params, jax.Array]:
        moved = jax.tree.map(lambda u, begin: jnp.where(count >= begin, u, jnp.zeros_like(u)), updates, of(updates))
        return moved, count + 1

    return optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)  # type: ignore[arg-type]
