"""Which pixels a unit can see, and which of them count."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.host.text import counted, printable
from jaxcnn.readings.receptive import Box
from jaxcnn.visualize.field import effective_field
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.pictures import from_black
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, image_needed

MOST = 128  # training images that the effective field is a mean over


def fields(subject: Subject, shown: Shown, asked: Asked) -> View:
    """Two panels for each stage: the first image with the box that the unit in the middle sees, and what counts of it.

    The effective field (Luo et al. 2016) is a mean over training images, where there are some, else over the images.
    Raises ValueError without an image, and for a layer without maps.
    """
    image_needed(shown, "a receptive field")
    paths = stages(subject.net, subject.shape) if asked.at is None else [asked.at]
    images = shown.images if asked.examples is None else np.asarray(asked.examples.images[:MOST])
    kind = "image" if asked.examples is None else "training image"
    panels: list[Panel] = []
    sentences, numbers = [], {}
    for path in paths:
        found = effective_field(
            subject.net, subject.params, subject.batch_stats, images, path, prepare=subject.of_bytes()
        )
        (top, bottom), (left, right) = found.box
        unit = f"{path} at {found.place[0]}, {found.place[1]}"
        seen = f"depends on {bottom - top}x{right - left} of {subject.shape[0]}x{subject.shape[1]} pixels"
        down, across = found.deviations
        counts = f"{found.share:.0%} of these count, deviation {down:.1f}x{across:.1f} pixels"
        levels, scale = from_black(found.map)
        over = f"mean over {counted(len(images), kind)}; {scale}"
        panels += [
            _framed(shown.images[0], found.box, unit, seen),
            _framed(levels, found.box, "what counts of it", f"{counts}; {over}"),
        ]
        sentences.append(f"{printable(unit)}: {seen}; {counts}; {over}")
        numbers[path], numbers[f"{path}_box"] = found.map, np.array(found.box)
    title = "receptive fields: the exact box, and what counts inside"
    return View(panels, 2 if len(paths) == 1 else 4, title, sentences, numbers)


def _framed(pixels: np.ndarray, box: Box, title: str, caption: str) -> Picture:
    return Picture(pixels, title, caption, box=box)
