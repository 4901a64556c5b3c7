"""The training step as it is lowered for a GPU and a TPU, on a machine that has neither."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import pytest
from jax import export

from jaxcnn.config import SGD, Crop, Flip, OptimizerConfig
from jaxcnn.data.batches import Batch
from jaxcnn.optimizers import make
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, GlobalPool, Identity, Pool, add, seq
from jaxcnn.training.steps import Recipe, empty_sums, guarded_step, guarded_steps, init_state

SHAPE, SIZE = (16, 16, 3), 8
NET = seq(
    conv1=Conv(64), bn1=BatchNorm(), relu1=Act(), pool=Pool("max", 2),
    block=add(body=seq(conv=Conv(64, 3, 1), bn=BatchNorm()), identity=Identity(), then=Act()),
    depthwise=Conv(64, 3, 2, groups=64), point=Conv(80, 1),
    grouped=Conv(80, groups=5), avgpool=GlobalPool(), fc=Dense(10),
)  # fmt: skip
"""What has ways of its own on a CPU: dense ones that are large, strided, depthwise, grouped, of one place."""
OUR_CALL = "@jaxcnn_"
CONVOLUTION = re.compile(r"stablehlo\.convolution\(.*?dim_numbers = (.*?), window.*?: \((.*?)\) ->")
CANONICAL = "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"


def lowered(platform: str, dtype: str, steps: int = 0) -> tuple[str, int]:
    """The exported step as text, and how many arrays its state has."""
    optimizer = make(OptimizerConfig(SGD(momentum=0.9)), 10, 2)
    recipe = Recipe(NET, optimizer, (0.5,) * 3, (0.25,) * 3, augment=(Crop(2), Flip()), dtype=dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(lambda key: init_state(recipe, key, SHAPE), key)
    sums = jax.eval_shape(lambda: empty_sums(recipe))
    size = (steps, SIZE) if steps else (SIZE,)
    shapes = ((*size, *SHAPE), jnp.uint8), (size, jnp.int32), (size, jnp.float32), (size, jnp.int32)
    batch = Batch(*(jax.ShapeDtypeStruct(*each) for each in shapes))
    step = jax.jit(guarded_steps if steps else guarded_step, static_argnames="recipe", donate_argnums=0)
    text = export.export(step, platforms=[platform])(state, sums, batch, key, recipe=recipe).mlir_module()
    return text, len(jax.tree.leaves(state))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_for_elsewhere_is_of_canonical_convolutions(platform: str, dtype: str):
    """None of the C++ program's calls, no image in another layout, the narrow dtype where it is asked for, and every
    array of the state given away. Five convolutions give fourteen products: the images need no gradient."""
    text, arrays = lowered(platform, dtype)
    assert OUR_CALL not in text
    found = CONVOLUTION.findall(text)
    assert len(found) == text.count("stablehlo.convolution(") >= 14
    narrow = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    for layout, operands in found:
        assert layout == CANONICAL
        assert re.findall(r"x(b?f\d+)>", operands) == [narrow, narrow]
    assert text.count("tf.aliasing_output") == arrays


def test_many_steps_are_one_loop_of_the_same():
    text, arrays = lowered("cuda", "bfloat16", steps=5)
    assert OUR_CALL not in text and text.count("tf.aliasing_output") == arrays
    assert "stablehlo.while" in text and len(CONVOLUTION.findall(text)) < 2 * 14


def test_on_a_cpu_nothing_of_ours_is_exported_either():
    assert OUR_CALL not in lowered("cpu", "float32")[0]
