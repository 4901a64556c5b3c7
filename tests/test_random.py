"""Random numbers by the C++ program are those of `jax.random`."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from native_program import needs_a_compiler

from jaxcnn.ops import native, random

SHAPES = [(), (1,), (7, 3), (0, 4), (3, 11000)]  # the last one in two parts


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["bits", "uniform", "normal"])
def test_they_are_those_of_jax(name: str, shape: tuple[int, ...]):
    for key in (jax.random.key(0), jax.random.fold_in(jax.random.key(3), 2**31 + 5), jax.random.PRNGKey(1)):
        dtype = "uint32" if name == "bits" else "float32"
        got, expected = getattr(random, name)(key, shape), getattr(jax.random, name)(key, shape, dtype)
        assert got.dtype == expected.dtype and got.shape == expected.shape
        # normal ones go through XLA's approximation, which may be compiled otherwise: a few roundings of float32
        np.testing.assert_allclose(got, expected, rtol=2e-6 if name == "normal" else 0)


def test_they_are_of_32_bits_where_jax_has_64(float64):
    key = jax.random.key(0)
    assert [getattr(random, name)(key, (3,)).dtype for name in ("bits", "uniform", "normal")] == [
        "uint32",
        "float32",
        "float32",
    ]


def test_of_another_kind_of_key_too():
    key = jax.random.key(5, impl="rbg")
    assert (random.bits(key, (50,)) == jax.random.bits(key, (50,))).all()


@needs_a_compiler
def test_a_batch_of_keys_is_one_call_and_threads_change_no_bit():
    keys = jax.random.split(jax.random.key(0), 5)
    run = jax.jit(jax.vmap(lambda key: random.bits(key, (40, 50))))
    assert run.lower(keys).as_text().count("@jaxcnn_random_bits") == 1
    expected = jax.vmap(lambda key: jax.random.bits(key, (40, 50)))(keys)
    for threads in (1, 3, 16):
        with native.cut_for(threads):
            assert (run(keys) == expected).all()
