"""Linear functions with transposes written by hand: what both modes of differentiation are made of.

The rule of an operation, a `jax.custom_jvp`, says how its result moves with its arguments: `linear` functions of how
these move, added up. Forward mode calls them, reverse mode their transposes: the gradients. A `jax.custom_vjp` would
have the same gradients and no forward mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxcnn.ops.manual import alike, varying
from jaxcnn.ops.named import Mapped, named


def linear(
    function: Callable[..., Array],
    transpose: Callable[..., Any],
    known: Sequence[Array | None],
    moved: Sequence[Array],
    like: Array | None = None,
) -> Array:
    """function(*known, *moved), an array that is linear in all `moved` together.

    transpose(*known, cotangent) returns the cotangent of every one of `moved`, an array or a tuple. Both are functions,
    or `partial`s of functions with hashable values by name, that jax can differentiate: that gives the derivatives by
    `known`, and the second. An array `like` the result, where there is one, saves tracing the function.
    """
    given = tuple(array is not None for array in known)
    arrays = alike(*(array for array in known if array is not None), *moved)
    chosen = {"function": named(function), "transpose": named(transpose)}
    if not all(given):
        chosen = {name: _Without(of, given) for name, of in chosen.items()}
    result = None if like is None else jax.typeof(like)
    return _linear.bind(*arrays, **chosen, known=sum(given), result=result)


def is_zero(tangent: Any) -> bool:
    """Whether a tangent is one that `symbolic_zeros` leaves out."""
    return isinstance(tangent, SymbolicZero)


def constant(result: Array) -> Any:
    """The tangent of a result through which nothing flows."""
    return SymbolicZero(jax.typeof(result).to_tangent_aval())


@dataclass(frozen=True)
class _Without:
    """A function some of whose first arguments are None."""

    function: Callable[..., Any]
    given: tuple[bool, ...]

    def __call__(self, *arrays: Any) -> Any:
        left = iter(arrays)
        return self.function(*(next(left) if given else None for given in self.given), *left)


@partial(jax.jit, static_argnames=("function", "transpose", "known", "result"))
def _compiled(*arrays, function, transpose, known, result):
    return function(*arrays)


def _described(*arrays, function, transpose, known, result):
    if result is not None and varying(result) == varying(arrays[-1]):
        return result
    return jax.make_jaxpr(function)(*arrays).out_avals[0]


def _moving(primals, tangents, *, function, transpose, known, result):
    """How the result moves with `moved`, by the function itself, and with `known`, by jax's derivative of it."""
    chosen = {"function": function, "transpose": transpose, "known": known, "result": result}
    parts = []
    if not all(isinstance(tangent, ad.Zero) for tangent in tangents[known:]):
        parts.append(_linear.bind(*primals[:known], *map(ad.instantiate_zeros, tangents[known:]), **chosen))
    places = [i for i, tangent in enumerate(tangents[:known]) if not isinstance(tangent, ad.Zero)]
    if places:

        def of_known(*arrays):
            whole = list(primals)
            for i, array in zip(places, arrays, strict=True):
                whole[i] = array
            return function(*whole)

        parts.append(jax.jvp(of_known, [primals[i] for i in places], [tangents[i] for i in places])[1])
    return _linear.bind(*primals, **chosen), sum(parts[1:], start=parts[0])


def _transposed(cotangent, *arrays, function, transpose, known, result):
    moved = arrays[known:]
    if isinstance(cotangent, ad.Zero):
        found = [ad.Zero(array.aval) for array in moved]
    else:
        found = jax.tree.leaves(transpose(*arrays[:known], cotangent))
    wanted = [ad.is_undefined_primal(array) for array in moved]
    return [None] * known + [one if asked else None for one, asked in zip(found, wanted, strict=True)]


def _mapped(arrays, axes, *, function, transpose, known, result):
    size = next(array.shape[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None)
    moved = [
        jnp.broadcast_to(array, (size, *array.shape)) if axis is None else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays[known:], axes[known:], strict=True)
    ]
    first, zeros = tuple(axes[:known]), (0,) * len(moved)
    chosen = {"function": Mapped(function, (*first, *zeros)), "transpose": Mapped(transpose, (*first, 0))}
    return _linear.bind(*arrays[:known], *moved, **chosen, known=known, result=None), 0


def _lowered(context, *arrays, function, transpose, known, result):
    return mlir.lower_fun(function, multiple_results=False)(context, *arrays)


_linear = Primitive("jaxcnn_linear")
_linear.def_impl(_compiled)
_linear.def_abstract_eval(_described)
ad.primitive_jvps[_linear] = _moving
ad.primitive_transposes[_linear] = _transposed
batching.primitive_batchers[_linear] = _mapped
mlir.register_lowering(_linear, _lowered)
