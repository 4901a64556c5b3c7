"""Pooling and its gradients: the lectures' examples, loops, `lax.reduce_window` and PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax import lax
from reference import agree, random

from jaxcnn import ops
from jaxcnn.ops import native

pytestmark = pytest.mark.usefixtures("float64", "way")


@pytest.fixture(params=["C++", "XLA"], scope="module")
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """All tests by the program, and then all by XLA."""
    if request.param == "C++" and not native.available():
        pytest.skip("no C++ compiler, or not a CPU")
    with native.switched("1" if request.param == "C++" else "0"):
        yield


class Window(NamedTuple):
    """A setting of a pool over images of `sizes`; `pairs` is what `padding` means, worked out by hand."""

    name: str
    sizes: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    pairs: tuple[tuple[int, int], ...]


WINDOWS = [
    Window("1-D", (7,), (3,), (2,), 0, ((0, 0),)),
    Window("2x2", (4, 6), (2, 2), (2, 2), 0, ((0, 0), (0, 0))),
    Window("3x3, stride 2, padding 1", (7, 6), (3, 3), (2, 2), 1, ((1, 1), (1, 1))),
    Window("overlapping", (5, 5), (3, 3), (1, 1), 0, ((0, 0), (0, 0))),
    Window("stride over window", (7, 8), (2, 2), (3, 3), 0, ((0, 0), (0, 0))),
    Window("unequal sides", (6, 7), (3, 2), (1, 2), (1, 0), ((1, 1), (0, 0))),
    Window("same", (5, 6), (3, 3), (2, 2), "same", ((1, 1), (0, 1))),
    Window("asymmetric pairs", (5, 5), (3, 3), (2, 1), ((0, 2), (1, 0)), ((0, 2), (1, 0))),
    Window("3-D", (4, 3, 5), (2, 2, 2), (2, 1, 2), (0, 1, 1), ((0, 0), (1, 1), (1, 1))),
]
KINDS = ["max", "max of ties", "avg", "avg of image places"]
every_window = pytest.mark.parametrize("case", WINDOWS, ids=lambda case: case.name)
every_kind = pytest.mark.parametrize("kind", KINDS)


def images(case: Window, kind: str = "max"):
    """Two random images; of so few values, for ties, that most windows hold their maximum more than once."""
    x = random(1, 2, *case.sizes, 3)
    return np.round(x) if kind == "max of ties" else x


def pooled(case: Window, kind: str):
    """The value, a random gradient of the loss with respect to it, and what becomes of that gradient."""
    return _pooled(case, kind, native.available())


@cache
def _pooled(case, kind, _):
    pool = partial(ops.avg_pool, count_include_pad=kind == "avg") if kind.startswith("avg") else ops.max_pool

    def pool_it(x):
        return pool(x, case.window, case.stride, padding=case.padding)

    @jax.jit
    def both(x, gradient):
        y, back = jax.vjp(pool_it, x)
        return y, back(gradient)[0]

    x = images(case, kind)
    gradient = random(2, *jax.eval_shape(pool_it, x).shape)
    y, dx = both(x, gradient)
    return np.asarray(y), gradient, np.asarray(dx)


def lax_pool(case: Window, x, start, combine):
    window, stride = (1, *case.window, 1), (1, *case.stride, 1)
    return lax.reduce_window(x, start, combine, window, stride, ((0, 0), *case.pairs, (0, 0)))


def plane(rows):
    return jnp.asarray(np.array(rows, np.float64)[None, ..., None])


# EE 541 unit 8, "max pooling example" and the defaults of the two PyTorch layers.


def test_max_pool_of_the_first_hundred_numbers():
    y = ops.max_pool(plane(np.arange(100).reshape(10, 10)), 2)
    rows = [
        [11, 13, 15, 17, 19],
        [31, 33, 35, 37, 39],
        [51, 53, 55, 57, 59],
        [71, 73, 75, 77, 79],
        [91, 93, 95, 97, 99],
    ]
    agree(y[0, ..., 0], rows)


def test_average_pool_counts_the_padding_unless_told():
    x = plane([[4.0, 8.0], [12.0, 16.0]])
    agree(ops.avg_pool(x, (2, 2), padding=(1, 1))[0, ..., 0], [[1, 2], [3, 4]])
    agree(ops.avg_pool(x, (2, 2), padding=(1, 1), count_include_pad=False)[0, ..., 0], [[4, 8], [12, 16]])


def test_stride_defaults_to_the_window():
    x = jnp.asarray(random(1, 1, 9, 8, 2))
    for pool in (ops.max_pool, ops.avg_pool):
        assert pool(x, (3, 2)).shape == (1, 3, 4, 2)
        agree(pool(x, (3, 2)), pool(x, (3, 2), (3, 2)))


def test_3x3_pools_with_stride_1_make_3x3_of_5x5():
    rows = random(3, 5, 5)
    mean, greatest = (pool(plane(rows), 3, 1)[0, ..., 0] for pool in (ops.avg_pool, ops.max_pool))
    for i, j in np.ndindex(3, 3):
        agree(mean[i, j], rows[i : i + 3, j : j + 3].mean())
        agree(greatest[i, j], rows[i : i + 3, j : j + 3].max())
    assert mean.shape == greatest.shape == (3, 3)


def test_average_pooling_gives_every_pixel_of_a_window_an_equal_part_of_its_gradient():
    gradient = jnp.asarray(random(4, 1, 2, 2, 1))
    _, back = jax.vjp(lambda x: ops.avg_pool(x, 2), jnp.asarray(random(5, 1, 4, 4, 1)))
    agree(back(gradient)[0], np.repeat(np.repeat(gradient / 4, 2, 1), 2, 2))


def test_max_pooling_gives_the_whole_gradient_to_the_first_of_several_maxima():
    x = plane([[1, 7, 2, 2], [7, 7, 2, 2], [0, 0, -3, -5], [0, 9, -3, -4]])
    _, back = jax.vjp(lambda x: ops.max_pool(x, 2), x)
    (dx,) = back(plane([[10, 20], [30, 40]]))
    agree(dx[0, ..., 0], [[0, 10, 20, 0], [0, 0, 0, 0], [0, 0, 40, 0], [0, 30, 0, 0]])


# Against independent implementations.


@every_window
@every_kind
def test_value_and_gradient_equal_the_loops(case: Window, kind: str):
    y, gradient, dx = pooled(case, kind)
    arguments = images(case, kind), gradient, case.window, case.stride, case.pairs
    if kind.startswith("max"):
        value, back = reference.max_pool(*arguments)
    else:
        value, back = reference.avg_pool(*arguments, count_include_pad=kind == "avg")
    agree(y, value)
    agree(dx, back)


@pytest.mark.every(2)
@every_window
@pytest.mark.parametrize("kind", ["max", "max of ties", "avg"])
def test_value_and_gradient_equal_those_of_lax(case: Window, kind: str):
    y, gradient, dx = pooled(case, kind)

    @jax.jit
    def both(x, gradient):
        if kind == "avg":
            value, back = jax.vjp(lambda x: lax_pool(case, x, 0.0, lax.add) / float(np.prod(case.window)), x)
        else:
            value, back = jax.vjp(lambda x: lax_pool(case, x, -np.inf, lax.max), x)
        return value, back(gradient)[0]

    value, back = both(images(case, kind), gradient)
    agree(y, value)
    agree(dx, back)


@pytest.mark.parametrize("case", [c for c in WINDOWS if all(p == q for p, q in c.pairs)], ids=lambda case: case.name)
@every_kind
def test_value_and_gradient_equal_those_of_pytorch(case: Window, kind: str):
    torch = pytest.importorskip("torch")
    y, gradient, dx = pooled(case, kind)
    x = torch.tensor(np.moveaxis(images(case, kind), -1, 1), requires_grad=True)
    options = {"count_include_pad": kind == "avg"} if kind.startswith("avg") else {}
    pool = getattr(torch.nn.functional, f"{kind[:3]}_pool{len(case.sizes)}d")
    value = pool(x, case.window, case.stride, [before for before, _ in case.pairs], **options)
    value.backward(torch.tensor(np.moveaxis(gradient, -1, 1)))
    agree(y, np.moveaxis(value.detach().numpy(), 1, -1))
    agree(dx, np.moveaxis(x.grad.numpy(), 1, -1))


@every_window
@pytest.mark.parametrize("dilation", [(1, 1, 1), (2, 1, 2)], ids=["dense", "dilated"])
def test_the_value_alone_equals_the_loops(case: Window, dilation: tuple[int, ...]):
    """Where no gradient is asked for, padded windows go another way; below zero, padding with 0 would win."""
    x, options = images(case) - 9, {"padding": case.pairs, "dilation": dilation[: len(case.sizes)]}
    assert x.max() < 0
    alone = jax.jit(partial(ops.max_pool, window=case.window, stride=case.stride, **options))(x)
    agree(alone, reference.LOOPS["max_pool"](x, case.window, case.stride, **options))


# What else a pool promises.


def test_padding_never_wins_the_maximum():
    x = -1 - jnp.abs(jnp.asarray(random(6, 1, 4, 4, 2)))
    assert float(ops.max_pool(x, 3, 2, padding=1).max()) < -1


def test_of_nothing_but_minus_infinity_the_first_place_inside_is_the_maximum():
    """Padding is minus infinity too, but never takes the gradient (nor does it in PyTorch)."""
    x = jnp.full((1, 2, 3, 1), -jnp.inf)
    value, back = jax.vjp(lambda x: ops.max_pool(x, 2, padding=1), x)
    assert (value == -jnp.inf).all()
    agree(back(plane([[10, 20], [30, 40]]))[0][0, ..., 0], [[10, 20, 0], [30, 40, 0]])
    _, index = ops.max_pool_with_indices(x, 2, padding=1)
    agree(index[0, ..., 0], [[0, 1], [3, 4]])


def test_nan_is_the_greatest_and_takes_the_gradient():
    rows = [[1, np.nan, 2, 3], [np.nan, 4, 5, 6]]
    y, back = jax.vjp(lambda x: ops.max_pool(x, 2), plane(rows))
    assert np.isnan(y[0, 0, 0, 0])
    assert y[0, 0, 1, 0] == 6
    agree(back(plane([[10, 20]]))[0][0, ..., 0], [[0, 10, 0, 0], [0, 0, 0, 20]])


def test_gradient_of_the_gradient_of_a_max_pool_equals_the_loops_twice():
    """With y = x at the maxima, the loss sum(y^3) has the Hessian 6x at the maxima and 0 elsewhere."""
    case = WINDOWS[1]
    x = jnp.asarray(images(case))

    def slope(x):
        return jax.grad(lambda x: jnp.sum(ops.max_pool(x, 2) ** 3))(x)

    direction = random(7, *x.shape)
    _, where = reference.max_pool(np.asarray(x), np.ones((2, 2, 3, 3)), case.window, case.stride, case.pairs)
    agree(jax.vjp(slope, x)[1](jnp.asarray(direction))[0], 6 * np.asarray(x) * where * direction)


def test_gradient_of_the_gradient_equals_that_of_lax_where_windows_overlap():
    case = WINDOWS[2]

    def curvature(pool):
        def slope(x):
            return jnp.sum(jnp.sin(jax.grad(lambda x: jnp.sum(jnp.exp(pool(x))))(x)))

        return jax.jit(jax.grad(slope))(images(case))

    theirs = curvature(lambda x: lax_pool(case, x, -np.inf, lax.max))
    agree(curvature(partial(ops.max_pool, window=3, stride=2, padding=1)), theirs)


def line(*values: float):
    return jnp.asarray(values, float)[None, :, None]


def test_the_infinite_norm_of_a_window_is_its_greatest_size():
    y, back = jax.vjp(lambda x: ops.lp_pool(x, 2, p=np.inf), line(1, 5, -7, 2))
    agree(y[0, :, 0], [5, 7])
    agree(back(line(10, 100))[0][0, :, 0], [0, 10, -100, 0])


def test_the_infinite_norm_is_the_limit_of_large_powers():
    """4 numbers of size m have a norm of at most m 4^(1/p): 1.4e-6 more at p = 1e6."""
    x = jnp.asarray(random(3, 2, 6, 6, 2))
    agree(ops.lp_pool(x, 2, p=1e6), ops.lp_pool(x, 2, p=np.inf), tolerance=1.4e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 1e12, 1e30])
@pytest.mark.parametrize("p", [5, 16, 100])
def test_no_power_is_too_large_for_the_numbers_of_a_window(p, size):
    """In float32: the root of a sum of powers between 1 and 4, and its gradient by (|x|/y)^(p-1), p roundings of 6e-8.

    Shares below 1e-38 of a size of 1e-30 are lost.
    """
    x = size * np.array([3.0, -4.0, 2.0, 1.0])
    norm = (abs(x / size) ** p).sum() ** (1 / p)
    y, back = jax.vjp(lambda x: ops.lp_pool(x, 4, p=p), line(*x).astype(jnp.float32))
    np.testing.assert_allclose(y[0, 0, 0], size * norm, rtol=1e-6)
    expected = np.sign(x) * (abs(x / size) / norm) ** (p - 1)
    np.testing.assert_allclose(back(jnp.ones_like(y))[0][0, :, 0], expected, rtol=1e-7 * p + 1e-6, atol=1e-7)


def test_infinity_and_nothing_have_a_norm_of_any_power():
    for p in (1, 2, 3.5, 7, np.inf):
        y = ops.lp_pool(line(np.inf, 1, 0, 0, 2, np.nan), 2, p=p)
        np.testing.assert_array_equal(y[0, :, 0], [np.inf, 0, np.nan])


def test_pools_under_vmap_are_pools_of_each():
    x = random(8, 3, 2, 6, 6, 2)
    for pool in (ops.max_pool, ops.avg_pool):
        gradient = jax.grad(lambda x, pool=pool: jnp.sum(jnp.sin(pool(x, 3, 2, padding=1))))
        alone = jax.jit(gradient)
        agree(jax.jit(jax.vmap(gradient))(x), np.stack([alone(one) for one in x]))


def test_a_window_of_more_than_256_places_still_finds_its_maximum():
    """The place of the maximum is kept in a byte where that is enough."""
    x = random(9, 3, 257, 1)
    x[0, 256] = 9
    value, dx = jax.jit(jax.value_and_grad(lambda x: jnp.sum(ops.max_pool(x, 257))))(x)
    agree(value, x.max(1).sum())
    agree(dx, x == x.max(1, keepdims=True))


@pytest.mark.parametrize("sizes", [(7,), (5, 4), (3, 4, 2)], ids=["1-D", "2-D", "3-D"])
def test_global_pools_reduce_all_places_to_one(sizes):
    x = random(10, 2, *sizes, 3)
    places = tuple(range(1, x.ndim - 1))
    for pool, expected in ((ops.global_avg_pool, x.mean(places)), (ops.global_max_pool, x.max(places))):
        agree(pool(jnp.asarray(x)), expected)
        agree(pool(jnp.asarray(x), keepdims=True), expected.reshape(2, *[1] * len(sizes), 3))


def test_global_pools_are_pools_with_a_window_as_large_as_the_image():
    x = np.round(random(11, 2, 4, 5, 3))  # rounded, so that maxima come more than once
    weight = jnp.asarray(random(12, 2, 3))
    for over_all, pool in (ops.global_avg_pool, ops.avg_pool), (ops.global_max_pool, ops.max_pool):
        ours = jax.jit(jax.grad(lambda x, f=over_all: jnp.sum(weight * f(x))))(x)
        agree(ours, jax.jit(jax.grad(lambda x, f=pool: jnp.sum(weight * f(x, (4, 5))[:, 0, 0])))(x))


def test_global_max_pool_does_not_unroll_the_image():
    """A slice for every place takes 18 s to compile at 28x28."""
    program = str(jax.make_jaxpr(ops.global_max_pool)(jnp.ones((1, 64, 64, 1))))
    assert len(program.splitlines()) < 100


@pytest.mark.parametrize("pool", [ops.max_pool, ops.avg_pool])
@pytest.mark.parametrize(
    ("shape", "window", "options", "message"),
    [
        ((2, 3), 2, {}, r"at least one spatial dimension.*not \(2, 3\)"),
        ((1, 4, 4, 1), 5, {}, "5x5 .*does not fit into an input of 4x4"),
        ((1, 4, 4, 1), 0, {}, "window must be an integer of at least 1, or 2 of them, not 0"),
        ((1, 4, 4, 1), (2, 2, 2), {}, r"window.*or 2 of them, not \(2, 2, 2\)"),
        ((1, 4, 4, 1), 2, {"stride": 0}, "stride must be an integer of at least 1"),
        ((1, 4, 4, 1), 2, {"padding": "center"}, "'center' is not one of"),
        ((1, 4, 4, 1), 2, {"padding": -1}, "padding must be an integer of at least 0"),
    ],
)
def test_what_cannot_work_is_an_error_with_the_numbers(pool, shape, window, options, message):
    with pytest.raises(ValueError, match=message):
        pool(jnp.ones(shape), window, **options)


def test_a_maximum_over_nothing_but_padding_is_an_error():
    with pytest.raises(ValueError, match=r"padding \(\(2, 2\), \(2, 2\)\) has windows of \(2, 2\)"):
        ops.max_pool(jnp.ones((1, 4, 4, 1)), 2, padding=2)


def test_rounding_up_makes_one_window_of_an_image_smaller_than_it():
    x = jnp.asarray(random(3, 2, 2, 2, 3), jnp.float32)
    y = ops.max_pool(x, 3, 2, ceil_mode=True)
    np.testing.assert_array_equal(y, x.max((1, 2), keepdims=True))
    torch = pytest.importorskip("torch", reason="PyTorch says what ceil_mode means; extra 'torch'")
    theirs = torch.nn.functional.max_pool2d(torch.from_numpy(np.array(x)).movedim(-1, 1), 3, 2, ceil_mode=True)
    np.testing.assert_array_equal(y, theirs.movedim(1, -1).numpy())
    with pytest.raises(ValueError, match="does not fit"):
        ops.max_pool(x[:, :1], 3, 2, ceil_mode=True)
