"""The C++ program: the numbers of XLA, at sizes where its work is cut into pieces, the same for all threads."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from native_program import needs_a_compiler

import jaxcnn
from jaxcnn import ops
from jaxcnn.ops import canonical, native, norm
from jaxcnn.ops.window import slide
from jaxcnn.spec import BatchNorm, Conv, Dense, Flatten, Pool, seq


class Case(NamedTuple):
    """A convolution, and which of the program's ways to cut its work it meets."""

    why: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    groups: int = 1
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[tuple[int, int], ...] = 1
    dilation: int | tuple[int, ...] = 1


CASES = [
    Case("an image in several pieces", (3, 70, 61, 16), (3, 3, 16, 40)),
    Case("several images in a piece", (37, 5, 4, 24), (3, 3, 24, 33)),
    Case("one image, its channels shared out", (1, 6, 6, 64), (3, 3, 64, 130)),
    Case("more weights than stay in the cache", (5, 7, 7, 300), (3, 3, 300, 50)),
    Case("strided, in several pieces", (2, 90, 64, 24), (5, 4, 24, 20), stride=(2, 3), padding=((2, 1), (0, 2))),
    Case("a window smaller than its stride", (3, 20, 20, 16), (1, 2, 16, 16), stride=(3, 4), padding=0),
    Case("dilated", (2, 40, 40, 17), (3, 3, 17, 19), dilation=(2, 3), padding=((4, 4), (5, 6))),
    Case("padding wider than the window", (2, 5, 6, 9), (2, 2, 9, 10), padding=((4, 3), (5, 2))),
    Case("few input channels", (3, 60, 50, 3), (7, 7, 3, 20), stride=2, padding=3),
    Case("few input channels, dilated", (3, 30, 29, 2), (3, 4, 2, 5), stride=(1, 2), dilation=2),
    Case("groups", (4, 20, 20, 36), (3, 3, 12, 51), groups=3, stride=2),
    Case("depthwise, in several pieces", (3, 64, 64, 41), (3, 3, 1, 41), groups=41),
    Case("depthwise, strided", (3, 33, 31, 70), (5, 5, 1, 70), groups=70, stride=(2, 3), padding=2),
    Case("depthwise, two of each", (3, 14, 15, 21), (3, 3, 1, 42), groups=21),
    Case("one dimension", (3, 200, 18), (9, 18, 35), stride=2, padding=4),
]  # fmt: skip
PRODUCTS = ("forward", "input_gradient", "kernel_gradient")


def random(seed: int, *shapes: tuple[int, ...], dtype="float64"):
    numbers = np.random.default_rng(seed)
    return [jnp.asarray(numbers.normal(size=shape), dtype) for shape in shapes]


def arguments(case: Case, dtype: str):
    """The window, and for every product its two arguments."""
    placed = slide("conv", case.shape[1:-1], case.kernel[:-2], case.stride, case.padding, case.dilation)
    gradient = (case.shape[0], *placed.output, case.kernel[-1])
    x, kernel, g = random(0, case.shape, case.kernel, gradient, dtype=dtype)
    return placed, {"forward": (x, kernel), "input_gradient": (g, kernel), "kernel_gradient": (x, g)}


def worst(one, other) -> float:
    return float(jnp.abs(one - other).max() / jnp.abs(other).max())


@pytest.mark.every(6)
@needs_a_compiler
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("case", CASES, ids=[case.why for case in CASES])
def test_the_products_are_those_of_xla(case: Case, product: str):
    """In float64: sums of at most 13,000 terms in another order, each wrong by 1e-16 of the greatest at most."""
    with jax.enable_x64(True):
        placed, given = arguments(case, "float64")
        compute = partial(getattr(native, product), placed=placed, groups=case.groups)
        expected = getattr(canonical, product)(*given[product], placed, case.groups)
        got = jax.jit(compute)(*given[product])
        assert got.dtype == expected.dtype and got.shape == expected.shape
        assert worst(got, expected) < 1e-13
    single = jax.jit(compute)(*(jnp.asarray(np.asarray(array), "float32") for array in given[product]))
    assert single.dtype == jnp.float32
    assert worst(single, np.asarray(expected)) < 3e-6  # 25 roundings of float32; a lost term would be 1e-3 or more


def bits(compute, *arrays) -> list[str]:
    return [hashlib.sha256(np.asarray(result)).hexdigest() for result in jax.tree.leaves(compute(*arrays))]


def assert_same_bits_for_any_number_of_threads(compute, *arrays):
    compute = jax.jit(compute)
    expected = bits(compute, *arrays)
    for threads in (1, 2, 3, 16, 16):
        with native.cut_for(threads):
            assert bits(compute, *arrays) == expected


@pytest.mark.every(3)
@needs_a_compiler
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("case", CASES, ids=[case.why for case in CASES])
def test_the_bits_of_a_product_do_not_depend_on_the_threads(case: Case, product: str):
    placed, given = arguments(case, "float32")
    compute = partial(getattr(native, product), placed=placed, groups=case.groups)
    assert_same_bits_for_any_number_of_threads(compute, *given[product])


@needs_a_compiler
def test_the_examples_of_the_readme():
    """In `ops/native/README.md`."""
    x = jnp.arange(1.0, 17).reshape(1, 4, 4, 1)
    middle = jnp.zeros((3, 3)).at[1, 1].set(1)
    kernel = jnp.stack([jnp.ones((3, 3)), middle], -1)[:, :, None, :]
    y = native.forward(x, kernel, slide("conv", (4, 4), (3, 3), 1, 0), 1)
    assert y.reshape(4, 2).tolist() == [[54, 6], [63, 7], [90, 10], [99, 11]]
    largest, number = native.first_maximum(x, slide("pool", (4, 4), (2, 2), 2, 0))
    assert largest.ravel().tolist() == [6, 8, 14, 16] and number.ravel().tolist() == [3, 3, 3, 3]


MAPPED = {"first": (0, None), "second": (None, 0), "both": (0, 0)}


@needs_a_compiler
@pytest.mark.parametrize("mapped", MAPPED)
@pytest.mark.parametrize("product", PRODUCTS)
def test_under_vmap_each_is_computed_alone(product: str, mapped: str):
    placed, given = arguments(CASES[1]._replace(shape=(3, 5, 4, 8), kernel=(3, 3, 8, 9)), "float32")
    compute = partial(getattr(native, product), placed=placed, groups=1)
    axes = MAPPED[mapped]
    stacks = [array if axis is None else jnp.stack([array, 2 - array, array**2])
              for array, axis in zip(given[product], axes, strict=True)]  # fmt: skip
    got = jax.vmap(compute, axes)(*stacks)
    for i in range(3):
        alone = [array if axis is None else array[i] for array, axis in zip(stacks, axes, strict=True)]
        assert worst(got[i], compute(*alone)) < 1e-6


@needs_a_compiler
def test_under_vmap_of_vmap_each_pair_meets():
    placed, given = arguments(CASES[1]._replace(shape=(2, 5, 4, 8), kernel=(3, 3, 8, 9)), "float32")
    x, kernel = given["forward"]
    images, kernels = jnp.stack([x, x + 1, x * x]), jnp.stack([kernel, 1 - kernel])
    compute = partial(native.forward, placed=placed, groups=1)
    rows_first = jax.vmap(jax.vmap(compute, (None, 0)), (0, None))(images, kernels)
    columns_first = jax.vmap(jax.vmap(compute, (0, None)), (None, 0))(images, kernels)
    for i, j in np.ndindex(3, 2):
        alone = compute(images[i], kernels[j])
        assert worst(rows_first[i, j], alone) < 1e-6 and worst(columns_first[j, i], alone) < 1e-6


POOLS = {
    "an image in several pieces": ((2, 150, 40, 85), 3, 2, 1, 1),  # channels: 64, 16, 4 and 1 at a time
    "several images in a piece": ((300, 4, 5, 6), 2, 2, 0, 1),
    "one channel": ((4, 60, 61, 1), (3, 2), (1, 2), (1, 0), 1),
    "half a vector": ((3, 20, 21, 24), 3, 1, 1, 1),
    "dilated": ((2, 30, 31, 40), 3, 2, ((3, 1), (0, 2)), (2, 3)),
    "places that no window sees": ((2, 23, 23, 20), 2, 5, 0, 1),
    "one dimension": ((3, 300, 33), 5, 3, 2, 1),
}


def pooled(why: str, dtype: str):
    """Maxima, their indices, means, and the gradients of all."""
    shape, window, *rest = POOLS[why]
    stride, padding, dilation = rest
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    numbers = np.random.default_rng(3)
    x = np.round(2 * numbers.normal(size=shape)).astype(dtype) / 2
    output = slide("pool", shape[1:-1], window, stride, padding, dilation).output
    gradient = numbers.normal(size=(shape[0], *output, shape[-1])).astype(dtype)

    @jax.jit
    def everything(x, gradient):
        pools = [partial(pool, window=window, **options) for pool in (ops.max_pool, ops.avg_pool)]
        pools.append(partial(pools[1], count_include_pad=False))
        both = [jax.vjp(pool, x) for pool in pools]
        exact = *ops.max_pool_with_indices(x, window, **options), ops.max_pool(x, window, **options)
        return *exact, *(array for y, back in both for array in (y, back(gradient)[0]))

    with jax.enable_x64(dtype == "float64"):
        return jax.tree.map(np.asarray, everything(x, gradient))


@pytest.fixture(scope="module")
def pooled_by_xla():
    with native.switched("0"):
        return {(why, dtype): pooled(why, dtype) for why in POOLS for dtype in native.DTYPES}


@pytest.mark.thorough
@needs_a_compiler
@pytest.mark.parametrize("dtype", native.DTYPES)
@pytest.mark.parametrize("why", POOLS)
def test_pools_are_those_of_xla(pooled_by_xla, why: str, dtype: str):
    """Values, indices and gradients; maxima without any error, and with ties; sums of at most 9 terms."""
    got, expected = pooled(why, dtype), pooled_by_xla[why, dtype]
    for one, other in zip(got[:3], expected[:3], strict=True):
        assert one.dtype == other.dtype and (one == other).all()
    for one, other in zip(got[3:], expected[3:], strict=True):
        assert one.dtype == other.dtype and abs(one - other).max() < 16 * np.finfo(dtype).eps * abs(other).max()


@pytest.mark.every(4)
@needs_a_compiler
@pytest.mark.parametrize("shape", [(5, 6, 7, 70), (3, 40, 16), (2, 3, 4, 5, 33), (9, 1, 1, 3)])
def test_sums_over_the_batch_are_those_of_xla(shape: tuple[int, ...]):
    """Both, and their gradients, are those of the plain sums; each of at most 280 terms."""
    examples, *_, channels = shape
    x, g, shift = random(1, (examples, 11, channels), (examples, 11, channels), (channels,), dtype="float32")
    for program, plain, arrays in (
        (native.moments, norm._plain_moments, (x, shift)),
        (native.sums, norm._plain_sums, (g, x, shift)),
    ):
        fast = partial(native.computed, program, plain)
        got, back = jax.vjp(fast, *arrays)
        expected, expected_back = jax.vjp(plain, *arrays)
        assert worst(got, expected) < 1e-6
        for one, other in zip(back(got), expected_back(got), strict=True):
            assert worst(one, other) < 1e-6
        stacked = [jnp.stack([array, array * 2 + 1]) for array in arrays]
        mapped = jax.vmap(fast)(*stacked)
        assert worst(mapped, jnp.stack([plain(*(array[i] for array in stacked)) for i in range(2)])) < 1e-6


@needs_a_compiler
@pytest.mark.parametrize("dtype", native.DTYPES)
def test_the_norm_of_a_tree_is_that_of_all_its_numbers(dtype: str):
    """Arrays of none, few, many and very many numbers; float32 adds up pieces of 16,384 before float64 adds those."""
    with jax.enable_x64(dtype == "float64"):
        arrays = random(5, (0,), (1,), (7, 3), (16385,), (3, 3, 300, 120), dtype=dtype)
        got = jax.jit(native.norm)(arrays)
        expected = np.linalg.norm(np.concatenate([np.asarray(array, "float64").ravel() for array in arrays]))
        assert got.dtype == dtype and abs(got / expected - 1) < 16 * np.finfo(dtype).eps
        scaled = jax.vmap(lambda factor: native.norm([array * factor for array in arrays]))(jnp.arange(1.0, 4.0))
        np.testing.assert_allclose(scaled, got * np.arange(1, 4), rtol=1e-6)


@needs_a_compiler
@pytest.mark.parametrize("why", POOLS)
def test_the_bits_of_a_pool_do_not_depend_on_the_threads(why: str):
    shape, window, stride, padding, dilation = POOLS[why]
    (x,) = random(3, shape, dtype="float32")

    def both(x):
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        pools = [partial(pool, window=window, **options) for pool in (ops.max_pool, ops.avg_pool)]
        return [(y, back(y)) for y, back in (jax.vjp(pool, x) for pool in pools)]

    assert_same_bits_for_any_number_of_threads(both, x)


@needs_a_compiler
def test_the_bits_of_sums_do_not_depend_on_the_threads():
    x, g, shift = random(1, (50, 700, 70), (50, 700, 70), (70,), dtype="float32")
    assert_same_bits_for_any_number_of_threads(native.moments, x, shift)
    assert_same_bits_for_any_number_of_threads(native.sums, g, x, shift)
    assert_same_bits_for_any_number_of_threads(lambda *arrays: native.norm(arrays), x, g, shift)


@needs_a_compiler
def test_a_training_step_uses_all_of_it_and_says_the_same_without_it():
    net = seq(
        conv1=Conv(8, 3), bn=BatchNorm(), pool1=Pool("max", 2), conv2=Conv(8, 3), pool2=Pool("avg", 2),
        flatten=Flatten(), fc=Dense(3),
    )  # fmt: skip
    params, stats = jaxcnn.init(net, jax.random.key(0), (16, 16, 3))
    (x,) = random(6, (4, 16, 16, 3), dtype="float32")

    def loss(params):
        logits, _ = jaxcnn.apply(net, params, stats, x, train=True)
        return jnp.square(logits).sum()

    def step():
        gradients = jax.grad(loss)
        lowered = jax.jit(lambda params: (gradients(params), native.norm(jax.tree.leaves(params)))).lower(params)
        return {name for name in native.HANDLERS if f"@jaxcnn_{name}(" in lowered.as_text()}, lowered.compile()(params)

    used, (got, _) = step()
    of_images = {"warp", "resized_crop", "recolor", "mean_color", "blur", "random_bits"}  # which augmentations use
    assert used == set(native.HANDLERS) - of_images - {"maximum"}  # without a gradient
    with native.switched("0"):
        expected = jax.jit(jax.grad(loss))(params)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert worst(one, other) < 1e-5  # float32, five layers


@needs_a_compiler
def test_a_gradient_inside_a_scan_holds_no_convolution_of_xla():
    """Which XLA:CPU might run in a naive loop there (jax#12868)."""

    def train(kernel, batches):
        def step(kernel, x):
            dx, dh = jax.grad(lambda x, kernel: jnp.square(ops.conv(x, kernel, padding=1)).sum(), (0, 1))(x, kernel)
            return kernel - 0.1 * dh, dx.sum()

        return jax.lax.scan(step, kernel, batches)

    kernel, batches = jnp.ones((3, 3, 16, 16)), jnp.ones((4, 8, 12, 12, 16))
    compiled = jax.jit(train).lower(kernel, batches).compile().as_text()
    assert "dim_labels" not in compiled and compiled.count('custom_call_target="jaxcnn_') >= 3
