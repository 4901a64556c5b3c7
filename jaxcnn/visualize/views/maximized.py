"""Images that units and classes make the most of (Erhan et al. 2009; the price of ink is a lecture's)."""

from __future__ import annotations

import jax
import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.layout import output_shape
from jaxcnn.spec import Spec
from jaxcnn.visualize.maximization import Maximized, maximize
from jaxcnn.visualize.paths import before_activation, stages
from jaxcnn.visualize.scores import Logit, Score, Total
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, channels_of

MOST = 16  # channels that are shown of a layer


def units(subject: Subject, shown: Shown, asked: Asked) -> View:
    """An image for each channel of a layer: what its sum before the activation is greatest for.

    Raises ValueError for a layer without maps, or channels that it does not have.
    """
    path = stages(subject.net, subject.shape)[-1] if asked.at is None else asked.at
    channels = np.array(channels_of(subject, asked, path, MOST))
    made = _maximized(subject, asked, Total(path, channels), 0.0, before_activation(subject.net, path))
    panels: list[Panel] = [
        Picture(_bytes(image), f"{path}[{channel}]", f"sum {value:.3g}")
        for image, channel, value in zip(made.images, channels, made.values, strict=True)
    ]
    sentences = [f"{panel.title}: {panel.caption}" for panel in panels if isinstance(panel, Picture)]
    return View(
        panels, 8, f"what the channels of {path} make the most of", sentences, {"images": np.asarray(made.images)}, 1.4
    )


def classes(subject: Subject, shown: Shown, asked: Asked) -> View:
    """Two rows of an image for each class: what its logit is greatest for, without and with a price of ink.

    Raises ValueError for a class that there is not.
    """
    count = output_shape(subject.net, subject.shape)[-1]
    chosen = np.array(asked.classes or range(min(10, count)))
    panels: list[Panel] = []
    sentences, numbers = [], {}
    for ink in (0.0, asked.ink) if asked.ink else (0.0,):
        made = _maximized(subject, asked, Logit(chosen), ink, subject.net)
        images = _bytes(np.asarray(made.images))
        shares = subject.shares(images)
        numbers[f"ink_{ink:g}"] = np.asarray(made.images)
        for image, number, value, share in zip(images, chosen, made.values, shares, strict=True):
            name = subject.name(number)
            caption = f"ink {ink:g}: logit {value:.3g}, {share[number]:.1%}"
            panels.append(Picture(image, name, caption))
            sentences.append(f"{name}: {caption}")
    return View(panels, len(chosen), "what the classes make the most of", sentences, numbers, 1.4)


def _maximized(subject: Subject, asked: Asked, score: Score, ink: float, net: Spec) -> Maximized:
    key = jax.random.key(asked.seed)
    arrays = net, subject.params, subject.batch_stats
    return maximize(*arrays, score, subject.shape, key, asked.steps, ink, prepare=subject.prepare, smooth=asked.smooth)


def _bytes(images: np.ndarray | jax.Array) -> np.ndarray:
    return np.rint(255 * np.asarray(images)).astype(np.uint8)
