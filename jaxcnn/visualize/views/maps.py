"""Feature maps: what each channel of a layer responds to in an image."""

from __future__ import annotations

import jax
import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.forward_pass import features
from jaxcnn.host.text import printable
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.pictures import from_black, make_grid
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, channels_of, image_needed, shown_image

MOST = 64  # channels that are shown of a layer


def maps(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image: it, and the channels of some layers, all of a layer on one scale from 0 to their maximum.

    Raises ValueError without an image, and for a layer without maps.
    """
    image_needed(shown, "a feature map")
    paths = stages(subject.net, subject.shape) if asked.at is None else [asked.at]
    channels = {path: channels_of(subject, asked, path, MOST) for path in paths}
    run = jax.jit(features, static_argnums=(0, 4))
    found = run(subject.net, subject.params, subject.batch_stats, subject.take(shown.images), tuple(paths))
    panels: list[Panel] = []
    sentences = []
    for number, name in enumerate(shown.names):
        panels.append(shown_image(subject, shown, number))
        for path in paths:
            values = np.moveaxis(np.asarray(found[path][number]), -1, 0)
            chosen = values[channels[path]]
            levels, scale = from_black(chosen)
            grid = make_grid(levels, int(np.ceil(np.sqrt(len(levels)))), 1)
            silent = int((values <= 0).all((1, 2)).sum())
            told = f"{len(chosen)} of {len(values)} channels, {scale}; {silent} of them silent"
            mean, averaged = from_black(values.mean(0))
            panels += [
                Picture(grid, path, told), Picture(mean, f"mean of all of {path}", averaged),
            ]  # fmt: skip
            sentences.append(f"{printable(name)}: {path}: {told}; their mean, {averaged}")
    return View(
        panels, 1 + 2 * len(paths), "feature maps", sentences, {path: np.asarray(found[path]) for path in paths}
    )
