"""Checks that a transformed function is the function: jit, vmap, scan, and arrays spread over devices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.verify.bounds import Array, Measure, compare_all
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
