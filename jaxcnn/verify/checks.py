"""Checks of values and derivatives: against loops, against the transpose's identity, against differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.verify.bounds import UNIT, Array, Measure, compare_all, worst, wrong
from jaxcnn.verify.subject import Subject

DIRECTIONS = 2


def value(subject: Subject) -> Measure:
    """Every entry against the float64 loop. The bound is (n + r) u sum |terms|: n terms of the longest sum, r further
    roundings, u the unit roundoff; for bfloat16 the n terms are counted in float32's u where sums are accumulated so;
    and as much in float64 for the loop."""
    outputs, _ = subject.results
    wanted = {subject.dtype, "int32", "float32"} if subject.dtype == "bfloat16" else {subject.dtype, "int32"}
    strange = [str(y.dtype) for i, y in enumerate(outputs) if str(y.dtype) not in (wanted if i else (subject.dtype,))]
    if strange:  # beside the value there may be indices, and statistics that are kept in float32
        return wrong(f"a result of dtype {strange[0]}")
    return compare_all(outputs, subject.expected, subject.bounds[0])


def gradient(subject: Subject) -> Measure:
    """Every entry of every array's gradient against the closed form in loops; the bound as for the value."""
    _, gradients = subject.results
    strange = [str(g.dtype) for g in gradients if str(g.dtype) != subject.dtype]
    if strange:
        return wrong(f"a gradient of dtype {strange[0]}")
    return compare_all(gradients, subject.expected_gradients, subject.bounds[1])


def inner(a: Array, b: Array) -> float:
    """The inner product, its sum rounded once."""
    return math.fsum((np.asarray(a, np.float64) * b).ravel().tolist())


def transpose(subject: Subject) -> Measure:
    """<u, J v> = <J' u, v> in every array in which the value is linear, J v being f(v) - f(0). The bound is that of
    both values and of the gradient, weighted by |u| and |v|."""
    measures, u, unit = [], subject.cotangent, UNIT["float64"]
    for argument in subject.operation.linear:
        if argument not in subject.places:
            continue
        place = subject.places.index(argument)
        v = subject.normal(f"direction {argument}", subject.floats[place].shape)
        along, without = list(subject.floats), list(subject.floats)
        along[place], without[place] = v, 0 * v
        (y, *_), _ = subject.run(along, u)
        (zero, *_), gradients = subject.run(without, u)
        bound = sum(inner(abs(u), subject.value_bounds(floats)[0]) for floats in (along, without))
        bound += inner(subject.gradient_bounds(subject.floats, u)[place], abs(v))
        # The inner products are themselves of rounded products.
        bound += 2 * unit * (inner(abs(u), abs(y) + abs(zero)) + inner(abs(gradients[place]), abs(v)))
        error = abs(math.fsum([inner(u, y), -inner(u, zero), -inner(gradients[place], v)]))
        measures.append(Measure(error, bound))
    return worst(measures)


def _along(
    f: Callable[[float], float], slope: float, spread: Callable[[float], float], step: float
) -> Measure:  # fmt: skip
    """A slope against the central difference of `f`, whose values err by at most `spread`.

    The truncation error falls with the square of the step, so the difference over 2h errs four times as much as that
    over h, and |D(2h) - D(h)| is three times the error of D(h); the same over 4h and 2h guards against the accident
    that the first two agree.
    """
    one, two, four = ((f(m * step) - f(-m * step)) / (2 * m * step) for m in (1, 2, 4))
    truncation = max(abs(two - one), abs(four - two) / 4)
    return Measure(abs(one - slope), truncation + 2 * max(spread(4 * step), spread(-4 * step)) / step)


def _moved(arrays: Sequence[Array], directions: Sequence[Array], step: float) -> list[Array]:
    return [array + step * direction for array, direction in zip(arrays, directions, strict=True)]


def _directions(subject: Subject, number: int, arrays: Sequence[Array]) -> list[Array]:
    """Entries in [-1, 1], so that no step of the difference crosses a kink that the inputs keep clear of."""
    random = subject.setting.random(subject.seed, f"difference {number}")
    return [random.uniform(-1, 1, array.shape) for array in arrays]


def difference(subject: Subject) -> Measure:
    """The slope of <u, f> in random directions of all arrays together, against central differences. The bound is the
    truncation error, estimated from steps h, 2h and 4h, plus the rounding of two values over h."""
    u, measures = subject.cotangent, []
    floats, (_, gradients) = subject.floats, subject.results
    for number in range(DIRECTIONS):
        directions = _directions(subject, number, floats)

        def f(step: float, directions=directions) -> float:
            return inner(subject.run(_moved(floats, directions, step), u)[0][0], u)

        def spread(step: float, directions=directions) -> float:
            moved = _moved(floats, directions, step)
            values = inner(subject.value_bounds(moved)[0], abs(u))
            return values + UNIT["float64"] * sum(map(inner, map(abs, gradients), map(abs, moved)))

        slope = math.fsum(map(inner, gradients, directions))
        measures.append(_along(f, slope, spread, subject.operation.step))
    return worst(measures)


def second_derivative(subject: Subject) -> Measure:
    """The gradient of <w, gradient of <u, f>> by all arrays and by u, along random directions, against central
    differences of the gradient; the bound as there."""
    floats, u = subject.floats, subject.cotangent
    weights = [subject.normal(f"weight {i}", array.shape) for i, array in enumerate(floats)]

    def slopes(floats, u):
        _, gradients = subject.both(floats, u)
        return sum(jnp.vdot(w, g) for w, g in zip(weights, gradients, strict=True))

    by_floats, by_u = jax.jit(jax.grad(slopes, argnums=(0, 1)))(list(map(jnp.asarray, floats)), jnp.asarray(u))
    seconds, arrays, measures = [np.asarray(a) for a in (*by_floats, by_u)], [*floats, u], []
    for number in range(DIRECTIONS):
        directions = _directions(subject, number, arrays)

        def f(step: float, directions=directions) -> float:
            *moved, cotangent = _moved(arrays, directions, step)
            return math.fsum(map(inner, subject.run(moved, cotangent)[1], weights))

        def spread(step: float, directions=directions) -> float:
            *moved, cotangent = together = _moved(arrays, directions, step)
            values = math.fsum(map(inner, subject.gradient_bounds(moved, cotangent), map(abs, weights)))
            return values + UNIT["float64"] * sum(map(inner, map(abs, seconds), map(abs, together)))

        slope = math.fsum(map(inner, seconds, directions))
        measures.append(_along(f, slope, spread, subject.operation.step))
    return worst(measures)
