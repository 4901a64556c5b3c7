"""What is lowered for elsewhere holds nothing of the C++ program: exported functions, and those for GPU and TPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from native_program import needs_a_compiler

import jaxcnn
from jaxcnn import ops
from jaxcnn.ops import native
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, Pool, seq

pytestmark = needs_a_compiler

NET = seq(
    conv1=Conv(8, 3), bn=BatchNorm(), relu=Act(), pool1=Pool("max", 2), depthwise=Conv(8, 3, groups=8),
    conv2=Conv(8, 3, 2, groups=2), pool2=Pool("avg", 2), flatten=Flatten(), fc=Dense(3),
)  # fmt: skip
X = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
PARAMS, STATS = jaxcnn.init(NET, jax.random.key(0), X.shape[1:])


@jax.jit
def logits(params, x):
    return jaxcnn.apply(NET, params, STATS, x)[0]


@jax.jit
def training(params, x):
    """All gradients, and their norm: every handler but that of the maximum alone."""
    gradients = jax.grad(lambda p: jnp.square(jaxcnn.apply(NET, p, STATS, x, train=True)[0]).sum())(params)
    return gradients, native.norm(jax.tree.leaves(gradients))


def calls(text: str) -> int:
    return text.count("@jaxcnn_")


@pytest.mark.parametrize("function", [logits, training], ids=["logits", "training"])
def test_an_exported_function_says_the_same(function):
    """In float32, through nine layers."""
    assert calls(function.lower(PARAMS, X).as_text()) > 3
    kept = export.export(function)(PARAMS, X)
    assert calls(kept.mlir_module()) == 0
    got = export.deserialize(kept.serialize()).call(PARAMS, X)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(function(PARAMS, X)), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * float(abs(other).max()))
    assert calls(function.lower(PARAMS, X).as_text()) > 3  # exporting changed nothing here


@pytest.mark.parametrize("platforms", [["cpu"], ["cuda"], ["tpu"], ["cpu", "cuda", "rocm", "tpu"]], ids=" ".join)
def test_an_export_for_any_platforms_holds_nothing_of_the_program(platforms: list[str]):
    for function in (logits, training):
        text = export.export(function, platforms=platforms)(PARAMS, X).mlir_module()
        assert calls(text) == 0 and "stablehlo.convolution" in text


def test_lowered_for_another_platform_without_export_it_holds_nothing_of_the_program():
    assert calls(logits.trace(PARAMS, X).lower(lowering_platforms=("cuda",)).as_text()) == 0
    both = logits.trace(PARAMS, X).lower(lowering_platforms=("cpu", "cuda")).as_text()
    assert calls(both) > 0 and "stablehlo.case" in both


def test_an_export_for_any_number_of_images_says_the_same():
    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype)
    kept = export.deserialize(export.export(logits)(PARAMS, images).serialize())
    for count in (1, 3):
        np.testing.assert_allclose(kept.call(PARAMS, X[:count]), logits(PARAMS, X[:count]), atol=1e-5)


def test_in_an_export_for_cpus_depthwise_convolutions_are_no_convolutions_of_xla():
    """But multiply-adds, thirty times faster there (see `ops.ways`); elsewhere convolutions."""
    x, kernel = jnp.ones((2, 9, 9, 8)), jnp.ones((3, 3, 1, 8))
    convolved = jax.jit(lambda x, kernel: ops.conv(x, kernel, groups=8))
    for platform, expected in {"cpu": False, "cuda": True}.items():
        text = export.export(convolved, platforms=[platform])(x, kernel).mlir_module()
        assert ("stablehlo.convolution" in text) == expected
