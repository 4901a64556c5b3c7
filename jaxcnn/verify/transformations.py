"""Checks that a transformed function is the function: jit, vmap, scan, forward mode, arrays spread over devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.verify.bounds import UNIT, Array, Measure, compare, compare_all, worst
from jaxcnn.verify.checks import inner
from jaxcnn.verify.subject import Subject

VARIANTS = 2


def _agreement(subject: Subject, ours: Any, plain: Any) -> Measure:
    """Both may lie as far from the exact result as the bounds of value and gradient allow: twice that apart."""
    bounds = [2 * bound for group in subject.bounds for bound in group]
    (values, gradients), (plain_values, plain_gradients) = ours, plain
    return compare_all([*values, *gradients], [*plain_values, *plain_gradients], bounds)


def jit(subject: Subject) -> Measure:
    """Value and gradient under jax.jit and without; twice the bounds of value and gradient."""
    return _agreement(subject, subject.results, subject.plain)


def _variants(subject: Subject) -> list[tuple[list[Array], Array]]:
    """The subject's own inputs, and others like them."""
    variants = [(subject.floats, subject.cotangent)]
    for number in range(1, VARIANTS):
        arrays = subject.inputs(f"variant {number}")
        floats = [arrays[i] for i in subject.places]
        variants.append((floats, subject.normal(f"variant cotangent {number}", subject.shape)))  # type: ignore[arg-type]
    return variants


def _stacked(subject: Subject) -> tuple[list[Array], Array]:
    floats, cotangents = zip(*_variants(subject), strict=True)
    return [np.stack(arrays) for arrays in zip(*floats, strict=True)], np.stack(cotangents)


def _one_by_one(subject: Subject, mapped: Any) -> Measure:
    measures = []
    for number, (floats, cotangent) in enumerate(_variants(subject)):
        plain = subject.plain if number == 0 else subject.plainly(floats, cotangent)
        of_one = jax.tree.map(lambda a, number=number: a[number], mapped)
        twice = [2 * b for b in (*subject.value_bounds(floats), *subject.gradient_bounds(floats, cotangent))]
        measures.append(compare_all(jax.tree.leaves(of_one), jax.tree.leaves(plain), twice))
    return max(measures, key=lambda measure: measure.ratio)


def vmap(subject: Subject) -> Measure:
    """Value and gradient of two inputs under jax.vmap, and of each alone; twice the bounds."""
    floats, cotangents = _stacked(subject)
    return _one_by_one(subject, subject.run(floats, cotangents, jax.jit(jax.vmap(subject.both))))


def scan(subject: Subject) -> Measure:
    """Value and gradient of two inputs in jax.lax.scan, and of each alone; twice the bounds."""

    @jax.jit
    def scanned(floats: Sequence[Any], cotangents: Any):
        return jax.lax.scan(lambda carry, one: (carry, subject.both(*one)), 0, (floats, cotangents))[1]

    floats, cotangents = _stacked(subject)
    return _one_by_one(subject, subject.run(floats, cotangents, scanned))


def jvp(subject: Subject) -> Measure:
    """<u, J v> by forward mode, and <J' u, v> by reverse mode, v being a direction of all arrays together; the bound is
    that of the gradient, weighted by |v|, for both. The value beside it; twice its bound."""
    u, floats, unit = subject.cotangent, subject.floats, UNIT["float64"]
    along = [subject.normal(f"direction {number}", array.shape) for number, array in enumerate(floats)]
    (y, *_), gradients = subject.plain
    moved_y, moved = subject.moved(floats, along)
    bound = unit * inner(abs(u), abs(moved))  # the inner products are themselves of rounded products
    for g, v, reverse, forward in zip(
        gradients, along, subject.bounds[1], subject.gradient_bounds(floats, u, subject.terms), strict=True
    ):
        bound += inner(reverse + forward + unit * abs(g), abs(v))
    error = abs(math.fsum([inner(u, moved), *(-inner(g, v) for g, v in zip(gradients, along, strict=True))]))
    return worst([compare(moved_y, y, 2 * subject.bounds[0][0]), Measure(error, bound)])


def _spread(subject: Subject) -> tuple[Subject, int]:
    """The subject with examples enough for every device, and the number of devices it is spread over."""
    devices, examples = jax.device_count(), subject.setting.shape[0]
    inputs_of_examples = sum(one is not None and one.kind == "index" for one in subject.setting.arrays)
    if "mask" in subject.setting.options or inputs_of_examples:  # these belong to the number of examples
        return subject, math.gcd(devices, examples)
    if examples % devices:
        setting = subject.setting.with_examples(math.lcm(devices, examples))
        subject = Subject(subject.operation, setting, subject.dtype, subject.seed)
    return subject, devices


def sharded(subject: Subject) -> Measure:
    """Value and gradient with the examples spread over a mesh of the machine's devices; twice the bounds."""
    subject, devices = _spread(subject)
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    split, everywhere = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
    floats = [jnp.asarray(array, subject.dtype) for array in subject.floats]
    placed = [jax.device_put(array, everywhere if i else split) for i, array in enumerate(floats)]
    cotangent = jax.device_put(jnp.asarray(subject.cotangent, subject.dtype), split)
    ours = jax.tree.map(np.asarray, jax.jit(subject.both)(placed, cotangent))
    return _agreement(subject, ours, subject.plain)


def shard_map(subject: Subject) -> Measure:
    """Value and gradient inside jax.shard_map, which checks along which axes arrays vary, and of the examples of every
    device alone; twice the bounds. The gradient of an array that all devices share is the sum of theirs."""
    alone = "mask" in subject.setting.options or any(one and one.kind == "index" for one in subject.setting.arrays)
    subject, devices = (subject, 1) if alone else _spread(subject)
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    split, shared = P("data"), [P() for _ in subject.floats[1:]]
    inside = jax.shard_map(
        subject.both, mesh=mesh, in_specs=([split, *shared], split), out_specs=(split, (split, *shared))
    )
    values, gradients = subject.run(subject.floats, subject.cotangent, jax.jit(inside))
    x, *others = subject.floats
    plain, bounds = [], []
    for part, cotangent in zip(np.split(x, devices), np.split(subject.cotangent, devices), strict=True):
        floats = [part, *others]
        plain.append(subject.plainly(floats, cotangent))
        bounds.append((subject.value_bounds(floats), subject.gradient_bounds(floats, cotangent)))
    expected, allowed = (
        [*_joined(of_values), np.concatenate([first for first, *_ in of_gradients]), *map(sum, _rest(of_gradients))]
        for of_values, of_gradients in (zip(*plain, strict=True), zip(*bounds, strict=True))
    )
    return compare_all([*values, *gradients], expected, [2 * bound for bound in allowed])


def _joined(parts: Sequence[Sequence[Array]]) -> list[Array]:
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _rest(parts: Sequence[Sequence[Array]]) -> list[tuple[Array, ...]]:
    return list(zip(*parts, strict=True))[1:]
