"""What is asked of every library that looks inside of a network, and how this one does it.

A row is a name of `PASSES`. What does a row once returns arrays as numpy's, channels last, so that all can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.layout import init
from jaxcnn.spec import Spec
from jaxcnn.visualize import gradcam, maximize, occlusion
from jaxcnn.visualize.attack import perturb
from jaxcnn.visualize.covering import spread, windows_over
from jaxcnn.visualize.gradients import integrated_gradients
from jaxcnn.visualize.scores import Logit, Total
from jaxcnn.zoo.resnet_cifar import resnet20

Work = Callable[[], list[np.ndarray]]

SHAPE, CLASSES, CLASS = (32, 32, 3), 10, 3
WINDOW, STRIDE, FILL = 8, 2, 0.0  # 13 x 13 windows
DEPTHS = ("layer1", "layer2", "layer3")
POINTS = 50  # of integrated gradients
FILTERS, ASCENT, RATE = 64, 100, 0.05
EPSILON, DESCENT = 8 / 255, 10
BATCH = 64
WINDOWS = 13 * 13

PASSES = {
    "occlusion": WINDOWS + 1,
    "occlusion of all classes": WINDOWS + 1,
    "Grad-CAM": 2,
    "Grad-CAM of 64 images": 2 * BATCH,
    "integrated gradients": 2 * POINTS + 2,
    "64 filters maximized": 2 * FILTERS * ASCENT,
    "PGD of 64 images": 2 * BATCH * DESCENT,
}
"""How often an image goes forward through the network or its gradient back."""
FEWER = 2
"""Steps after which images are compared: later on rounding has moved the sign of some small gradient."""


class Problem(NamedTuple):
    """ResNet-20 with its arrays, and images with pixels from 0 to 1, which it takes as they are."""

    net: Spec
    params: dict
    batch_stats: dict
    images: np.ndarray  # (64, 32, 32, 3) float32
    labels: np.ndarray  # (64,)


def problem() -> Problem:
    """Initial weights, and noise: what is computed takes as long for any."""
    net, rng = resnet20(CLASSES), np.random.default_rng(0)
    params, stats = init(net, jax.random.key(0), SHAPE)
    images = rng.random((BATCH, *SHAPE)).astype(np.float32)
    return Problem(net, params, stats, images, rng.integers(0, CLASSES, BATCH))


def images_of(row: str, given: Problem) -> np.ndarray:
    """The images of a row: one, or all of them."""
    return given.images if "64 images" in row else given.images[:1]


def start_of(given: Problem) -> np.ndarray:
    """The pixels that each filter's image begins with."""
    return 0.5 + 0.04 * (given.images - 0.5)


def by_jaxcnn(row: str, given: Problem, fewer: bool = False) -> Work:
    """What does a row in this library. `fewer` stops after FEWER steps where there are some."""
    arrays = given.net, given.params, given.batch_stats
    x = jnp.asarray(images_of(row, given))
    start = jnp.asarray(start_of(given))
    placed = windows_over(SHAPE, WINDOW, STRIDE)

    def covered() -> list[np.ndarray]:
        return [spread(occlusion(*arrays, x, WINDOW, STRIDE, FILL, score=Logit(CLASS)), placed, SHAPE[:2])]

    def covered_for_all() -> list[np.ndarray]:
        drops = jnp.moveaxis(occlusion(*arrays, x, WINDOW, STRIDE, FILL)[0], -1, 0)
        return [spread(drops, placed, SHAPE[:2])]

    def attended() -> list[np.ndarray]:
        return [np.asarray(each) for each in gradcam(*arrays, x, CLASS, DEPTHS).values()]

    def integrated() -> list[np.ndarray]:
        return [np.asarray(integrated_gradients(*arrays, x, CLASS, steps=POINTS).attributions)]

    def maximized() -> list[np.ndarray]:
        score, steps = Total(DEPTHS[-1], np.arange(FILTERS)), FEWER if fewer else ASCENT
        made = maximize(*arrays, score, SHAPE, jax.random.key(0), steps, rate=RATE, start=start)
        return [np.asarray(made.images)]

    def attacked() -> list[np.ndarray]:
        steps = FEWER if fewer else DESCENT
        return [np.asarray(perturb(*arrays, x, given.labels, EPSILON, steps=steps, step_size=EPSILON / 4)[0])]

    return {
        "occlusion": covered,
        "occlusion of all classes": covered_for_all,
        "Grad-CAM": attended,
        "Grad-CAM of 64 images": attended,
        "integrated gradients": integrated,
        "64 filters maximized": maximized,
        "PGD of 64 images": attacked,
    }[row]
