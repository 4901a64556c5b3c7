"""Faults that others' explanations had, put into ours one by one: each turns the test red that is meant to find it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


class Fault(NamedTuple):
    """A text of a file in jaxcnn/, what it becomes, and the test that finds it."""

    file: str
    right: str
    wrong: str
    test: str


METHODS, IMAGES, CHECKS = "test_visualize_methods.py", "test_visualize_images.py", "test_visualize_checks.py"
PICTURES = "test_visualize_pictures.py"
FIELD = f"{METHODS}::test_the_effective_field_is_the_mean_of_absolute_gradients_inside_of_the_box"
CAM = f"{METHODS}::test_gradcam_before_a_global_mean_is_the_class_activation_map"
RULES = f"{METHODS}::test_what_guided_and_deconvnet_send_back_is_what_they_say"
LINEAR = f"{METHODS}::test_every_method_of_a_linear_network_is_its_row_of_weights"
WINDOWS = f"{METHODS}::test_occlusion_of_a_linear_network_is_the_sum_over_each_window"
STEP = f"{IMAGES}::test_one_step_is_the_sign_method_targets_are_the_opposite_and_pixels_stay_legal"
FAULTS = {
    "the sum over places instead of the mean": Fault(
        "visualize/cam.py", "gradient.mean((1, 2), keepdims=True)", "gradient.sum((1, 2), keepdims=True)", CAM
    ),
    "ReLU before the sum of channels": Fault(
        "visualize/cam.py", "jnp.sum(features * gradient.mean((1, 2), keepdims=True), -1)",
        "jnp.sum(jnp.maximum(features * gradient.mean((1, 2), keepdims=True), 0), -1)", CAM,
    ),
    "the gradient of a softmax": Fault(
        "visualize/scores.py", "        return _chosen(run.output, self.classes)\n",
        "        return _chosen(jax.nn.softmax(run.output), self.classes)\n", LINEAR,
    ),
    "maps enlarged with aligned corners": Fault(
        "visualize/cam.py", 'return jax.image.resize(maps, (len(maps), *size), "bilinear", antialias=False)',
        "import jaxcnn.ops\n    at = [jnp.linspace(0, n - 1, m) for n, m in zip(maps.shape[1:], size, strict=True)]\n"
        "    return jax.vmap(lambda one: jax.scipy.ndimage.map_coordinates("
        'one, list(jnp.meshgrid(*at, indexing="ij")), 1))(maps)',
        f"{METHODS}::test_maps_are_enlarged_between_the_centers_of_their_places",
    ),
    "guided without the mask of the forward pass": Fault(
        "ops/activation.py", "jnp.where((x > 0) & (dy > 0), dy, jnp.zeros_like(dy))",
        "jnp.maximum(dy, jnp.zeros_like(dy))", RULES,
    ),
    "deconvnet with the mask of the forward pass": Fault(
        "ops/activation.py", "lambda x, dy: jnp.maximum(dy, jnp.zeros_like(dy))",
        "lambda x, dy: jnp.where((x > 0) & (dy > 0), dy, jnp.zeros_like(dy))", RULES,
    ),
    "a tie sent to the last place of its window": Fault(
        "ops/pool.py", "greater = ~(value <= best) & (best == best)", "greater = ~(value < best) & (best == best)",
        f"{METHODS}::test_the_deconvnet_of_a_window_of_zeros_goes_to_its_first_place",
    ),
    "both ends of the line": Fault(
        "visualize/gradients.py", "((numbers.astype(x.dtype) + 0.5) / steps)",
        "(numbers.astype(x.dtype) / max(steps - 1, 1))",
        f"{METHODS}::test_integrated_gradients_are_complete_and_the_middle_of_each_step_counts",
    ),
    "gradients without the difference": Fault(
        "visualize/gradients.py", "attributions = (x - start) * (total / steps)", "attributions = total / steps", LINEAR
    ),
    "rows and columns of windows swapped": Fault(
        "visualize/covering.py", "(rows >= ends[0]) & (rows < ends[1]) & (columns >= ends[2]) & (columns < ends[3])",
        "(columns >= ends[0]) & (columns < ends[1]) & (rows >= ends[2]) & (rows < ends[3])", WINDOWS,
    ),
    "a rise instead of a drop": Fault(
        "visualize/covering.py", "drops = measured(x) - lax.map(part, parts)",
        "drops = lax.map(part, parts) - measured(x)", WINDOWS,
    ),
    "the first window never used": Fault(
        "visualize/covering.py", "first = np.arange(-(-(image - size) // step) + 1) * step",
        "first = (np.arange(-(-(image - size) // step) + 1) + 1) * step", WINDOWS,
    ),
    "epsilon in the network's units": Fault(
        "visualize/attack.py", "moved = changed + sizes * jnp.sign(gradient)",
        "moved = changed + sizes / 4 * jnp.sign(gradient)", STEP,
    ),
    "pixels beyond white and black": Fault(
        "visualize/attack.py", "return jnp.clip(moved, 0, 1), flat", "return moved, flat", STEP
    ),
    "rounding by cutting off": Fault(
        "visualize/attack.py", "np.rint(np.asarray(changed) * 255).astype(np.uint8)",
        "(np.asarray(changed) * 255).astype(np.uint8)",
        f"{IMAGES}::test_what_is_left_after_8_bits_is_a_whole_number_of_steps",
    ),
    "Grad-CAM++ with the cube inside of the sum": Fault(
        "visualize/cam.py", "cubes = features.sum((1, 2), keepdims=True) * gradient**3",
        "cubes = (features * gradient**3).sum((1, 2), keepdims=True)",
        f"{METHODS}::test_gradcam_plus_plus_is_equation_19_at_a_layer_with_gradients_of_every_kind",
    ),
    "Grad-CAM++ that never divides": Fault(
        "visualize/cam.py", "gradient**2 / divisor", "gradient**2",
        f"{METHODS}::test_gradcam_plus_plus_is_equation_19_at_a_layer_with_gradients_of_every_kind",
    ),
    "an image that depends on the others": Fault(
        "visualize/maximization.py", "jax.random.fold_in(key, number)", "jax.random.fold_in(key, number + count)",
        f"{IMAGES}::test_the_image_that_maximizes_a_linear_filter_is_white_where_its_weights_are_above_the_price_of_ink",
    ),
    "neighbors by products alone": Fault(
        "visualize/neighbors.py", "exact = np.sqrt(((vectors[candidates] - query) ** 2).sum(1))",
        "exact = np.sqrt(np.maximum(near[candidates], 0))",
        f"{IMAGES}::test_neighbors_are_exact_and_equal_ones_come_in_their_order",
    ),
    "a constant map in the order of its rows": Fault(
        "visualize/checks.py", "tie = np.asarray(jax.random.uniform(key, flat.shape))", "tie = np.zeros(flat.shape)",
        f"{CHECKS}::test_a_constant_map_is_ranked_by_chance_and_its_correlation_is_none",
    ),
    "the order of deletion turned round": Fault(
        "visualize/checks.py", "np.lexsort((tie, -flat), axis=1)", "np.lexsort((tie, flat), axis=1)",
        f"{CHECKS}::test_the_exact_ranking_of_a_linear_network_is_the_best_of_all",
    ),
    "an effective field of gradients that cancel": Fault(
        "visualize/field.py", "jnp.abs(jax.grad(total)(prepare(images))).mean(-1)",
        "jax.grad(total)(prepare(images)).mean(-1)", FIELD,
    ),
    "images that fill up a batch counted twice": Fault(
        "visualize/field.py", "slopes[: len(images) - start].sum(0)", "slopes.sum(0)", FIELD
    ),
    "windows at the border of a field left out": Fault(
        "visualize/covering.py", "(last_row > top)", "(last_row > top + 1)",
        f"{METHODS}::test_windows_that_cannot_reach_a_unit_are_not_computed_and_change_it_by_nothing",
    ),
    "the field of the first image's unit for all images": Fault(
        "visualize/covering.py", "for place in places])", "for place in sorted(places)[:1]])",
        f"{METHODS}::test_windows_that_cannot_reach_a_unit_are_not_computed_and_change_it_by_nothing",
    ),
    "windows of the next size begun too early": Fault(
        "visualize/covering.py", "start += len(rows) * len(columns)", "start += len(rows)",
        f"{METHODS}::test_windows_of_several_sizes_in_one_call_are_those_of_each_alone",
    ),
    "all channels but one left out": Fault(
        "visualize/covering.py", "jnp.arange(channels) == channel", "jnp.arange(channels) != channel",
        f"{METHODS}::test_the_drop_without_a_channel_of_the_last_features_is_its_mean_times_its_weight",
    ),
    "steps that fill up a group counted": Fault(
        "visualize/gradients.py", "jnp.where(counted, gradients, 0)", "gradients",
        f"{METHODS}::test_integrated_gradients_are_complete_and_the_middle_of_each_step_counts",
    ),
    "the last doubling instead of the best": Fault(
        "visualize/gradients.py", "better = open_ & (", "better = open_ | (",
        f"{METHODS}::test_steps_are_doubled_until_the_sum_is_what_it_promises_and_no_image_gets_worse",
    ),
    "a class compared with itself": Fault(
        "visualize/checks.py", "outputs[np.arange(len(x)), np.asarray(score.classes)] = -np.inf", "pass",
        f"{CHECKS}::test_a_map_of_one_class_is_compared_with_that_of_the_next_probable_one",
    ),
    "a file of another quality": Fault(
        "visualize/pictures.py", "quality=quality", "quality=95",
        f"{PICTURES}::test_an_image_is_read_again_as_its_file_holds_it",
    ),
    "rows and columns of the confusion matrix swapped": Fault(
        "visualize/views/predictions.py", "np.add.at(matrix, (labels, said), 1)",
        "np.add.at(matrix, (said, labels), 1)", f"{PICTURES}::test_every_view_tells_what_it_shows[confusions]",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """The package and its tests, in a place where they may be broken."""
    folder = tmp_path_factory.mktemp("broken")
    for name in "jaxcnn", "tests":
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def outcome(folder: Path, test: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(folder), "JAXCNN_NATIVE": "0"}  # by the code that is broken
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "", f"tests/{test}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_turns_its_test_red(name, copied):
    file, right, wrong, test = FAULTS[name]
    path = copied / "jaxcnn" / file
    sound = path.read_text()
    assert right in sound, f"{file} no longer has what is to be broken: {right}"
    try:
        path.write_text(sound.replace(right, wrong, 1))
        done = outcome(copied, test)
    finally:
        path.write_text(sound)
    assert done.returncode == 1 and re.search(r"^E  +(assert|AssertionError)", done.stdout, re.M), done.stdout[-2000:]


def test_what_is_not_broken_is_green(copied):
    done = outcome(copied, CAM)
    assert done.returncode == 0, done.stdout[-2000:]
