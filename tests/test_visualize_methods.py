"""Explanations against their closed forms, in float64: rounding alone is allowed, 1e-12 of values around 1."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import ops, rewrite
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, GlobalPool, Identity, Pool, Spec, add, mul, seq
from jaxcnn.visualize import deconvnet, explain, gradcam, occlusion
from jaxcnn.visualize.cam import enlarge
from jaxcnn.visualize.covering import _field_of, _reaching, ablation, occlusions, spread, windows_over
from jaxcnn.visualize.field import effective_field
from jaxcnn.visualize.gradients import integrated_gradients, rectified, saliency, score_of
from jaxcnn.visualize.paths import before_activation, places, stages
from jaxcnn.visualize.scores import Logit, LogProbability, Margin, Probability, Total, Unit

SHAPE = (6, 5, 2)
LINEAR = seq(flatten=Flatten(), fc=Dense(3))
CAM = seq(
    conv1=Conv(4, bias=True), bn1=BatchNorm(), act1=Act(), pool=Pool("max", 2), conv2=Conv(5, bias=True), act2=Act(),
    gap=GlobalPool(), fc=Dense(3),
)  # fmt: skip
HOMOGENEOUS = seq(
    conv1=Conv(4), act1=Act(), pool=Pool("max", 2), block=add(Conv(4), Identity(), then=Act()), flatten=Flatten(),
    fc=Dense(3, bias=False),
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("float64")


def drawn(net: Spec, shape: tuple[int, ...] = SHAPE, count: int = 2, *, positive: bool = False):
    """A network's arrays and images, none of them zero: as normal numbers, or as positive ones. NumPy's are quicker."""
    rng = np.random.default_rng(7)

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(0.3, 1, shape) if name == "var" or positive else rng.normal(0, 0.5, shape)

    params, stats = (
        {path: {name: array(name, of.shape) for name, of in arrays.items()} for path, arrays in tree.items()}
        for tree in jaxcnn.abstract(net, shape)
    )
    images = rng.normal(size=(count, *shape))
    return params, stats, abs(images) if positive else images


@partial(jax.jit, static_argnums=0)
def run(net: Spec, params, stats, x) -> tuple:
    """The output and all activations."""
    found = jaxcnn.forward(net, params, stats, x)
    return found.output, found.activations


def close(one, other, tolerance: float = 1e-12) -> bool:
    return bool(np.abs(np.asarray(one) - np.asarray(other)).max() <= tolerance)


CLASSES = np.array([2, 0])  # of the two images


def test_every_method_of_a_linear_network_is_its_row_of_weights():
    params, stats, x = drawn(LINEAR)
    rows = params["fc"]["kernel"].T.reshape(3, *SHAPE)[CLASSES]
    assert close(saliency(LINEAR, params, stats, x, CLASSES), rows)
    for rule in "guided", "deconvnet":
        assert close(rectified(LINEAR, params, stats, x, CLASSES, rule), rows)
    black = 0.3
    for steps in 1, 3:
        found = integrated_gradients(LINEAR, params, stats, x, CLASSES, baseline=black, steps=steps)
        assert close(found.attributions, (x - black) * rows) and close(found.residual, 0)
    assert close(explain(LINEAR, params, stats, x, CLASSES, "saliency").map, abs(rows).max(-1))
    made = explain(LINEAR, params, stats, x, CLASSES, "integrated_gradients", baseline=black)
    assert close(made.map, ((x - black) * rows).sum(-1))
    assert close(made.values, [np.asarray(run(LINEAR, params, stats, x)[0])[i, c] for i, c in enumerate(CLASSES)])


def test_occlusion_of_a_linear_network_is_the_sum_over_each_window():
    params, stats, x = drawn(LINEAR)
    kernel = np.asarray(params["fc"]["kernel"].T.reshape(3, *SHAPE))
    for fill, cover in (0.25, 0.25), ("mean", np.asarray(x.mean((1, 2), keepdims=True))):
        drops = np.asarray(occlusion(LINEAR, params, stats, x, (3, 2), (2, 2), fill))
        assert drops.shape == (2, 3, 3, 3)  # rows 0, 2, 4 (cut to 2 of 3); columns 0, 2, 4 (cut to 1 of 2)
        share = kernel[None] * (np.asarray(x) - cover)[:, None]  # (N, classes, H, W, C)
        for row, column in np.ndindex(3, 3):
            window = share[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2]
            assert close(drops[:, row, column], window.sum((2, 3, 4)))
    one = occlusion(LINEAR, params, stats, x, (3, 2), (2, 2), "mean", score=Logit(CLASSES))
    assert close(one, drops[np.arange(2), :, :, CLASSES])
    maps = spread(one, windows_over(SHAPE, (3, 2), (2, 2)), SHAPE[:2])
    both = (np.asarray(one)[:, 0, 0] + np.asarray(one)[:, 1, 0]) / 2  # row 2 lies under the first two windows of rows
    assert close(maps[:, 2, 0], both) and close(maps[:, 5, 4], np.asarray(one)[:, 2, 2])


def test_disjoint_windows_of_a_linear_network_sum_up_and_one_over_all_is_the_whole_difference():
    params, stats, x = drawn(LINEAR)
    logits, covered = (np.asarray(run(LINEAR, params, stats, each)[0]) for each in (x, jnp.full_like(x, 0.5)))
    assert close(occlusion(LINEAR, params, stats, x, (3, 5), (3, 5), 0.5).sum((1, 2)), logits - covered)
    params, stats, x = drawn(CAM)
    logits, covered = (np.asarray(run(CAM, params, stats, each)[0]) for each in (x, jnp.full_like(x, 0.5)))
    assert close(occlusion(CAM, params, stats, x, SHAPE[:2], 1, 0.5)[:, 0, 0], logits - covered)
    assert close(occlusion(CAM, params, stats, x, 1, 1, x), 0)


def test_gradcam_before_a_global_mean_is_the_class_activation_map():
    params, stats, x = drawn(CAM)
    features = np.asarray(np.asarray(run(CAM, params, stats, x)[1]["act2"]))
    logits, weights = np.asarray(np.asarray(run(CAM, params, stats, x)[0])), np.asarray(params["fc"]["kernel"])
    cam = np.einsum("nhwc,cn->nhw", features, weights[:, CLASSES])
    ours = gradcam(CAM, params, stats, x, CLASSES)
    places = features.shape[1] * features.shape[2]
    assert list(ours) == ["act2"] and close(places * ours["act2"], cam)
    chosen, bias = logits[np.arange(2), CLASSES], np.asarray(params["fc"]["bias"])[CLASSES]
    assert close(cam.mean((1, 2)) + bias, chosen)
    precise = gradcam(CAM, params, stats, x, CLASSES, "act2", kind="hirescam")["act2"]
    assert close(precise, ours["act2"]) and close(np.asarray(precise).sum((1, 2)) + bias, chosen)
    # g is constant over the places: alpha = 1 / (2 + g sum A), weights = places relu(g) alpha
    slope = weights[:, CLASSES].T / places
    alphas = 1 / (2 + slope * features.sum((1, 2)))
    expected = np.einsum("nhwc,nc->nhw", features, places * np.maximum(slope, 0) * alphas)
    assert close(gradcam(CAM, params, stats, x, CLASSES, "act2", kind="gradcam++")["act2"], expected)


@pytest.mark.slow
def test_gradcam_at_every_stage_is_that_of_each_alone_and_its_definition():
    params, stats, x = drawn(CAM)
    ours = gradcam(CAM, params, stats, x, CLASSES, "stages")
    assert list(ours) == ["act1", "act2"] == stages(CAM, SHAPE)
    features = np.asarray(run(CAM, params, stats, x)[1]["act1"])

    def from_there(features):
        pooled = ops.max_pool(features, 2)
        maps = jax.nn.relu(ops.conv(pooled, params["conv2"]["kernel"], params["conv2"]["bias"], padding=1))
        logits = maps.mean((1, 2)) @ params["fc"]["kernel"] + params["fc"]["bias"]
        return logits[jnp.arange(2), CLASSES].sum()

    weights = np.asarray(jax.grad(from_there)(features)).mean((1, 2), keepdims=True)
    assert close(ours["act1"], (np.asarray(features) * weights).sum(-1))
    assert close(ours["act1"], gradcam(CAM, params, stats, x, CLASSES, "act1")["act1"])


@pytest.mark.slow
def test_gradcam_plus_plus_is_equation_19_at_a_layer_with_gradients_of_every_kind():
    params, stats, x = drawn(CAM)
    features = np.asarray(run(CAM, params, stats, x)[1]["act1"])
    change = jnp.zeros_like(features)
    edited = jax.grad(
        lambda zero: (
            jaxcnn.forward(CAM, params, stats, x, edits={"act1": lambda y: y + zero})
            .output[jnp.arange(2), CLASSES]
            .sum()
        )
    )(change)
    expected = np.zeros(features.shape[:3])
    for n, k in np.ndindex(2, features.shape[-1]):
        values, slope = np.asarray(features[n, ..., k]), np.asarray(edited[n, ..., k])
        weight = 0.0
        for place in np.ndindex(values.shape):
            if slope[place] > 0:
                weight += slope[place] ** 3 / (2 * slope[place] ** 2 + values.sum() * slope[place] ** 3)
        expected[n] += weight * values
    assert close(gradcam(CAM, params, stats, x, CLASSES, "act1", kind="gradcam++")["act1"], expected)


def test_integrated_gradients_are_complete_and_the_middle_of_each_step_counts():
    params, stats, x = drawn(CAM)
    start = jnp.full_like(x, 0.1)
    found = integrated_gradients(CAM, params, stats, x, CLASSES, baseline=start, steps=400)
    both = [score_of(CAM, params, stats, each, Logit(CLASSES)) for each in (x, start)]
    total = np.asarray(found.attributions).sum((1, 2, 3))
    assert close(found.residual, (both[0] - both[1]) - total)
    # 400 steps of a gradient that changes at some tens of bends: each step with a bend is wrong by less than its share
    assert (abs(np.asarray(found.residual)) < 0.02 * abs(np.asarray(both[0] - both[1]))).all()
    # Of w x^3 the gradient is 3 w (t x)^2 along the line: the middles of n steps make w x^3 (1 - 1 / (4 n^2)) of it.
    net = seq(cube=mul(one=Identity(), two=Identity(), three=Identity()), flatten=Flatten(), fc=Dense(3))
    params, stats, x = drawn(net)
    weights = params["fc"]["kernel"][:, CLASSES].T.reshape(x.shape)
    made = integrated_gradients(net, params, stats, x, CLASSES, steps=3)
    assert close(made.attributions, weights * x**3 * (1 - 1 / 36))


@pytest.mark.slow
def test_folding_batch_norm_changes_no_explanation():
    params, stats, x = drawn(CAM)
    folded, fewer, rest = rewrite.fold_batch_norm(CAM, params, stats)
    assert "bn1" not in fewer
    for method in "saliency", "gradcam":
        one, other = (
            explain(*arrays, x, CLASSES, method).map for arrays in ((CAM, params, stats), (folded, fewer, rest))
        )
        assert close(one, other)


def test_gradient_times_image_is_the_logit_of_a_homogeneous_network():
    params, stats, x = drawn(HOMOGENEOUS)
    gradient = saliency(HOMOGENEOUS, params, stats, x, CLASSES)
    logits = np.asarray(run(HOMOGENEOUS, params, stats, x)[0])[np.arange(2), CLASSES]
    assert close((gradient * x).sum((1, 2, 3)), logits)
    assert close(integrated_gradients(HOMOGENEOUS, params, stats, x, CLASSES, steps=2).attributions, gradient * x)


@pytest.mark.slow
def test_a_projection_is_linear_in_its_activation_and_of_a_dead_unit_it_is_zero():
    params, stats, x = drawn(HOMOGENEOUS)
    activations = np.asarray(np.asarray(run(HOMOGENEOUS, params, stats, x)[1]["block"]))
    channel = int(activations.max((0, 1, 2)).argmax())
    found = deconvnet(HOMOGENEOUS, params, stats, x, "block", channel)
    assert close(found.values, activations[..., channel].max((1, 2)))
    from_one = rectified(HOMOGENEOUS, params, stats, x, Unit("block", channel, tuple(found.places.T)), "deconvnet")
    assert close(found.projections, found.values[:, None, None, None] * from_one) and (found.values > 0.1).all()
    dead = np.argwhere((activations == 0).all(0))[0]
    silent = deconvnet(HOMOGENEOUS, params, stats, x, "block", int(dead[2]), (int(dead[0]), int(dead[1])))
    assert (silent.projections == 0).all()


def test_what_guided_and_deconvnet_send_back_is_what_they_say():
    """By hand, from the output: linear steps back, and at each rectifier its rule."""
    net = seq(conv1=Conv(4), act1=Act(), conv2=Conv(4), act2=Act(), flatten=Flatten(), fc=Dense(3, bias=False))
    params, stats, x = drawn(net)
    run = jaxcnn.forward(net, params, stats, x)
    dy = params["fc"]["kernel"][:, CLASSES].T.reshape(run.activations["act2"].shape)
    for rule in "guided", "deconvnet", "gradient":
        sent = dy
        for number in 2, 1:
            mask = run.activations[f"conv{number}"] > 0
            rules = {
                "gradient": jnp.where(mask, sent, 0.0), "deconvnet": jnp.maximum(sent, 0.0),
                "guided": jnp.where(mask, jnp.maximum(sent, 0.0), 0.0),
            }  # fmt: skip
            assert rule == "gradient" or (rules[rule] >= 0).all()
            sent = ops.convolve(rules[rule], params[f"conv{number}"]["kernel"].swapaxes(-1, -2), padding=1)
        if rule == "gradient":
            assert close(saliency(net, params, stats, x, CLASSES), sent)
        else:
            assert close(rectified(net, params, stats, x, CLASSES, rule), sent), rule


@pytest.mark.slow
def test_the_rules_agree_where_all_weights_are_positive():
    params, stats, x = drawn(HOMOGENEOUS, positive=True)
    gradient = saliency(HOMOGENEOUS, params, stats, x, CLASSES)
    assert (gradient > 0).any()
    for rule in "guided", "deconvnet":
        assert close(rectified(HOMOGENEOUS, params, stats, x, CLASSES, rule), gradient)


def test_the_deconvnet_of_a_window_of_zeros_goes_to_its_first_place():
    """As explicit switches say: ties are the first place's, which a gradient never shows, for it is masked there."""
    net = seq(act1=Act(), pool=Pool("max", 2), conv2=Conv(1, 1))
    params = {"conv2": {"kernel": jnp.ones((1, 1, 1, 1))}}
    x = jnp.asarray([[[-1.0, -2.0, 1.0, 3.0], [-3.0, -4.0, 2.0, 0.5]]]).reshape(1, 2, 4, 1)
    pooled, switches = ops.max_pool_with_indices(jax.nn.relu(x), 2)
    expected = ops.max_unpool(jnp.ones_like(pooled), switches, (2, 4))
    found = rectified(net, params, {}, x, Total("conv2", 0), "deconvnet")
    assert np.argwhere(np.asarray(found)[0, ..., 0]).tolist() == [[0, 0], [0, 3]] and close(found, expected)


def test_nothing_outside_of_the_receptive_field_counts_and_all_inside_does():
    net = seq(
        conv1=Conv(3, padding=0), act1=Act(), pool=Pool("max", 2), conv2=Conv(3, padding=0), act2=Act(),
        gap=GlobalPool(), fc=Dense(3),
    )  # fmt: skip
    shape = (12, 13, 2)
    params, stats, x = drawn(net, shape, 12)
    (top, bottom), (left, right) = jaxcnn.receptive_field(net, shape, "conv2", (1, 2))
    unit = Unit("conv2", 1, (1, 2))
    inside = np.zeros(shape[:2], bool)
    inside[top:bottom, left:right] = True
    maps = [saliency(net, params, stats, x, unit)]
    maps += [rectified(net, params, stats, x, unit, rule) for rule in ("guided", "deconvnet")]
    for gradient in maps:
        seen = (np.asarray(gradient) != 0).any(-1)
        assert not seen[:, ~inside].any()
        rows, columns = (
            np.flatnonzero(seen.any((0, axis))) for axis in (2, 1)
        )  # over all images: a pool sees one place
        assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (top, bottom, left, right)
    drops = np.asarray(occlusion(net, params, stats, x, 1, 1, 0.0, score=unit))
    assert (drops[:, ~inside] == 0).all() and (drops[:, inside] != 0).any()


@pytest.mark.slow
def test_the_map_of_a_moved_image_is_the_moved_map():
    net = seq(conv1=Conv(4), act1=Act(), pool=Pool("max", 2), conv2=Conv(4), act2=Act(), gap=GlobalPool(), fc=Dense(3))
    params, stats, x = drawn(net, (16, 16, 2), 1)
    small = jnp.zeros((1, 24, 24, 2)).at[:, 4:12, 4:12].set(x[:, :8, :8])
    moved = jnp.roll(small, (2, 4), (1, 2))  # one and two jumps of 2 pixels
    one, other = (np.asarray(gradcam(net, params, stats, each, 1, "act2")["act2"]) for each in (small, moved))
    # The weights are means over the places, and what leaves the border is the same: nothing stands there.
    assert close(np.roll(one, (1, 2), (1, 2)), other) and np.ptp(one) > 1e-3


@pytest.mark.slow
def test_equal_classes_have_equal_maps_and_a_constant_added_to_all_logits_changes_none():
    params, stats, x = drawn(CAM)
    kernel = params["fc"]["kernel"]
    twice = params | {"fc": {"kernel": kernel[:, [0, 0, 2]], "bias": params["fc"]["bias"]}}
    for method in "saliency", "gradcam", "gradcam++":
        one, other = (explain(CAM, twice, stats, x, number, method).map for number in (0, 1))
        assert close(one, other, 0)
    raised = params | {"fc": params["fc"] | {"bias": params["fc"]["bias"] + 5}}
    for score in Logit(1), LogProbability(1):
        assert close(saliency(CAM, params, stats, x, score), saliency(CAM, raised, stats, x, score))


@pytest.mark.slow
def test_the_gradient_of_a_log_probability_is_softmaxs_and_that_of_a_probability_vanishes_near_one():
    params, stats, x = drawn(CAM)
    shares = jax.nn.softmax(np.asarray(run(CAM, params, stats, x)[0]))
    rows = jnp.stack([saliency(CAM, params, stats, x, number) for number in range(3)])
    mean = jnp.einsum("nk,knhwc->nhwc", shares, rows)
    assert close(saliency(CAM, params, stats, x, LogProbability(1)), rows[1] - mean)
    assert close(saliency(CAM, params, stats, x, Probability(1)), shares[:, 1, None, None, None] * (rows[1] - mean))
    assert close(saliency(CAM, params, stats, x, Margin(1, 2)), rows[1] - rows[2])
    sure = params | {"fc": params["fc"] | {"bias": jnp.asarray([0.0, 40.0, 0.0])}}
    assert abs(saliency(CAM, sure, stats, x, Probability(1))).max() < 1e-12 < abs(rows[1]).max()


@pytest.mark.slow
def test_the_effective_field_of_uniform_kernels_has_the_binomials_variance():
    depth, size = 4, 3
    net = seq(*(Conv(1, size) for _ in range(depth)))
    params = {str(number): {"kernel": jnp.ones((size, size, 1, 1))} for number in range(depth)}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 15, 15, 1)))
    profile = np.asarray(saliency(net, params, {}, x, Unit("3", 0, (7, 7))))[0, ..., 0].sum(1)
    profile /= profile.sum()
    at = np.arange(15)
    assert close(profile @ at, 7) and close(profile @ (at - 7) ** 2, depth * (size**2 - 1) / 12)  # Luo et al. 2016


def test_the_effective_field_is_the_mean_of_absolute_gradients_inside_of_the_box():
    depth, size = 3, 3
    net = seq(*(Conv(2, size) for _ in range(depth)))
    params = {str(n): {"kernel": np.ones((size, size, 1 if n == 0 else 2, 2))} for n in range(depth)}
    found = effective_field(net, params, {}, np.zeros((5, 15, 13, 1)), "2")
    assert found.place == (7, 6) and found.box == [(4, 11), (3, 10)]
    line = np.convolve(np.convolve(np.ones(3), np.ones(3)), np.ones(3))
    assert close(found.map[4:11, 3:10], 2**depth * np.outer(line, line)) and found.map.sum() == 2**depth * 27**2
    variance = depth * (size**2 - 1) / 12  # Luo et al. 2016
    assert np.allclose(found.deviations, np.sqrt(variance), rtol=1e-12)
    assert found.share == (np.outer(line, line) >= 0.0455 * 49).mean() < 1
    # of a rectifier that some images silence, the mean counts each image once, also in a batch that is filled up
    net, images = seq(act=Act(), conv=Conv(1, 1)), np.random.default_rng(0).normal(size=(131, 3, 3, 1))
    found = effective_field(net, {"conv": {"kernel": np.full((1, 1, 1, 1), -2.0)}}, {}, images, "conv", (1, 0))
    assert found.map[1, 0] == pytest.approx(2 * (images[:, 1, 0] > 0).mean()) and np.count_nonzero(found.map) == 1


@pytest.mark.slow
def test_windows_of_several_sizes_in_one_call_are_those_of_each_alone():
    params, stats, x = drawn(LINEAR)
    sizes, strides = [(3, 2), 1, 4], [2, 3, None]
    for score in None, Logit(CLASSES):
        found = occlusions(LINEAR, params, stats, x, sizes, strides, 0.25, score=score)
        for drops, size, stride in zip(found, sizes, strides, strict=True):
            assert close(drops, occlusion(LINEAR, params, stats, x, size, stride, 0.25, score=score))


def test_the_drop_without_a_channel_of_the_last_features_is_its_mean_times_its_weight():
    params, stats, x = drawn(CAM)
    means = np.asarray(run(CAM, params, stats, x)[1]["act2"]).mean((1, 2))
    assert close(ablation(CAM, params, stats, x, "act2"), means[..., None] * params["fc"]["kernel"])


def test_windows_that_cannot_reach_a_unit_are_not_computed_and_change_it_by_nothing():
    params, stats, x = drawn(CAM, (12, 11, 2))
    for unit in Unit("conv2", 1, (4, 1)), Unit("conv2", np.array([0, 3]), (np.array([0, 1]), np.array([1, 1]))):
        skipped = np.asarray(occlusion(CAM, params, stats, x, (3, 2), 2, 0.1, score=unit))
        pairs = np.argwhere(np.ones(skipped.shape[1:]))
        every = np.stack(
            [
                np.asarray(score_of(CAM, params, stats, x, unit))
                - np.asarray(score_of(CAM, params, stats, _covered(x, 2 * row, 2 * column), unit))
                for row, column in pairs
            ],
            1,
        )
        assert close(skipped.reshape(every.shape), every) and (skipped == 0).any() and (skipped != 0).any()
    field = _field_of(CAM, (12, 11, 2), Unit("conv2", 1, (4, 1)))
    assert field == jaxcnn.receptive_field(CAM, (12, 11, 2), "conv2", (4, 1)) == [(5, 12), (0, 7)]
    windows = np.array([[2, 5, 0, 2], [3, 6, 0, 2], [3, 6, 6, 8], [3, 6, 7, 9]])
    assert _reaching(windows, field).tolist() == [False, True, True, False]
    assert _field_of(CAM, (12, 11, 2), Logit(0)) is None and _reaching(windows, None).all()


def _covered(x: np.ndarray, row: int, column: int) -> np.ndarray:
    covered = np.array(x)
    covered[:, row : row + 3, column : column + 2] = 0.1
    return covered


@pytest.mark.slow
def test_steps_are_doubled_until_the_sum_is_what_it_promises_and_no_image_gets_worse():
    # Of w x^3 the middles of n steps lack 1 / (4 n^2) of the difference: 1% wants 5 steps, so 1, 2, 4, 8 are tried.
    net = seq(cube=mul(one=Identity(), two=Identity(), three=Identity()), flatten=Flatten(), fc=Dense(3))
    params, stats, x = drawn(net)
    found = integrated_gradients(net, params, stats, x, CLASSES, steps=1, tolerance=0.01)
    weights = params["fc"]["kernel"][:, CLASSES].T.reshape(x.shape)
    assert np.asarray(found.steps).tolist() == [8, 8] and close(found.attributions, weights * x**3 * (1 - 1 / 256))
    assert integrated_gradients(net, params, stats, x, CLASSES, steps=1).steps == 1
    made = explain(net, params, stats, x, CLASSES, "integrated_gradients", steps=1, tolerance=0.01)
    assert made.about == "8 steps" and close(made.map, np.asarray(found.attributions).sum(-1))
    params, stats, x = drawn(CAM, count=5)
    classes = np.array([0, 1, 2, 0, 1])
    one, fine = (integrated_gradients(CAM, params, stats, x, classes, steps=2, tolerance=each) for each in (None, 0.1))
    promised = abs(np.asarray(one.attributions).sum((1, 2, 3)) + np.asarray(one.residual))
    assert (abs(np.asarray(fine.residual)) <= 0.1 * promised).all() and len(set(np.asarray(fine.steps).tolist())) > 1
    first = np.zeros(5, int)  # number of steps that is enough
    for steps in 256, 128, 64, 32, 16, 8, 4, 2:
        lacks = abs(np.asarray(integrated_gradients(CAM, params, stats, x, classes, steps=steps).residual))
        first[lacks <= 0.1 * promised] = steps
    assert np.asarray(fine.steps).tolist() == first.tolist()
    total = np.asarray(fine.attributions).sum((1, 2, 3)) + np.asarray(fine.residual)
    assert close(abs(total), promised)


def test_maps_are_enlarged_between_the_centers_of_their_places():
    maps = np.random.default_rng(0).normal(size=(1, 3, 4))
    size, expected = (7, 8), np.zeros((7, 8))
    at = [np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1) for n, m in zip(size, maps.shape[1:], strict=True)]
    for i, j in np.ndindex(size):
        (row, down), (column, right) = divmod(at[0][i], 1), divmod(at[1][j], 1)
        for (r, a), (c, b) in [
            ((r, a), (c, b)) for r, a in ((0, 1 - down), (1, down)) for c, b in ((0, 1 - right), (1, right))
        ]:
            if a * b:
                expected[i, j] += a * b * maps[0, int(row) + r, int(column) + c]
    assert close(enlarge(jnp.asarray(maps), size)[0], expected)


@pytest.mark.slow
def test_scores_of_many_units_are_each_images_own():
    params, stats, x = drawn(CAM)
    maps = np.asarray(np.asarray(run(CAM, params, stats, x)[1]["conv2"]))
    channels = np.array([3, 1])
    assert close(
        score_of(CAM, params, stats, x, Total("conv2", channels, 2)),
        [(maps[i, ..., c] ** 2).sum() for i, c in enumerate(channels)],
    )
    unit = Unit("conv2", channels, (np.array([0, 2]), np.array([1, 1])))
    assert close(score_of(CAM, params, stats, x, unit), [maps[0, 0, 1, 3], maps[1, 2, 1, 1]])


def test_the_last_features_are_before_the_pool_and_no_auxiliary_heads():
    assert stages(jaxcnn.create("vgg16"), (224, 224, 3))[-1] == "features.29"
    assert stages(jaxcnn.create("resnet20"), (32, 32, 3)) == ["layer1", "layer2", "layer3"]
    assert stages(jaxcnn.create("googlenet"), (224, 224, 3))[-1] == "inception5b"
    with pytest.raises(ValueError, match="no layer whose output is an image"):
        stages(jaxcnn.create("mlp"), (28, 28, 1))
    assert {path for path in places(jaxcnn.create("googlenet"), (224, 224, 3), used=True) if "aux" in path} == set()


@pytest.mark.slow
def test_before_an_activation_stands_what_it_takes():
    params, stats, x = drawn(HOMOGENEOUS)
    before = jaxcnn.apply(before_activation(HOMOGENEOUS, "block"), params, stats, x)[0]
    after = np.asarray(run(HOMOGENEOUS, params, stats, x)[1]["block"])
    assert (before < 0).any() and close(jnp.maximum(before, 0), after)
    same = jaxcnn.apply(before_activation(HOMOGENEOUS, "conv1"), params, stats, x)[0]
    assert close(same, np.asarray(run(HOMOGENEOUS, params, stats, x)[1]["conv1"]))


TANH = seq(conv1=Conv(2), act1=Act("tanh"), late=Conv(2), act2=Act(), gap=GlobalPool(), fc=Dense(3))
REFUSED = {
    "unknown method": (lambda a: explain(*a, 0, "lime"), "there is no method 'lime'; there are: saliency, integrated"),
    "unknown class": (lambda a: explain(*a, 3), "there is no class 3: there are 0 to 2"),
    "negative class": (lambda a: explain(*a, [0, -1]), "there is no class -1"),
    "no whole class": (lambda a: explain(*a, 0.5), "a class is a whole number"),
    "unknown path": (lambda a: gradcam(*a, 0, "act3"), "no layer is called 'act3'; did you mean 'act"),
    "no map": (lambda a: gradcam(*a, 0, "gap"), "layer 'gap' has no map, but 2: choose one before"),
    "another activation": (lambda a: explain(*a, 0, "guided"), "guided is defined for relu, but .act1. is tanh: grad"),
    "a layer for another method": (lambda a: explain(*a, 0, "saliency", "act1"), "saliency has no layer"),
    "a large window": (lambda a: occlusion(*a, 7), "a window of 7x7 is larger than images of 6x5"),
    "no window": (lambda a: occlusion(*a, 0), "a window is a number of pixels from 1"),
    "an unknown fill": (lambda a: occlusion(*a, 2, fill="gray"), "fill is 'mean', a number or an array, not 'gray'"),
    "no step": (lambda a: integrated_gradients(*a, 0, steps=0), "at least 1 step, not 0"),
    "no tolerance": (lambda a: integrated_gradients(*a, 0, tolerance=0.0), "a tolerance is a share above 0, not 0.0"),
    "no image for a field": (lambda a: effective_field(*a[:3], a[3][:0], "conv1"), "mean over images, and there is"),
    "no layer to leave channels out of": (lambda a: ablation(*a, "act3"), "no layer is called 'act3'"),
    "no place of a field": (
        lambda a: effective_field(*a, "conv1", (6, 0)), "no place 6, 0 in layer 'conv1' of 6x5 places",
    ),
    "unknown channel": (lambda a: deconvnet(*a, "conv1", 9), "there is no channel 9 of layer 'conv1': there are 0"),
    "unknown place": (lambda a: deconvnet(*a, "conv1", 0, (6, 0)), "there is no place 6 along a side of layer 'conv1'"),
    "unknown kind": (lambda a: gradcam(*a, 0, kind="layercam"), "one of gradcam, gradcam\\+\\+, hirescam"),
    "no image": (lambda a: explain(*a[:3], a[3][0], 0), "images are \\(N, H, W, C\\), not of 3 dimensions"),
    "training": (
        lambda a: jaxcnn.apply(seq(Act("relu", "guided")), {}, {}, a[3], train=True), "it cannot be trained",
    ),
    "a rule of another activation": (lambda a: jaxcnn.walk(Act("tanh", "guided"), SHAPE), "only relu has a guided"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_explained_gets_a_sentence(what: str):
    ask, sentence = REFUSED[what]
    with pytest.raises(ValueError, match=sentence):
        ask((TANH, *drawn(TANH)))


@pytest.mark.slow
def test_what_stands_behind_a_unit_may_be_any_activation():
    late = seq(conv1=Conv(2), act1=Act(), conv2=Conv(2), act2=Act("tanh"), gap=GlobalPool(), fc=Dense(3))
    params, stats, x = drawn(late)
    assert deconvnet(late, params, stats, x, "act1", 1).values.shape == (2,)
    with pytest.raises(ValueError, match="'act2' is tanh"):
        deconvnet(late, params, stats, x, "act2", 1)
