"""Networks drawn at random: what the readings say of one is what happens when it runs.

The layers, their settings and the branches are drawn by hypothesis; the arrays by NumPy, from a seed. In float64, so
that equal means equal but for the order of sums.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradient_support import compare
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import jaxcnn
from jaxcnn import rewrite, spec
from jaxcnn.spec import Graph, Leaf, Spec, add, concat, mul, seq

pytestmark = pytest.mark.usefixtures("float64")

SHAPE = (7, 6, 4)
small = st.integers(1, 3)
pair = st.tuples(small, small)


def on_images() -> st.SearchStrategy[Leaf]:
    """Layers that take any image of four channels or more; those that shrink it are kept small."""
    paddings = st.sampled_from(["half", "same", 1, ((1, 0), (0, 2))])
    return st.one_of(
        st.builds(spec.Conv, st.sampled_from([2, None]), pair, small, paddings, st.integers(1, 2), bias=st.booleans()),
        st.builds(spec.Conv, st.just(None), pair, padding=st.just("half"), groups=st.just(None)),
        st.builds(spec.ConvTranspose, st.just(4), st.integers(2, 3), st.integers(1, 2), st.just(1)),
        st.builds(spec.Pool, st.sampled_from(["max", "avg"]), st.integers(2, 3), small, st.just(1)),
        st.builds(spec.Upsample, st.integers(1, 2), st.sampled_from(["nearest", "bilinear"])),
        st.builds(spec.Pad, st.sampled_from([1, ((1, 0), (0, 2))])),
        st.builds(spec.Act, st.sampled_from(["relu", "tanh", "gelu"])),
        st.builds(spec.Scale, st.just(0.5), st.booleans()),
        st.sampled_from([spec.BatchNorm(), spec.LayerNorm(), spec.LocalResponseNorm(3), spec.Bias(), spec.Identity()]),
    )  # fmt: skip


def branches() -> st.SearchStrategy[Graph]:
    """Two ways through layers that keep the image's shape, merged."""
    body = st.sampled_from([
        seq(conv=spec.Conv(None), bn=spec.BatchNorm()),
        seq(conv=spec.Conv(None, (1, 3), bias=True), act=spec.Act("tanh")),
        seq(wide=spec.Conv(None, 3, dilation=2)),
        seq(pool=spec.Pool("avg", 3, 1, 1)),
    ])  # fmt: skip
    return st.builds(
        lambda merge, one, other, then: merge(left=one, right=other, then=then),
        st.sampled_from([add, mul, concat]), body, st.one_of(body, st.just(spec.Identity())),
        st.sampled_from([spec.Identity(), spec.Act(), spec.BatchNorm()]),
    )  # fmt: skip


@st.composite
def networks(draw) -> Spec:
    """Up to five layers and branches, that fit the image and do not blow it up."""
    parts: list[Spec] = []
    for _ in range(draw(st.integers(1, 5))):
        part = draw(st.one_of(on_images(), branches()))
        try:
            size = jaxcnn.output_shape(seq(*parts, part), SHAPE)
        except ValueError:  # the image has become too small for it
            continue
        if max(size) <= 24:
            parts.append(part)
    return seq(*parts) if parts else seq(spec.Conv(3))


def drawn(net: Spec) -> tuple[dict, dict, jax.Array]:
    draw = np.random.default_rng(0)
    params, stats = (
        jax.tree.map(lambda array: jnp.asarray(draw.uniform(0.5, 1.5, array.shape)), tree)
        for tree in jaxcnn.abstract(net, SHAPE)
    )
    return params, stats, jnp.asarray(draw.normal(size=(2, *SHAPE)))


few = settings(
    max_examples=12, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)  # fmt: skip
many = settings(few, max_examples=150)


def check_shapes(net: Spec) -> None:
    params, stats, x = drawn(net)
    run = jaxcnn.forward(net, params, stats, x)
    assert run.output.shape[1:] == jaxcnn.output_shape(net, SHAPE)
    shapes = {row.path: row.layout.output for row in jaxcnn.walk(net, SHAPE)}
    for path, activation in run.activations.items():
        assert shapes.get(path, activation.shape[1:]) == activation.shape[1:]


def check_rewrites(net: Spec) -> None:
    """Folded, printed and cut networks compute the same: in float64 to the order of a few sums."""
    params, stats, x = drawn(net)
    run = jaxcnn.forward(net, params, stats, x)
    folded = jaxcnn.apply(*rewrite.fold_batch_norm(net, params, stats), x)[0]
    scale = float(jnp.abs(run.output).max()) + 1e-30
    np.testing.assert_allclose(folded / scale, run.output / scale, atol=1e-12)
    gathered, blocks = rewrite.in_blocks(net)
    for of in frozenset(), blocks:
        np.testing.assert_array_equal(jaxcnn.forward(gathered, params, stats, x, blocks=of).output, run.output)
    again = eval(repr(net), vars(spec))
    np.testing.assert_array_equal(jaxcnn.apply(again, params, stats, x)[0], run.output)
    for path in list(run.activations)[:3]:
        part = jaxcnn.apply(rewrite.cut(net, path), params, stats, x)[0]
        np.testing.assert_allclose(part, run.activations[path], rtol=1e-12)


def check_box(net: Spec) -> None:
    grid = jaxcnn.output_shape(net, SHAPE)[:-1]
    compare(seq(all=net), SHAPE, "all", [(0, 0), (grid[0] // 2, grid[1] // 2), (grid[0] - 1, grid[1] - 1)])


CHECKS = {"shapes": check_shapes, "rewrites": check_rewrites, "box": check_box}


@pytest.mark.parametrize("check", CHECKS)
@few
@given(net=networks())
def test_what_is_said_of_a_network_is_what_it_does(check: str, net: Spec):
    CHECKS[check](net)


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
@many
@given(net=networks())
def test_what_is_said_of_many_networks_is_what_they_do(check: str, net: Spec):
    CHECKS[check](net)
