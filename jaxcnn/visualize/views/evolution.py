"""How what activates a layer changes while a network learns."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.peaks import strongest
from jaxcnn.visualize.projection import deconvnet
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.examples import examples_needed, projected
from jaxcnn.visualize.views.view import Asked, Shown, View, channels_of

ROWS = 6


def evolution(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each channel, a column for each kept epoch: its strongest training image, projected to the pixels.

    After Zeiler and Fergus 2014, figure 4. Raises ValueError without training images or kept epochs, for a layer
    without maps, and for another activation than relu before it.
    """
    examples = examples_needed(asked, "evolutions")
    if not asked.epochs:
        raise ValueError("an evolution is that of a run that has kept epochs, by --keep-epochs")
    path = stages(subject.net, subject.shape)[-1] if asked.at is None else asked.at
    channels = channels_of(subject, asked, path, ROWS)
    prepare = subject.of_bytes()
    columns: list[list[Panel]] = []
    sentences, numbers = [], {}
    for epoch, arrays in asked.epochs.items():
        best = strongest(subject.net, *arrays, examples.images, path, 1, prepare=prepare)
        numbers |= {f"values_{epoch}": best.values[:, 0], f"images_{epoch}": best.images[:, 0]}
        column: list[Panel] = []
        for channel in channels:
            image, (row, place) = np.asarray(examples.images[best.images[channel]]), best.places[channel, 0].tolist()
            found = deconvnet(subject.net, *arrays, subject.take(image), path, channel, (row, place))
            name = subject.name(examples.labels[best.images[channel, 0]])
            title = f"channel {channel}, epoch {epoch}"
            picture = projected(found.projections[0], found.boxes[0], title)
            column += [Picture(image[0], title, f"{found.values[0]:.3g}: {name}", box=found.boxes[0]), picture]
            sentences.append(f"{title}: {found.values[0]:.3g} in an image of {name}")
        columns.append(column)
    panels = [panel for row in range(len(channels)) for column in columns for panel in column[2 * row : 2 * row + 2]]
    return View(panels, 2 * len(columns), f"which patterns activate {path}, by epochs", sentences, numbers, 1.2)
