"""The C++ program: the same numbers as XLA, at sizes where its work is cut into pieces, and what happens without it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import ops
from jaxcnn.ops import canonical, native, norm
from jaxcnn.ops.native import build
from jaxcnn.ops.window import slide

WANTED = jax.default_backend() == "cpu" and os.environ.get("JAXCNN_NATIVE", "1") != "0"
needs_a_compiler = pytest.mark.skipif(not (WANTED and build.compiler()), reason="no C++ compiler, or not a CPU")
native.available()  # so that XLA knows its functions


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


@needs_a_compiler
@pytest.mark.parametrize("dtype", native.DTYPES)
@pytest.mark.parametrize("why", POOLS)
def test_pools_are_those_of_xla(monkeypatch, why: str, dtype: str):
    """Values, indices and gradients; maxima without any error, and with ties; sums of at most 9 terms."""
    shape, window, stride, padding, dilation = POOLS[why]
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    with jax.enable_x64(dtype == "float64"):
        x = jnp.round(2 * random(3, shape, dtype=dtype)[0]) / 2

        def results():
            largest, where = ops.max_pool_with_indices(x, window, **options)
            (gradient,) = random(4, largest.shape, dtype=dtype)
            pools = [partial(pool, window=window, **options) for pool in (ops.max_pool, ops.avg_pool)]
            pools.append(partial(pools[1], count_include_pad=False))
            both = [jax.vjp(jax.jit(pool), x) for pool in pools]
            return largest, where, both[0][0], *(array for y, back in both for array in (y, back(gradient)[0]))

        got = results()
        program = jax.jit(partial(ops.max_pool, window=window, **options)).lower(x).as_text()
        assert "jaxcnn_maximum" in program
        monkeypatch.setenv("JAXCNN_NATIVE", "0")
        expected = results()
        for one, other in zip(got[:3], expected[:3], strict=True):
            assert one.dtype == other.dtype and (one == other).all()
        for one, other in zip(got[3:], expected[3:], strict=True):
            assert one.dtype == other.dtype and worst(one, other) < 16 * np.finfo(dtype).eps


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
def test_a_training_step_uses_it_and_says_the_same_without_it():
    """In a process of its own: which way is taken is decided once, when a function is traced."""
    program = """
import jax, jax.numpy as jnp, jaxcnn
net = jaxcnn.create("cifar_cnn")
params, stats = jaxcnn.init(net, jax.random.key(0), (32, 32, 3))
x = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
def loss(params):
    logits, _ = jaxcnn.apply(net, params, stats, x, train=True, rng=jax.random.key(2))
    return jnp.square(logits).sum()
step = jax.jit(jax.grad(loss)).lower(params).compile()
print(step.as_text().count('custom_call_target="jaxcnn_'))
print(sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(step(params))))
"""
    said = {}
    for switch in "01":
        environment = {**os.environ, "JAXCNN_NATIVE": switch}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        said[switch] = run.stdout.split()
    assert said["0"][0] == "0" and int(said["1"][0]) > 6
    assert float(said["1"][1]) == pytest.approx(float(said["0"][1]), rel=1e-4)  # float32, ten layers


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


def test_without_a_compiler_there_is_no_program(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert build.library() is None


def test_a_compiler_that_fails_is_warned_of_once(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no such option: -march=native' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(broken))
    with pytest.warns(UserWarning, match="without its C\\+\\+ program, more slowly: no such option: -march=native"):
        assert build.library() is None
    assert not list((tmp_path / "cache").rglob("*.so"))


@needs_a_compiler
def test_what_was_compiled_is_found_again_unless_the_source_changes(tmp_path, monkeypatch):
    assert build.library() is not None
    made = build.file().read_bytes()
    compiled = []

    def compile_quickly(program, file):
        compiled.append(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "_compile", compile_quickly)
    assert build.library() is not None and build.library() is not None
    assert len(compiled) == 1
    changed = tmp_path / "conv.cc"
    changed.write_text(build.SOURCES[0].read_text() + "// another\n")
    monkeypatch.setattr(build, "SOURCES", [changed, *build.SOURCES[1:]])
    assert build.library() is not None
    assert len(set(compiled)) == 2
