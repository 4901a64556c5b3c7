"""The convolution's values: against loops, against PyTorch, and every worked example of the lectures."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import ArrayLike
from reference import CONVOLUTIONS, Convolution, agree, random, setting

import jaxcnn
from jaxcnn import ops
from jaxcnn.spec import Conv, Dense, seq

pytestmark = pytest.mark.usefixtures("float64")

MODES: dict[str, Any] = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
VERTICAL, HORIZONTAL = [[1, 0, -1]] * 3, [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]


def digits(text: str) -> np.ndarray:
    """Rows of one-digit pixels: "012 220"."""
    return np.array([[float(pixel) for pixel in row] for row in text.split()])


def correlate(image: ArrayLike, kernel: ArrayLike, **options: Any) -> np.ndarray:
    """One channel in, one channel out."""
    x, h = (np.asarray(a, np.float64) for a in (image, kernel))
    return np.asarray(ops.conv(jnp.asarray(x[None, ..., None]), jnp.asarray(h[..., None, None]), **options))[0, ..., 0]


def convolve(image: ArrayLike, kernel: ArrayLike) -> np.ndarray:
    """True convolution, as large as it gets."""
    x, h = (jnp.asarray(a, jnp.float64) for a in (image, kernel))
    return np.asarray(ops.convolve(x[None, ..., None], h[..., None, None], padding="full"))[0, ..., 0]


@cache
def computed(case: Convolution):
    """y, and (dx, dh)."""

    @jax.jit
    def both(x, kernel, gradient):
        y, back = jax.vjp(lambda x, kernel: ops.conv(x, kernel, **case.options), x, kernel)
        return y, back(gradient)

    return both(*case.inputs())


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: case.name)
def test_value_is_the_sum_of_the_definition(case: Convolution):
    x, kernel, _ = case.inputs()
    y, _ = computed(case)
    assert y.dtype == jnp.float64
    agree(y, case.correlate(x, kernel))


def test_bias_is_added_to_its_own_channel_everywhere():
    x, kernel, _ = map(jnp.asarray, setting("half").inputs())
    bias = jnp.array([10.0, 20.0, 30.0])
    agree(ops.conv(x, kernel, bias) - ops.conv(x, kernel), jnp.broadcast_to(bias, (2, 3, 4, 3)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [(6,), (4, 5), (4, 3, 5)], ids=["1-D", "2-D", "3-D"])
def test_padding_modes_are_those_of_numpy(mode, sizes):
    pairs = ((2, 1), (0, 2), (1, 1))[: len(sizes)]
    x, kernel = random(1, 2, *sizes, 2), random(2, *[2] * len(sizes), 2, 3)
    once = (1,) * len(sizes)
    padded = np.pad(x, ((0, 0), *pairs, (0, 0)), mode=MODES[mode])
    larger = Convolution("", padded.shape[1:-1], (2,) * len(sizes), once, 0, ((0, 0),) * len(sizes), once)
    y = ops.conv(jnp.asarray(x), jnp.asarray(kernel), padding=pairs, padding_mode=mode)
    agree(y, larger.correlate(padded, kernel))


def test_a_number_as_padding_mode_is_the_constant_around_the_image():
    assert correlate([[5.0]], [[1, 2], [3, 4]], padding=((1, 0), (0, 1)), padding_mode=-1.5).item() == -1.5 * 7 + 15


@pytest.mark.parametrize("case", [c for c in CONVOLUTIONS if all(p == q for p, q in c.pairs)], ids=lambda c: c.name)
def test_value_and_gradients_equal_those_of_pytorch(case: Convolution):
    torch = pytest.importorskip("torch")
    x, kernel, gradient = case.inputs()
    images = torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True)
    weight = torch.tensor(kernel.transpose(-1, -2, *range(kernel.ndim - 2)), requires_grad=True)
    theirs = getattr(torch.nn.functional, f"conv{len(case.sizes)}d")(
        images, weight, None, case.stride, [before for before, _ in case.pairs], case.dilation, case.groups
    )
    theirs.backward(torch.tensor(np.moveaxis(gradient, -1, 1)))
    y, (dx, dh) = computed(case)
    agree(y, np.moveaxis(theirs.detach().numpy(), 1, -1))
    agree(dx, np.moveaxis(images.grad.numpy(), 1, -1))
    agree(dh, np.moveaxis(weight.grad.numpy(), (0, 1), (-1, -2)))


@pytest.mark.parametrize("mode", MODES)
def test_padding_modes_and_their_gradients_equal_those_of_pytorch(mode):
    torch = pytest.importorskip("torch")
    x, kernel = random(1, 2, 5, 6, 2), random(2, 3, 3, 2, 3)
    layer = torch.nn.Conv2d(2, 3, 3, 2, (2, 1), bias=False, padding_mode=mode, dtype=torch.float64)
    layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
    images = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    expected = layer(images)
    expected.square().sum().backward()

    def loss(x, h):
        y = ops.conv(x, h, stride=2, padding=(2, 1), padding_mode=mode)
        return jnp.sum(y * y), y

    (dx, dh), y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(x, kernel)
    agree(y, expected.detach().numpy().transpose(0, 2, 3, 1))
    agree(dx, images.grad.numpy().transpose(0, 2, 3, 1), tolerance=1e-10)  # the squares are near 100
    agree(dh, layer.weight.grad.numpy().transpose(2, 3, 1, 0), tolerance=1e-10)


# STAT 453 L13, EE 541 unit 8 (convolution arithmetic), tutorial 06. AlexNet's stem makes 55 of 224 with
# padding 2; its pool makes 27 of that with padding 0 (the deck's (55+4-3)/2+1 is 29).
@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation", "output"),
    [
        (28, 5, 1, 0, 1, 24), (28, 5, 1, 2, 1, 28), (14, 5, 1, 2, 1, 14),
        (4, 3, 1, 0, 1, 2), (5, 3, 1, 1, 1, 5), (5, 3, 1, 2, 1, 7), (6, 3, 2, 1, 1, 3), (7, 3, 1, 0, 2, 3),
        (5, 3, 1, "full", 1, 7), (5, 3, 1, "half", 1, 5),
        (9, 3, 1, 1, 1, 9), (9, 5, 1, 2, 1, 9), (9, 7, 1, 3, 1, 9),
        (9, 4, 1, "same", 1, 9), (9, 3, 2, "same", 1, 5), (8, 3, 2, "same", 1, 4), (8, 2, 1, "causal", 4, 8),
        (224, 11, 4, 2, 1, 55), (55, 3, 2, 0, 1, 27), (55, 3, 2, 2, 1, 29),
    ],
)  # fmt: skip
def test_output_size_is_the_formula_of_the_lectures(size, window, stride, padding, dilation, output):
    y = jax.eval_shape(
        lambda x, h: ops.conv(x, h, stride=stride, padding=padding, dilation=dilation),
        jnp.ones((1, size, size, 1)), jnp.ones((window, window, 1, 1)),
    )  # fmt: skip
    assert y.shape == (1, output, output, 1)


def test_a_5x5_layer_from_1_to_8_channels_has_208_parameters():
    layer, shape = Conv(8, 5, padding=0, bias=True), (28, 28, 1)
    params, _ = jaxcnn.abstract(layer, shape)
    assert {name: array.shape for name, array in params[""].items()} == {"kernel": (5, 5, 1, 8), "bias": (8,)}
    assert jaxcnn.parameter_count(params) == 208
    assert jaxcnn.output_shape(layer, shape) == (24, 24, 8)


A = [[1.1, 1.2, 1.3], [2.1, 2.2, 2.3], [3.1, 3.2, 3.3]]
K = [
    [0.11893535, -0.12021737, 0.2583796],
    [-0.22761738, -0.13269596, -0.02961969],
    [0.17413345, -0.3224947, -0.02875605],
]
PRINTED = 5e-7  # the lecture prints float32 results with seven digits


def test_correlation_and_convolution_are_the_two_numbers_of_the_lecture():
    agree(correlate(A, K), [[-1.1026558]], PRINTED)
    agree(
        ops.convolve(jnp.array(A)[None, ..., None], jnp.array(K)[..., None, None]).ravel(),
        [-0.2611365],
        PRINTED,
    )


def test_convolution_is_correlation_with_the_image_reversed():
    agree(correlate(np.array(A)[::-1, ::-1], K), [[-0.2611365]], PRINTED)


def test_true_convolution_is_associative():
    a, b, c = random(1, 6, 5), random(2, 3, 2), random(3, 2, 3)
    agree(convolve(convolve(a, b), c), convolve(a, convolve(b, c)))


def test_correlation_is_not_associative():
    a, b, c = random(1, 6, 5), random(2, 3, 3), random(3, 3, 3)
    first = correlate(correlate(a, b, padding="full"), c, padding="full")
    second = correlate(a, correlate(b, c, padding="full"), padding="full")
    assert first.shape == second.shape
    assert abs(first - second).max() > 1


def test_a_detector_answers_to_edges_of_its_own_direction_only():
    step = np.repeat([[0.0, 1.0]], 5, axis=1) * np.ones((10, 1))  # dark to the left, bright to the right
    seen = correlate(step, VERTICAL)
    agree(seen, np.tile([0, 0, 0, -3, -3, 0, 0, 0], (8, 1)))
    agree(correlate(step, HORIZONTAL), np.zeros((8, 8)))
    agree(correlate(step.T, HORIZONTAL), seen.T)
    agree(correlate(step.T, VERTICAL), np.zeros((8, 8)))


def test_a_handwritten_one_has_more_vertical_than_horizontal_edge():
    images, labels = pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)
    ones = images.reshape(-1, 8, 8)[labels == 1]
    vertical, horizontal = (np.mean([abs(correlate(one, k)) for one in ones[:20]]) for k in (VERTICAL, HORIZONTAL))
    assert vertical > 2 * horizontal


def test_sharpening_the_image_of_the_lecture():
    image = [
        [60, 113, 56, 139, 85],
        [73, 121, 54, 84, 128],
        [131, 99, 70, 129, 127],
        [80, 57, 115, 69, 134],
        [104, 126, 123, 95, 130],
    ]
    sharp = correlate(image, [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], padding=1)
    assert sharp[0, 0] == 114 == 5 * 60 - 113 - 73
    assert sharp[2, 2] == 5 * 70 - 54 - 99 - 129 - 115
    assert sharp.shape == (5, 5)


def test_the_edge_kernel_is_silent_where_the_image_is_flat():
    edge = -np.ones((3, 3))
    edge[1, 1] = 8
    image = digits("11111 11111 11199 11199")
    agree(correlate(image, edge), [[0, -8, -16], [0, -16, 40]])


@pytest.mark.parametrize(
    ("image", "kernel", "expected"),
    [
        ("33210 00131 31223 20022 20001", "012 220 012", [[12, 12, 17], [10, 17, 19], [9, 6, 14]]),
        (
            "0111000 0011100 0001110 0001100 0011000 0110000 1100000", "101 010 101",
            [[1, 4, 3, 4, 1], [1, 2, 4, 3, 3], [1, 2, 3, 4, 1], [1, 3, 3, 1, 1], [3, 3, 1, 1, 0]],
        ),
        ("11100 01110 00111 00110 01100", "101 010 101", [[4, 3, 4], [2, 4, 3], [2, 3, 4]]),
    ],
    ids=["EE 541 unit 8", "an X over 7x7", "an X over 5x5"],
)  # fmt: skip
def test_small_examples_of_the_lectures(image, kernel, expected):
    agree(correlate(digits(image), digits(kernel)), expected)


SIX = "100001 010010 001100 100010 010010 001010"
DIAGONAL, COLUMN = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]], [[-1, 1, -1]] * 3
DIAGONAL_MAP = [[3, -1, -3, -1], [-3, 1, 0, -3], [-3, -3, 0, 1], [3, -2, -2, -1]]
COLUMN_MAP = [[-1, -1, -1, -1], [-1, -1, -2, 1], [-1, -1, -2, 1], [-1, 0, -4, 3]]


@pytest.mark.parametrize(
    ("kernel", "feature_map", "pooled"),
    [(DIAGONAL, DIAGONAL_MAP, [[3, 0], [3, 1]]), (COLUMN, COLUMN_MAP, [[-1, 1], [0, 3]])],
    ids=["diagonal", "column"],
)
def test_the_6x6_example_with_its_feature_maps_and_pools(kernel, feature_map, pooled):
    y = correlate(digits(SIX), kernel)
    agree(y, feature_map)
    agree(ops.max_pool(jnp.asarray(y)[None, ..., None], 2)[0, ..., 0], pooled)


def test_the_6x6_example_with_stride_2():
    agree(correlate(digits(SIX), DIAGONAL, stride=2), [[3, -3], [-3, 0]])


def test_the_numerical_examples_of_the_tutorial():
    agree(correlate([[12, 3, 19], [25, 10, 1], [9, 7, 17]], [[1, 2], [3, 4]]), [[133, 75], [100, 101]])
    agree(correlate([[2.0, 3.0, 0.0], [2.0, 1.5, 0.5]], np.full((2, 2), 0.5)), [[4.25, 2.5]])


def test_a_3d_convolution_is_the_triple_sum():
    x, h = random(1, 3, 4, 5), random(2, 2, 3, 2)
    y = correlate(x, h)
    assert y.shape == (2, 2, 4)
    for i, j, k in np.ndindex(*y.shape):
        agree(y[i, j, k], np.sum(h * x[i : i + 2, j : j + 3, k : k + 2]))


CAUSAL = seq(*(Conv(1, 2, padding="causal", dilation=dilation) for dilation in (1, 2, 4, 8)))


def test_a_causal_stack_sees_its_own_past_and_never_the_future():
    params = {str(i): {"kernel": jnp.asarray(random(i, 2, 1, 1))} for i in range(4)}

    def at_20(x):
        return jaxcnn.apply(CAUSAL, params, {}, x)[0][0, 20, 0]

    reached = jax.grad(at_20)(jnp.asarray(random(9, 1, 32, 1)))[0, :, 0] != 0
    assert np.flatnonzero(reached).tolist() == list(range(5, 21))
    assert jaxcnn.receptive_field(CAUSAL, (32, 1))["3"].size == 16
    assert jaxcnn.receptive_field(CAUSAL, (32, 1))["3"].interval(20) == (5, 21)


def parameters(layer, shape):
    return jaxcnn.parameter_count(jaxcnn.abstract(layer, shape)[0])


def test_a_3x3_layer_from_16_to_32_channels_has_4640_parameters_and_its_dense_equal_8590065664():
    layer, shape = Conv(32, 3, padding="same", bias=True), (64, 64, 16)
    assert 64 * 64 * 16 == 65_536
    assert jaxcnn.output_shape(layer, shape) == (64, 64, 32)
    assert parameters(layer, shape) == 4_608 + 32 == 4_640
    assert parameters(Dense(131_072), (65_536,)) == 8_590_065_664


def test_depthwise_and_pointwise_together_need_688_parameters():
    depthwise, pointwise = Conv(None, 3, groups=None), Conv(32, 1, bias=True)
    shape = (64, 64, 16)
    assert parameters(depthwise, shape) == 144
    assert parameters(pointwise, shape) == 512 + 32
    assert parameters(seq(depthwise, pointwise), shape) == 688
    assert jaxcnn.output_shape(seq(depthwise, pointwise), shape) == (64, 64, 32)


def test_a_depthwise_convolution_mixes_no_channels():
    x, kernel = random(1, 1, 5, 5, 3), random(2, 3, 3, 1, 3)
    y = ops.conv(jnp.asarray(x), jnp.asarray(kernel), groups=3)
    for c in range(3):
        agree(y[0, ..., c], correlate(x[0, ..., c], kernel[..., 0, c]))


def test_a_pointwise_convolution_is_a_matrix_product_at_every_place():
    x, kernel = random(1, 2, 3, 4, 5), random(2, 1, 1, 5, 6)
    agree(ops.conv(jnp.asarray(x), jnp.asarray(kernel)), x @ kernel[0, 0])


IMAGE, WINDOW = (1, 5, 5, 4), (3, 3, 4, 6)


@pytest.mark.parametrize(
    ("x", "kernel", "options", "message"),
    [
        ((5, 5), (3, 3), {}, r"1 to 3 spatial dimensions.*\(5, 5\) and \(3, 3\)"),
        (IMAGE, (3, 4, 6), {}, r"same rank, not \(1, 5, 5, 4\) and \(3, 4, 6\)"),
        (IMAGE, (3, 3, 3, 6), {}, r"4 channels in 1 groups.*not \(3, 3, 3, 6\)"),
        (IMAGE, WINDOW, {"groups": 2}, r"4 channels in 2 groups.*4/2.*not \(3, 3, 4, 6\)"),
        (IMAGE, (3, 3, 1, 6), {"groups": 4}, r"4 channels in 4 groups.*a multiple of 4"),
        (IMAGE, WINDOW, {"groups": 0}, "conv: groups must be an integer of at least 1, not 0"),
        (IMAGE, WINDOW, {"bias": jnp.ones(5)}, r"6 output channels needs a bias of \(6,\), not \(5,\)"),
        (IMAGE, (6, 3, 4, 6), {}, "6x3 .*does not fit into an input of 5x5"),
        (IMAGE, WINDOW, {"dilation": 3}, r"3x3 \(dilation 3x3\) does not fit into an input of 5x5"),
        (IMAGE, WINDOW, {"stride": 0}, "stride must be an integer of at least 1, or 2 of them, not 0"),
        (IMAGE, WINDOW, {"stride": 1.5}, "stride must be an integer.*not 1.5"),
        (IMAGE, WINDOW, {"stride": (1, 1, 2)}, r"stride.*or 2 of them, not \(1, 1, 2\)"),
        (IMAGE, WINDOW, {"dilation": -1}, "dilation must be an integer of at least 1.*not -1"),
        (IMAGE, WINDOW, {"padding": "center"}, "'center' is not one of valid, half, same, full, causal"),
        (IMAGE, WINDOW, {"padding": -1}, "padding must be an integer of at least 0.*not -1"),
        (IMAGE, WINDOW, {"padding": (1, 2, 3)}, r"each of 2 dimensions, not \(1, 2, 3\)"),
        (IMAGE, WINDOW, {"padding": ((1, 1), (1, -1))}, r"at least 0.*not \(1, -1\)"),
        (
            IMAGE,
            WINDOW,
            {"padding": 1, "padding_mode": "mirror"},
            "'mirror' is not a number and not one of zeros",
        ),
        (
            IMAGE,
            WINDOW,
            {"padding": 5, "padding_mode": "reflect"},
            r"too wide to reflect an input of \(5, 5\)",
        ),
        (
            IMAGE,
            WINDOW,
            {"padding": 6, "padding_mode": "circular"},
            r"too wide to circular an input of \(5, 5\)",
        ),
    ],
)
def test_what_cannot_work_is_an_error_with_the_numbers(x, kernel, options, message):
    with pytest.raises(ValueError, match=message):
        ops.conv(jnp.ones(x), jnp.ones(kernel), **options)


def test_padding_may_be_as_wide_as_each_mode_allows():
    image = np.array([1.0, 2.0, 3.0])
    agree(correlate(image, [1.0], padding=2, padding_mode="reflect"), [3, 2, 1, 2, 3, 2, 1])
    agree(correlate(image, [1.0], padding=3, padding_mode="circular"), [1, 2, 3] * 3)
    agree(correlate(image, [1.0], padding=5, padding_mode="replicate"), [1] * 6 + [2] + [3] * 6)
