"""Forward mode, and derivatives inside shard_map, of all operations with derivatives of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from reference import agree, agree_all, random

from jaxcnn import ops
from jaxcnn.ops import native
from jaxcnn.ops.linear import linear

pytestmark = pytest.mark.usefixtures("float64")

X, SHARED = random(1, 4, 6, 5, 4), [random(seed, 4) for seed in (2, 3)]
MASK = np.array([True, False, True, True])
OPERATIONS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "conv": (partial(ops.conv, stride=2, padding=1, groups=2), [random(4, 3, 3, 2, 6), random(5, 6)]),
    "conv_transpose": (partial(ops.conv_transpose, stride=2), [random(4, 3, 3, 2, 4)]),
    "depthwise_conv": (partial(ops.depthwise_conv, padding="same"), [random(4, 3, 3, 1, 4)]),
    "max_pool": (partial(ops.max_pool, window=3, stride=2, padding=1), []),
    "max_pool_with_indices": (lambda x: ops.max_pool_with_indices(x, 3, 2)[0], []),
    "avg_pool": (partial(ops.avg_pool, window=3, stride=2, padding=1), []),
    "lp_pool": (partial(ops.lp_pool, window=3, stride=2), []),
    "batch_norm": (lambda x, scale, bias: ops.batch_norm(x, scale, bias)[0], SHARED),
    "batch_norm with a mask": (lambda x, scale, bias: ops.batch_norm(x, scale, bias, mask=jnp.array(MASK))[0], SHARED),
}  # fmt: skip


@pytest.fixture(params=["1", pytest.param("0", marks=pytest.mark.slow)], ids=["C++", "XLA"])
def both_ways(request: pytest.FixtureRequest):
    with native.switched(request.param):
        yield


def at(name: str):
    """The function, where it is differentiated, and in which direction."""
    f, others = OPERATIONS[name]
    point = tuple(map(jnp.asarray, (X, *others)))
    return f, point, tuple(jnp.asarray(random(7 + i, *array.shape)) for i, array in enumerate(point))


def difference(f, point, along, step=1e-5):
    """The central difference: its error falls with the square of the step, its rounding rises with 1e-16/step."""
    ahead, behind = ([a + sign * step * d for a, d in zip(point, along, strict=True)] for sign in (1, -1))
    return (np.asarray(f(*ahead)) - np.asarray(f(*behind))) / (2 * step)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", OPERATIONS)
def test_how_a_result_moves_is_its_central_difference(both_ways, name: str):
    f, point, along = at(name)
    f = jax.jit(f)
    expected = difference(f, point, along)
    y, moved = jax.jvp(f, point, along)
    agree(y, np.asarray(f(*point)), tolerance=1e-12)
    # second and third derivatives are below 100 here: 100 * 1e-5^2, and 1e-16 * 10 / 1e-5
    np.testing.assert_allclose(moved, expected, atol=1e-7)
    agree(jax.linearize(f, *point)[1](*along), np.asarray(moved), tolerance=1e-12)


@pytest.mark.every(3)
@pytest.mark.parametrize("name", OPERATIONS)
def test_both_modes_have_the_same_second_derivatives(both_ways, name: str):
    f, point, along = at(name)
    loss = lambda point: jnp.sin(f(*point)).sum()  # noqa: E731
    forward_over_reverse = jax.jit(lambda p, d: jax.jvp(jax.grad(loss), (p,), (d,))[1])(point, along)
    reverse_over_forward = jax.jit(jax.grad(lambda p, d: jax.jvp(loss, (p,), (d,))[1]))(point, along)
    twice_reverse = jax.grad(lambda p: sum(map(jnp.vdot, jax.grad(loss)(p), along)))(point)
    expected = difference(jax.jit(lambda *p: jnp.concatenate([g.ravel() for g in jax.grad(loss)(p)])), point, along)
    flat = jnp.concatenate([g.ravel() for g in forward_over_reverse])
    np.testing.assert_allclose(flat, expected, atol=1e-6)  # as above, of sums over all places
    for other in (reverse_over_forward, twice_reverse):
        agree_all(other, [np.asarray(g) for g in forward_over_reverse])


@pytest.mark.every(3)
@pytest.mark.parametrize("name", OPERATIONS)
def test_mapped_scanned_and_rematerialized_it_moves_the_same(name: str):
    f, point, along = at(name)
    pairs = [jnp.stack([array, 2 * array]) for array in (*point, *along)]
    move = lambda *pair: jax.jvp(f, pair[: len(point)], pair[len(point) :])[1]  # noqa: E731
    expected = np.stack([move(*(array[i] for array in pairs)) for i in range(2)])
    agree(jax.jit(jax.vmap(move))(*pairs), expected, tolerance=1e-12)
    agree(jax.lax.scan(lambda carry, pair: (carry, move(*pair)), 0, pairs)[1], expected, tolerance=1e-12)
    over_images = jax.vmap(f, (0, *[None] * (len(point) - 1)))
    moved = jax.jvp(over_images, (pairs[0], *point[1:]), (pairs[len(point)], *along[1:]))[1]
    agree(moved[0], expected[0], tolerance=1e-12)
    kept = jax.jvp(jax.checkpoint(f), point, along)[1]
    agree(kept, expected[0], tolerance=1e-12)


def test_the_hessian_of_a_convolution_is_that_of_lax():
    x, kernel = jnp.asarray(random(1, 2, 4, 4, 2)), jnp.asarray(random(2, 3, 3, 2, 2))
    theirs = lambda k: jax.lax.conv_general_dilated(  # noqa: E731
        x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    hessian = lambda conv: jax.jit(jax.hessian(lambda k: jnp.sin(conv(k)).sum()))(kernel)  # noqa: E731
    agree(hessian(lambda k: ops.conv(x, k)), np.asarray(hessian(theirs)))


def test_a_linear_function_is_differentiated_by_what_is_known_too():
    """Some of what is known may be missing, and one of two that move may stand still."""

    def function(a, b, x, y):
        assert b is None
        return a * x + a**2 * y

    def transpose(a, b, g):
        return 10 * a * g, 10 * a**2 * g  # ten times what it should be, to know it again

    def f(a, x, y):
        return linear(function, transpose, [a, None], [x, y])

    point = 2.0, 3.0, 5.0
    assert f(*point) == 2 * 3 + 4 * 5
    assert jax.jvp(f, point, (1.0, 0.0, 0.0))[1] == 3 + 2 * 2 * 5
    assert jax.jvp(f, point, (0.0, 1.0, 1.0))[1] == 2 + 4
    assert jax.grad(f, (1, 2))(*point) == (20, 40)
    assert jax.vmap(jax.grad(f, 2))(jnp.array([1.0, 2.0]), jnp.ones(2), jnp.ones(2)).tolist() == [10, 40]


IN_SHARES = [name for name in OPERATIONS if "mask" not in name]


def check_in_shard_map(name: str) -> None:
    """Against every device's share alone; the gradient of what all share is the sum of theirs."""
    f, (x, *others), (along_x, *along) = at(name)
    devices = jax.device_count()
    mesh, split, shared = Mesh(np.array(jax.devices()), ("data",)), P("data"), [P() for _ in others]

    def local(x, *others):
        return jnp.square(f(x, *others)).sum()

    def gradients(*arrays):
        return jax.grad(lambda *a: jax.lax.psum(local(*a), "data"), tuple(range(len(arrays))))(*arrays)

    def moved(*arrays):
        return jax.jvp(f, arrays[: 1 + len(others)], arrays[1 + len(others) :])[1]

    alone = [jax.grad(local, tuple(range(1 + len(others))))(part, *others) for part in jnp.split(x, devices)]
    dx, *rest = zip(*alone, strict=True)
    over = partial(jax.shard_map, mesh=mesh)
    run = jax.jit(over(gradients, in_specs=(split, *shared), out_specs=(split, *shared)))
    agree_all(run(x, *others), [np.concatenate(dx), *map(sum, rest)])
    parts = zip(jnp.split(x, devices), jnp.split(along_x, devices), strict=True)
    run = jax.jit(over(moved, in_specs=(split, *shared) * 2, out_specs=split))
    agree(run(x, *others, along_x, *along), np.concatenate([moved(a, *others, d, *along) for a, d in parts]))


@pytest.mark.every(2)
@pytest.mark.parametrize("name", IN_SHARES)
def test_inside_shard_map_gradients_are_those_of_the_shares(both_ways, name: str):
    check_in_shard_map(name)


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["1", "0"])
def test_inside_shard_map_over_two_devices(switch: str):
    program = (
        "import jax; jax.config.update('jax_enable_x64', True); assert jax.device_count() == 2\n"
        "import test_forward_mode as test\n"
        "for name in ('conv', 'max_pool', 'avg_pool', 'batch_norm'): test.check_in_shard_map(name)"
    )
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAXCNN_NATIVE": switch, "JAX_PLATFORMS": "cpu"}
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=here, env={**os.environ, **flags, "PYTHONPATH": paths}
    )


def test_inside_shard_map_the_gradient_by_what_only_one_axis_shares():
    """Images along one axis, kernels along the other: what an array does not vary along is summed over."""
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "model"))
    x, kernel = jnp.asarray(X), jnp.asarray(random(4, 3, 3, 4, 6))
    gradient = jax.grad(lambda x, k: jax.lax.psum(jnp.sin(ops.conv(x, k)).sum(), ("data", "model")), (0, 1))
    specs = P("data"), P(None, None, None, "model")
    inside = jax.jit(jax.shard_map(gradient, mesh=mesh, in_specs=specs, out_specs=specs))
    agree_all(inside(x, kernel), jax.grad(lambda x, k: jnp.sin(ops.conv(x, k)).sum(), (0, 1))(x, kernel))


def test_inside_shard_map_a_kernel_gradient_is_added_up_part_by_part(both_ways):
    """With so many examples and weights XLA's way is a scan, whose sum varies from device to device."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    x, kernel = jnp.asarray(random(1, 32, 4, 4, 32)), jnp.asarray(random(2, 3, 3, 32, 16))
    gradient = jax.grad(lambda k, x: jax.lax.psum(jnp.square(ops.conv(x, k)).sum(), "data"))
    inside = jax.jit(jax.shard_map(gradient, mesh=mesh, in_specs=(P(), P("data")), out_specs=P()))
    theirs = lambda k: jax.lax.conv_general_dilated(  # noqa: E731
        x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    expected = jax.grad(lambda k: jnp.square(theirs(k)).sum())(kernel)
    agree(inside(kernel, x) / 1e4, expected / 1e4)  # sums of 128 products of sums of 288: some 1e4
