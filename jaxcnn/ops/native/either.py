"""One function in two ways: by the C++ program where XLA runs it on a CPU of this process, and by jax everywhere else.

Which of them it is, is decided when jax lowers a function, for a platform that is known then: not for a GPU or a TPU,
nor for `jax.export`, whose functions run where there is no such program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from jaxcnn.ops.manual import alike, varying
from jaxcnn.ops.named import Mapped, named


def computed(fast: Callable[..., Any], plain: Callable[..., Any], *arrays: Array) -> Any:
    """fast(*arrays), of the program, or plain(*arrays), of jax: both are the same, an array or a tuple of arrays.

    Derivatives, of all orders and in both modes, are those of `plain`. Both are functions or `partial`s of functions
    with hashable values by name, so that equal ones are compiled once.
    """
    chosen = {"fast": named(fast), "plain": named(plain)}
    function = jax.custom_jvp(lambda *arrays: _unpacked(_either.bind(*arrays, **chosen)))
    function.defjvp(lambda primals, tangents: (function(*primals), jax.jvp(plain, primals, tangents)[1]))
    return function(*alike(*arrays))


def _listed(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    return jax.tree.leaves(function(*arrays))


def _unpacked(results: list[Array]) -> Array | tuple[Array, ...]:
    return results[0] if len(results) == 1 else tuple(results)


def _described(*arrays, fast, plain):
    # inside `shard_map` a call of C++ forgets along which axes its results vary
    function = plain if any(map(varying, arrays)) else fast
    return jax.make_jaxpr(partial(_listed, function))(*arrays).out_avals


@partial(jax.jit, static_argnames=("fast", "plain"))
def _compiled(*arrays, fast, plain):
    return _either.bind(*arrays, fast=fast, plain=plain)


def _mapped(arrays, axes, *, fast, plain):
    results = _either.bind(*arrays, fast=Mapped(fast, tuple(axes)), plain=Mapped(plain, tuple(axes)))
    return results, [0] * len(results)


def _lowered(context, *arrays, fast, plain):
    return mlir.lower_fun(partial(_listed, plain))(context, *arrays)


def _lowered_for_a_cpu(context, *arrays, fast, plain):
    if context.module_context.lowering_parameters.for_export:
        return _lowered(context, *arrays, fast=fast, plain=plain)
    return mlir.lower_fun(partial(_listed, fast))(context, *arrays)


_either = Primitive("jaxcnn_either")
_either.multiple_results = True
_either.def_impl(_compiled)
_either.def_abstract_eval(_described)
batching.primitive_batchers[_either] = _mapped
mlir.register_lowering(_either, _lowered)
mlir.register_lowering(_either, _lowered_for_a_cpu, platform="cpu")
