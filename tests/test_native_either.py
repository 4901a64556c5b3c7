"""`native.computed`: by the program or by jax, one function to all of jax's transformations."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler

from jaxcnn.ops import canonical, native
from jaxcnn.ops.native import either
from jaxcnn.ops.window import slide

pytestmark = needs_a_compiler

PLACED = slide("conv", (6, 5), (3, 2), (2, 1), (1, 0))
RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(2, 6, 5, 4)), "float32")
KERNEL = jnp.asarray(RANDOM.normal(size=(3, 2, 4, 3)), "float32")


def plain(x, kernel):
    return canonical.forward(x, kernel, PLACED, 1)


def convolved(x, kernel):
    of = {"placed": PLACED, "groups": 1}
    return native.computed(partial(native.forward, **of), partial(canonical.forward, **of), x, kernel)


def agree(got, expected):
    """In float32, sums of at most 200 terms."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * float(abs(other).max()), rtol=1e-5)


TRANSFORMED = {
    "value": lambda f: f(X, KERNEL),
    "forward mode": lambda f: jax.jvp(f, (X, KERNEL), (X + 1, KERNEL * 2)),
    "reverse mode": lambda f: jax.vjp(f, X, KERNEL)[1](f(X, KERNEL)),
    "of one argument": lambda f: jax.jacfwd(f, 1)(X, KERNEL),
    "forward over reverse": lambda f: jax.jvp(jax.grad(lambda k: (f(X, k) ** 2).sum()), (KERNEL,), (KERNEL + 1,)),
    "linearized": lambda f: jax.linearize(f, X, KERNEL)[1](X, KERNEL),
    "images mapped": lambda f: jax.vmap(f, (0, None))(X[:, None], KERNEL),
    "along another axis": lambda f: jax.vmap(f, (None, 3), 2)(X, jnp.stack([KERNEL, 2 - KERNEL], 3)),
    "pairs mapped": lambda f: jax.vmap(jax.vmap(f, (None, 0)), (0, None))(X[:, None], jnp.stack([KERNEL, 2 - KERNEL])),
    "gradients mapped": lambda f: jax.vmap(jax.grad(lambda k: (f(X, k) ** 2).sum()))(jnp.stack([KERNEL, 2 - KERNEL])),
    "in a scan": lambda f: jax.lax.scan(lambda sum, k: (sum + f(X, k).sum(), f(X, k)), 0.0, jnp.stack([KERNEL] * 3)),
    "rematerialized": lambda f: jax.grad(lambda k: (jax.checkpoint(f)(X, k) ** 2).sum())(KERNEL),
}


@pytest.mark.every(2)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("how", TRANSFORMED)
def test_transformed_it_is_the_plain_function(how: str, compiled: bool):
    transform = TRANSFORMED[how]
    run = jax.jit(lambda: transform(convolved)) if compiled else partial(transform, convolved)
    agree(run(), transform(plain))


def test_its_value_is_of_the_program_and_its_derivative_of_jax():
    assert jax.jit(convolved).lower(X, KERNEL).as_text().count("@jaxcnn_forward") == 1
    lowered = jax.jit(lambda x: jax.jvp(partial(convolved, kernel=KERNEL), (x,), (x,))).lower(X).as_text()
    assert lowered.count("@jaxcnn_forward") == 1 and "stablehlo.convolution" in lowered


def test_equal_calls_outside_of_jit_are_compiled_once():
    before = either._compiled._cache_size()
    of = {"placed": PLACED.over(stride=(1, 1)), "groups": 1}
    for _ in range(3):
        native.computed(partial(native.forward, **of), partial(canonical.forward, **of), X, KERNEL)
    assert either._compiled._cache_size() == before + 1


def test_of_integers_there_is_no_derivative():
    """The places of maxima, beside the maxima, whose derivative is that of the image's places."""
    placed = slide("pool", (6, 5), (2, 2), (2, 2), 0)

    def largest(x):
        return native.computed(partial(native.first_maximum, placed=placed), partial(first, placed=placed), x)

    def first(x, placed):
        inside = x[:, :6, :4].reshape(2, 3, 2, 2, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(2, 3, 2, 4, 4)
        where = inside.argmax(3, keepdims=True)
        return jnp.take_along_axis(inside, where, 3)[..., 0, :], where[..., 0, :].astype(jnp.uint8)

    agree(largest(X), first(X, placed))
    (y, where), (dy, _) = jax.jvp(largest, (X,), (X,))
    agree((y, dy), (y, y))
    assert where.dtype == jnp.uint8
    agree(jax.grad(lambda x: largest(x)[0].sum())(X), jax.grad(lambda x: first(x, placed)[0].sum())(X))


def test_values_without_a_name_are_refused():
    with pytest.raises(TypeError, match="without a name"):
        native.computed(partial(native.forward, X), partial(canonical.forward, X), KERNEL)
