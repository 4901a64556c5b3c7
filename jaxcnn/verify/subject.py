"""What is verified: an operation, and one setting of it in one dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import ops
from jaxcnn.verify.bounds import UNIT, Array, rounding
from jaxcnn.verify.loops import loops
from jaxcnn.verify.setting import Random, Setting, draw

Terms = tuple[int, tuple[int, ...]]
DERIVATIVES = ("value", "gradient", "transpose", "difference", "second derivative")
TRANSFORMATIONS = ("jit", "vmap", "scan", "jvp", "sharded", "shard_map")
LIBRARIES = ("PyTorch", "Keras")


@dataclass(frozen=True)
class Operation:
    """One operation and how it is verified.

    Attributes:
      name: that of the function in `jaxcnn.ops` and of its loop in tests/reference.
      settings: the settings of it, some fixed, some random.
      terms: (arrays' shapes, the value's shape, options) -> the number of terms in the longest sum of the value, and
        of the gradient by each array.
      linear: the arrays in which the value is linear, or linear plus a constant.
      roundings: how many operations beside the sum round an entry.
      wide: sums of bfloat16 are accumulated in float32.
      once: and nothing but the result is rounded to bfloat16 (before and after a bias).
      step: that of the finite differences; at most quadratic functions have no truncation error, so it may be large.
      function: in place of `jaxcnn.ops.<name>`.
      loop: in place of `name`.
      checks: the names of its checks.
      examples: the first axis of the first array counts examples.
    """

    name: str
    settings: Callable[[Random], Iterable[Setting]]
    terms: Callable[[Sequence[tuple[int, ...]], tuple[int, ...], dict[str, Any]], Terms]
    linear: tuple[int, ...] = ()
    roundings: int = 3
    wide: bool = True
    once: bool = False
    step: float = 2.0**-10
    function: Callable[..., Any] | None = None
    loop: str = ""
    checks: tuple[str, ...] = (*DERIVATIVES, "NaN", *TRANSFORMATIONS, *LIBRARIES)
    examples: bool = True

    def __call__(self, *arrays: Any, **options: Any) -> Any:
        function = self.function or getattr(ops, self.name)  # looked up now: a test may have put a fault there
        return function(*arrays, **options)


class Subject:
    """An operation at a setting in a dtype, with its inputs and whatever several checks need of it."""

    def __init__(self, operation: Operation, setting: Setting, dtype: str, seed: int) -> None:
        self.operation, self.setting, self.dtype, self.seed = operation, setting, dtype, seed
        self.arrays = self.inputs("inputs")
        self.places = [i for i, array in enumerate(self.arrays) if array is not None and array.dtype.kind == "f"]

    def inputs(self, purpose: str) -> list[Array | None]:
        """The arrays; floating ones are float64 numbers that the dtype holds exactly."""
        random = self.setting.random(self.seed, purpose)
        drawn = [None if one is None else draw(one, random) for one in self.setting.arrays]
        return [array if array is None or array.dtype.kind != "f" else self.rounded(array) for array in drawn]

    def rounded(self, array: Array) -> Array:
        return np.asarray(jnp.asarray(array, self.dtype)).astype(np.float64)

    def normal(self, purpose: str, shape: tuple[int, ...]) -> Array:
        return self.rounded(self.setting.random(self.seed, purpose).normal(size=shape))

    @property
    def floats(self) -> list[Array]:
        return [self.arrays[i] for i in self.places]  # type: ignore[misc]

    def full(self, floats: Sequence[Any]) -> list[Any]:
        """All arrays, with `floats` in their places."""
        arrays: list[Any] = list(self.arrays)
        for i, array in zip(self.places, floats, strict=True):
            arrays[i] = array
        return arrays

    # What jaxcnn computes.

    def call(self, *floats: Any) -> tuple[Any, ...]:
        result = self.operation(*self.full(floats), **self.setting.options)
        return result if isinstance(result, tuple) else (result,)

    def both(self, floats: Sequence[Any], cotangent: Any, call: Callable[..., tuple] | None = None):
        """The outputs, and the gradients of sum(cotangent * first output)."""

        def first(*floats):
            y, *others = (call or self.call)(*floats)
            return y, others

        y, back, others = jax.vjp(first, *floats, has_aux=True)
        return (y, *others), back(cotangent)

    @cached_property
    def compiled(self) -> Callable[..., Any]:
        return jax.jit(self.both)

    def run(self, floats: Sequence[Array], cotangent: Array, function: Callable[..., Any] | None = None):
        """Outputs and gradients as NumPy arrays, computed in the dtype."""
        given = [jnp.asarray(array, self.dtype) for array in floats]
        return jax.tree.map(np.asarray, (function or self.compiled)(given, jnp.asarray(cotangent, self.dtype)))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of the first output, by the loop if there is one."""
        if self.loop():
            return self.expected[0].shape
        given = [jax.ShapeDtypeStruct(array.shape, self.dtype) for array in self.floats]
        return jax.eval_shape(self.call, *given)[0].shape

    @cached_property
    def cotangent(self) -> Array:
        wanted = self.setting.cotangent._replace(shape=self.shape)
        return self.rounded(draw(wanted, self.setting.random(self.seed, "cotangent")))

    @cached_property
    def results(self):
        return self.run(self.floats, self.cotangent)

    def plainly(self, floats: Sequence[Array], cotangent: Array):
        """Outputs without any transformation, and gradients without any other."""
        return self.run(floats, cotangent, lambda given, g: (self.call(*given), self.both(given, g)[1]))

    @cached_property
    def plain(self):
        return self.plainly(self.floats, self.cotangent)

    def moved(self, floats: Sequence[Array], along: Sequence[Array]) -> tuple[Array, Array]:
        """The first output, and how it moves as the arrays move along, by forward mode."""

        def pair(floats, along):
            return jax.jvp(lambda *given: self.call(*given)[0], tuple(floats), tuple(along))

        given = ([jnp.asarray(array, self.dtype) for array in arrays] for arrays in (floats, along))
        y, dy = jax.jit(pair)(*given)
        return np.asarray(y), np.asarray(dy)

    @property
    def terms(self) -> int:
        """How many there are in the longest sum of the value."""
        return self._terms()[0]

    # What it should be, by the loops, and how far off it may be.

    def loop(self, suffix: str = "") -> Callable[..., Any] | None:
        return loops().get((self.operation.loop or self.operation.name) + suffix)

    def _terms(self) -> Terms:
        shapes = [() if one is None else one.shape for one in self.setting.arrays]
        return self.operation.terms(shapes, self.shape, self.setting.options)

    def _share(self, terms: int, once: bool) -> float:
        """Of the absolute terms, the part that rounding may cost: in the operation, and in the loop itself."""
        times, dtype = self.operation.roundings, "float32" if once else self.dtype
        return rounding(dtype, terms, times, self.operation.wide) + rounding("float64", terms, times, False)

    @property
    def _once(self) -> bool:
        return self.operation.once and self.dtype == "bfloat16"

    def values(self, floats: Sequence[Array]) -> tuple[Array, ...]:
        loop = self.loop()
        assert loop is not None, f"tests/reference has no loop for {self.operation.name}"
        return _tuple(loop(*self.full(floats), **self.setting.options))

    def value_bounds(self, floats: Sequence[Array]) -> tuple[Array, ...]:
        """Zero for integers."""
        special = self.loop("_magnitude")
        if special:
            sizes = _tuple(special(*self.full(floats), **self.setting.options))
        else:
            sizes = self.values([abs(array) for array in floats])
        share = self._share(self._terms()[0], self._once)
        bounds = tuple(share * abs(a) if a.dtype.kind == "f" else 0 * a for a in sizes)
        if not self._once:
            return bounds
        bias = abs(floats[-1]) if floats[-1].ndim == 1 else 0
        results = self.values(floats)
        return tuple(b + UNIT[self.dtype] * (2 * abs(y) + bias) for b, y in zip(bounds, results, strict=True))

    def gradients(self, floats: Sequence[Array], cotangent: Array) -> tuple[Array, ...]:
        loop = self.loop("_gradient")
        assert loop is not None, f"tests/reference has no gradient of {self.operation.name}"
        return loop(cotangent, *self.full(floats), **self.setting.options)

    def gradient_bounds(self, floats: Sequence[Array], cotangent: Array, more: int = 0) -> tuple[Array, ...]:
        """Of sums with so many more terms."""
        special = self.loop("_gradient_magnitude")
        if special:
            sizes = special(cotangent, *self.full(floats), **self.setting.options)
        else:
            sizes = self.gradients([abs(array) for array in floats], abs(cotangent))
        # What padding shows of a place in several places comes back in several parts, each rounded.
        once = self._once and not isinstance(self.setting.options.get("padding_mode", 0.0), str)
        bounds = tuple(self._share(n + more, once) * abs(a) for n, a in zip(self._terms()[1], sizes, strict=True))
        if not once:
            return bounds
        results = self.gradients(floats, cotangent)
        return tuple(b + UNIT[self.dtype] * abs(g) for b, g in zip(bounds, results, strict=True))

    @cached_property
    def expected(self) -> tuple[Array, ...]:
        return self.values(self.floats)

    @cached_property
    def expected_gradients(self) -> tuple[Array, ...]:
        return self.gradients(self.floats, self.cotangent)

    @cached_property
    def bounds(self) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        return self.value_bounds(self.floats), self.gradient_bounds(self.floats, self.cotangent)


def _tuple(result: Any) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)
