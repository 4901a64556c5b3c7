"""What training images tell of a network: patterns of its channels, and neighbors of an image."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.host.text import printable
from jaxcnn.visualize.neighbors import ALIKE, difference, hidden, nearest
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.peaks import strongest
from jaxcnn.visualize.pictures import around_gray
from jaxcnn.visualize.projection import deconvnet
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Examples, Shown, View, channels_of, image_needed, shown_image

ROWS, STRONGEST, NEAREST = 6, 4, 6


def patterns(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each channel: the training images that it responds to the most, and its projections to their pixels.

    After Zeiler and Fergus 2014, figure 2. Raises ValueError without training images, for a layer without maps, and for
    another activation than relu before it.
    """
    examples = examples_needed(asked, "patterns")
    path = stages(subject.net, subject.shape)[-1] if asked.at is None else asked.at
    channels = channels_of(subject, asked, path, ROWS)
    network = subject.net, subject.params, subject.batch_stats
    prepare = subject.of_bytes()
    best = strongest(*network, examples.images, path, STRONGEST, prepare=prepare)
    panels: list[Panel] = []
    sentences = []
    for channel in channels:
        images = np.asarray(examples.images[best.images[channel]])
        places = best.places[channel]
        row: list[Panel] = []
        for number, image in enumerate(images):
            place = int(places[number, 0]), int(places[number, 1])
            found = deconvnet(*network, subject.take(image[None]), path, channel, place)
            value = best.values[channel, number]
            name = subject.name(examples.labels[best.images[channel, number]])
            row += [
                Picture(image, f"{path}[{channel}]", f"{value:.3g}: {name}", box=found.boxes[0]),
                projected(found.projections[0], found.boxes[0]),
            ]
        panels += row
        names = [subject.name(label) for label in examples.labels[best.images[channel]]]
        sentences.append(f"{path}[{channel}]: up to {best.values[channel, 0]:.3g}, in images of {', '.join(names)}")
    numbers = {"values": best.values, "images": best.images, "places": best.places}
    return View(panels, 2 * best.values.shape[1], f"which patterns activate {path}", sentences, numbers, 1.3)


def neighbors(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image: it, and the training images nearest to it in the last hidden layer.

    Where one is nearly the same image, that is said: a test image that has been trained on tests nothing.
    After Krizhevsky et al. 2012, figure 4. Raises ValueError without images, or for a network without a head.
    """
    image_needed(shown, "a neighbor")
    examples = examples_needed(asked, "neighbors")
    network = subject.net, subject.params, subject.batch_stats
    prepare = subject.of_bytes()
    queries, vectors = (hidden(*network, images, prepare=prepare) for images in (shown.images, examples.images))
    found = nearest(queries, vectors, NEAREST)
    panels: list[Panel] = []
    sentences = []
    for number, name in enumerate(shown.names):
        panels.append(shown_image(subject, shown, number))
        told = []
        for distance, index in zip(found.distances[number], found.indices[number], strict=True):
            label = subject.name(examples.labels[index])
            near = np.asarray(examples.images[index])
            alike = difference(near[None], shown.images[number])[0] < ALIKE
            warned = "; nearly the same image" if alike else ""
            panels.append(Picture(near, label, f"distance {distance:.3g}{warned}"))
            told.append(f"{label} {distance:.3g}{warned}")
        sentences.append(f"{printable(name)}: {', '.join(told)}")
    title = "nearest training images in the last hidden layer"
    return View(panels, 1 + found.indices.shape[1], title, sentences, found._asdict(), 1.3)


def projected(projection: np.ndarray, box: list[tuple[int, int]], title: str = "projected") -> Picture:
    """What is projected into a box, around gray."""
    (top, bottom), (left, right) = box
    scaled = around_gray(projection[top:bottom, left:right])
    return Picture(scaled.pixels, title, f"gray 0, white {scaled.limit:.2g}")


def examples_needed(asked: Asked, what: str) -> Examples:
    """The training images. Raises ValueError where there are none."""
    if asked.examples is None:
        raise ValueError(f"{what} are looked for in the training images of a run, and published weights have none here")
    return asked.examples
