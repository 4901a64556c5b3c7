"""The hand-written gradient of the convolution, proved in float64 against all that could contradict it."""

from __future__ import annotations

import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from reference import CONVOLUTIONS, Convolution, agree, agree_all, central_difference, random, setting

from jaxcnn import ops
from jaxcnn.ops import products

pytestmark = pytest.mark.usefixtures("float64")


def over(cases: list[Convolution]):
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


every_setting = over(CONVOLUTIONS)
some_settings = over([c for c in CONVOLUTIONS if "strided" in c.name or c.name in ("half", "3-D groups")])
without_padding_or_stride = over([setting(name) for name in ("1-D valid", "valid", "3-D valid")])


def jaxs_own(case: Convolution, x, kernel):
    """The same correlation with lax's gradient rule instead of ours."""
    spatial = "DHW"[-len(case.sizes) :]
    return lax.conv_general_dilated(
        x, kernel, case.stride, case.pairs, rhs_dilation=case.dilation, feature_group_count=case.groups,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
    )  # fmt: skip


def gradients_of(f, *arguments):
    """(dx, dh) that f's rule makes of x, kernel and the output's gradient."""
    *inputs, gradient = map(jnp.asarray, arguments)
    return jax.jit(lambda inputs, gradient: jax.vjp(f, *inputs)[1](gradient))(inputs, gradient)


@cache
def gradients(case: Convolution):
    return gradients_of(lambda x, h: ops.conv(x, h, **case.options), *case.inputs())


@pytest.mark.every(2)
@every_setting
def test_input_gradient_is_what_every_product_of_the_forward_sum_hands_back(case: Convolution):
    _, kernel, gradient = case.inputs()
    agree(gradients(case)[0], case.input_gradient(kernel, gradient))


@every_setting
def test_kernel_gradient_is_the_sum_over_all_places_that_share_the_weight(case: Convolution):
    x, _, gradient = case.inputs()
    agree(gradients(case)[1], case.kernel_gradient(x, gradient))


@every_setting
def test_both_gradients_equal_those_of_jaxs_own_rule(case: Convolution):
    expected = gradients_of(partial(jaxs_own, case), *case.inputs())
    agree_all(gradients(case), expected)


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("places", "window", "padding", "expected"),
    [
        (6, 3, (3, 1), [3, 3, 3, 3, 3, 2]),  # windows at -3 to 4: the last place is seen by two
        (3, 2, (3, 0), [2, 2, 1]),
        (3, 2, (0, 3), [1, 2, 2]),
        (2, 1, (4, 3), [1, 1]),
    ],
)
def test_padding_wider_than_the_window_reaches_adds_nothing(by_xla, dtype, places, window, padding, expected):
    """XLA reads outside of the buffer where the padding of a convolution is negative (openxla/xla#48713)."""
    x, kernel = jnp.ones((1, places, 8), dtype), jnp.ones((window, 8, 8), dtype)
    dx = jax.jit(jax.grad(lambda x: ops.conv(x, kernel, padding=(padding,)).sum()))(x)
    assert (dx[0] == 8 * jnp.asarray(expected, dtype)[:, None]).all()  # each of 8 channels out adds one per window


@some_settings
def test_both_gradients_equal_central_differences(case: Convolution):
    x, kernel, gradient = case.inputs()

    @jax.jit
    def loss(x, kernel):
        return jnp.sum(ops.conv(x, kernel, **case.options) * gradient)

    # The loss is linear in each argument, so the difference has no truncation error and a wide step costs
    # nothing; what remains is the rounding of a loss near 100.
    agree(gradients(case)[0], central_difference(lambda x: loss(x, kernel), x, step=1.0), tolerance=1e-10)
    agree(gradients(case)[1], central_difference(lambda h: loss(x, h), kernel, step=1.0), tolerance=1e-10)


@without_padding_or_stride
def test_input_gradient_is_the_full_convolution_with_the_flipped_kernel(case: Convolution):
    _, kernel, gradient = case.inputs()
    exchanged = jnp.swapaxes(jnp.asarray(kernel), -1, -2)  # the output channels are what is summed over
    agree(gradients(case)[0], ops.convolve(jnp.asarray(gradient), exchanged, padding="full"))


def test_input_gradient_is_the_formula_of_the_lecture():
    """EE 541 unit 8: dx[i, j, k] = sum over m, n, k' of h[-m, -n] dy[i+m, j+n, k'], h from 0 to 2."""
    kernel, gradient = random(4, 3, 3, 2, 4), random(5, 1, 5, 5, 4)
    dx, _ = gradients_of(ops.conv, random(6, 1, 7, 7, 2), kernel, gradient)
    around = np.pad(gradient, ((0, 0), (2, 2), (2, 2), (0, 0)))
    expected = np.zeros((1, 7, 7, 2))
    for i, j, k, m, n in np.ndindex(7, 7, 2, 3, 3):
        expected[0, i, j, k] += around[0, i + m, j + n] @ kernel[2 - m, 2 - n, k]
    agree(dx, expected)


@without_padding_or_stride
def test_kernel_gradient_is_the_correlation_of_input_and_output_gradient(case: Convolution):
    x, _, gradient = map(jnp.asarray, case.inputs())
    # The examples are what is summed over, so they take the place of the input channels.
    images, kernels = jnp.swapaxes(x, 0, -1), jnp.moveaxis(gradient, 0, -2)
    agree(gradients(case)[1], jnp.moveaxis(ops.conv(images, kernels), 0, -2))


def test_gradient_of_a_shared_weight_is_the_sum_over_its_paths():
    """Give every place of the output a kernel of its own, differentiate, and add up what the kernels got."""
    shapes = (2, 5, 4, 3), (3, 2, 3, 4), (2, 3, 3, 4)
    x, kernel, gradient = (jnp.asarray(random(seed, *shape)) for seed, shape in enumerate(shapes))

    def untied(kernels):
        places = [[x[:, i : i + 3, j : j + 2] for j in range(3)] for i in range(3)]
        return jnp.einsum("pqnuvi,pquvio->npqo", jnp.array(places), kernels)

    kernels = jnp.broadcast_to(kernel, (3, 3, *kernel.shape))
    agree(untied(kernels), ops.conv(x, kernel))
    (apart,) = jax.vjp(untied, kernels)[1](gradient)
    agree(apart.sum((0, 1)), gradients_of(ops.conv, x, kernel, gradient)[1])


def test_two_paths_through_one_weight_add_up():
    """The graph of the lecture: o = s1(w x) s2(w x) has an upper and a lower path from w."""
    x, w = jnp.full((1, 1, 1), 0.7), jnp.full((1, 1, 1), -1.3)

    def output(upper, lower):
        return jnp.sum(jnp.tanh(ops.conv(x, upper)) * jnp.exp(ops.conv(x, lower)))

    paths = jax.grad(output, argnums=(0, 1))(w, w)
    agree(jax.grad(lambda w: output(w, w))(w), paths[0] + paths[1])


def test_bias_gradient_is_the_sum_over_examples_and_places():
    x, kernel, gradient = setting("half").inputs()
    *_, dbias = gradients_of(partial(ops.conv, padding="half"), x, kernel, random(4, 3), gradient)
    agree(dbias, gradient.sum((0, 1, 2)))


NUMPYS_NAMES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("mode", NUMPYS_NAMES)
def test_gradient_flows_back_through_the_padding(mode):
    case = setting("asymmetric pairs")
    padded = Convolution("padded", (7, 7), case.window, case.stride, 0, ((0, 0), (0, 0)))

    def expected(x, h):
        return jaxs_own(padded, jnp.pad(x, ((0, 0), *case.pairs, (0, 0)), mode=NUMPYS_NAMES[mode]), h)

    ours = gradients_of(lambda x, h: ops.conv(x, h, padding_mode=mode, **case.options), *case.inputs())
    agree_all(ours, gradients_of(expected, *case.inputs()))


@pytest.mark.every(2)
@some_settings
def test_gradient_of_the_gradient_equals_that_of_jaxs_own_rule(case: Convolution):
    x, kernel, _ = map(jnp.asarray, case.inputs())

    def curvature(conv):
        def loss(x, kernel):
            return jnp.sum(jnp.sin(conv(x, kernel)))

        def slope(x, kernel):
            return sum(jnp.sum(jnp.square(g)) for g in jax.grad(loss, argnums=(0, 1))(x, kernel))

        return jax.jit(jax.grad(slope, argnums=(0, 1)))(x, kernel)

    theirs = curvature(partial(jaxs_own, case))
    agree_all(curvature(lambda x, h: ops.conv(x, h, **case.options)), theirs)


STRIDED = setting("dilated, strided, padded")


def strided_loss(x, kernel):
    return jnp.sum(jnp.sin(ops.conv(x, kernel, **STRIDED.options)))


def test_a_batch_of_kernels_under_vmap_has_the_gradients_of_one_kernel_after_the_other():
    x, kernels = random(1, 2, *STRIDED.sizes, 2), random(2, 4, *STRIDED.window, 2, 3)
    gradient = jax.grad(strided_loss, argnums=(0, 1))
    together = jax.jit(jax.vmap(gradient, in_axes=(None, 0)))(x, kernels)
    alone = [jax.jit(gradient)(x, kernel) for kernel in kernels]
    agree_all(together, map(np.stack, zip(*alone, strict=True)))


def test_gradient_under_jit_is_the_gradient_without():
    x, kernel, _ = map(jnp.asarray, STRIDED.inputs())
    gradient = jax.grad(strided_loss, argnums=(0, 1))
    agree_all(jax.jit(gradient)(x, kernel), gradient(x, kernel))


def test_gradient_inside_scan_is_the_gradient_of_the_loop():
    kernel = jnp.asarray(random(1, *STRIDED.window, 2, 3))
    batches = jnp.asarray(random(2, 3, 2, *STRIDED.sizes, 2))
    gradient = jax.jit(jax.grad(strided_loss, argnums=1))

    def step(kernel, x):
        slope = gradient(x, kernel)
        return kernel - 0.1 * slope, slope

    last, slopes = lax.scan(step, kernel, batches)
    for x, slope in zip(batches, slopes, strict=True):
        expected = gradient(x, kernel)
        agree(slope, expected)
        kernel = kernel - 0.1 * expected
    agree(last, kernel)


@jax.custom_vjp
def explicit(x, kernel):
    """A convolution, and its gradient written out: the convolution of the gradient with the flipped kernel."""
    return ops.conv(x, kernel)


def explicit_backward(residuals, gradient):
    x, kernel = residuals
    dx = ops.convolve(gradient, jnp.swapaxes(kernel, -1, -2), padding="full")
    images, kernels = jnp.swapaxes(x, 0, -1), jnp.moveaxis(gradient, 0, -2)
    return dx, jnp.moveaxis(ops.conv(images, kernels), 0, -2)


explicit.defvjp(lambda x, kernel: (ops.conv(x, kernel), (x, kernel)), explicit_backward)


@without_padding_or_stride
def test_gradients_are_those_of_an_explicit_custom_vjp_with_the_flipped_kernel(case: Convolution):
    agree_all(gradients(case), gradients_of(explicit, *case.inputs()))


def test_conv_carries_its_own_rule():
    """How it moves is a linear function with a transpose of its own: neither is left to the rules of lax."""
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    moved = jax.make_jaxpr(lambda *along: jax.linearize(ops.conv, x, kernel)[1](*along))(x, kernel)
    names = [equation.primitive.name for equation in moved.eqns]
    assert names.count("jaxcnn_linear") == 2 and "conv_general_dilated" not in names
    product = products.correlate
    assert isinstance(product, jax.custom_jvp) and "name=correlate" in str(jax.make_jaxpr(ops.conv)(x, kernel))


@some_settings
def test_forward_mode_is_the_convolution_of_what_moves(case: Convolution):
    """It is linear in each argument: the closed form needs no derivative."""
    x, kernel, _ = case.inputs()
    along = random(1, *x.shape), random(2, *kernel.shape)
    _, moved = jax.jit(lambda *given: jax.jvp(lambda x, h: ops.conv(x, h, **case.options), given[:2], given[2:]))(
        *map(jnp.asarray, (x, kernel, *along))
    )
    agree(moved, case.correlate(along[0], kernel) + case.correlate(x, along[1]))


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("channels", "width", "window", "options"),
    [
        (8, 8, 3, {}),
        (8, 8, 3, {"stride": 2}),
        (8, 8, 7, {"stride": 2}),
        (8, 8, 1, {"stride": 2}),
        (8, 8, 3, {"groups": 8}),
        (64, 64, 3, {"groups": 2}),
        (64, 64, 3, {"groups": 32}),
        (1, 6, 5, {}),
        (3, 32, 3, {}),
        (48, 64, 3, {"dilation": 2}),
    ],
    ids=str,
)
def test_gradient_inside_scan_holds_canonical_convolutions_only(by_xla, channels, width, window, options):
    """XLA:CPU runs a convolution of any other layout in a naive loop there (jax#12868)."""

    def train(kernel, batches):
        def loss(kernel, x):
            y = ops.conv(jnp.tanh(x), kernel, padding="half", **options)
            return jnp.sum(jnp.sin(y)), jnp.sum(y)

        def step(kernel, x):
            dx = jax.grad(lambda x: loss(kernel, x)[0])(x)
            return kernel - 0.1 * jax.grad(loss, has_aux=True)(kernel, x)[0], dx.sum()

        return lax.scan(step, kernel, batches)

    # Channels and batch large enough that XLA has a reason to choose; float32, as in training.
    kernel = jnp.ones((window, window, channels // options.get("groups", 1), width), jnp.float32)
    batches = jnp.ones((4, 32, 12, 12, channels), jnp.float32)
    compiled = str(jax.jit(train).lower(kernel, batches).compile().as_text())
    layouts = set(re.findall(r"dim_labels=(\S+?_\S+?->\w+)", compiled))
    assert layouts <= {"b01f_01io->b01f"}
    assert layouts or window == 1 or options.get("groups") == channels  # these have no convolution at all


@over([setting(name) for name in ("1x1, stride 2", "depthwise, stride 2", "3-D groups")])
def test_where_there_is_a_gpu_the_lowered_program_asks_for_the_platform(
    case: Convolution, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    x, kernel, gradient = case.inputs()

    def products(x, kernel, gradient):
        y, backward = jax.vjp(lambda x, kernel: ops.conv(x, kernel, **case.options), x, kernel)
        return y, *backward(gradient)

    assert "platform_index" in str(jax.make_jaxpr(products)(x, kernel, gradient))
    expected = case.correlate(x, kernel), case.input_gradient(kernel, gradient), case.kernel_gradient(x, gradient)
    agree_all(jax.jit(products)(x, kernel, gradient), expected)  # the branch of the CPU, which it is after all
