"""Which training images a channel responds to the most, what it sees of them, and how that came about."""

from __future__ import annotations

import numpy as np

from jaxcnn.layout import Params
from jaxcnn.readings.receptive import receptive_field
from jaxcnn.report.blocks import Block, Gallery, Heading, Row, Shown, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.visualize.paths import image_at, rewire
from jaxcnn.visualize.peaks import Strongest, strongest
from jaxcnn.visualize.pictures import around_gray
from jaxcnn.visualize.projection import deconvnet

ROWS, STRONGEST = 6, 3  # channels, and images of each
SEARCHED = 10_000  # training images
EVOLVING, EXAMPLES = 4, 2000  # channels through the epochs, and training images that are searched for these
WIDTH = 64


def patterns(run: Examined, path: str) -> tuple[list[Block], int]:
    """Of some channels of a layer the strongest training images; and how many forward passes that took."""
    images = run.train.images
    some = np.linspace(0, len(images) - 1, min(SEARCHED, len(images)), dtype=int)
    best = strongest(*run.network, images[some], path, STRONGEST, prepare=run.of_bytes, batch_size=run.at_once)
    best = best._replace(images=some[best.images])
    galleries = [
        Gallery(tuple(_pictures(run, run.network[1:], path, channel, best)), WIDTH, f"channel {channel}")
        for channel in _some(run, path, ROWS)
    ]
    told = f"What channels of {path} see of the strongest of {len(some):,} training images, with their activation"
    told += (
        ", and that projected back to the pixels (Zeiler and Fergus 2014)." if _projects(run) else
        ". It is not projected to the pixels: that rule is defined for relu alone."
    )  # fmt: skip
    return [Heading("Strongest training images"), Text(told, "note"), Row(tuple(galleries))], len(some)


def evolution(run: Examined, path: str) -> tuple[list[Block], int]:
    """The same after each epoch that the run has kept, of the one strongest image; nothing where it has kept none."""
    if not run.epochs:
        return [], 0
    images = run.train.images
    some = np.linspace(0, len(images) - 1, run.affordable(len(run.epochs), min(EXAMPLES, len(images))), dtype=int)
    rows: dict[int, list[Shown]] = {channel: [] for channel in _some(run, path, EVOLVING)}
    for epoch, arrays in run.epochs.items():
        best = strongest(run.subject.net, *arrays, images[some], path, 1, prepare=run.of_bytes, batch_size=run.at_once)
        best = best._replace(images=some[best.images])
        for channel, row in rows.items():
            found = _pictures(run, arrays, path, channel, best)
            row += [Shown(one.picture, (f"epoch {epoch}", *one.lines)) for one in found]
    galleries = [Gallery(tuple(row), WIDTH, f"channel {channel}") for channel, row in rows.items()]
    told = f"The strongest of {len(some):,} training images for channels of {path}, after each epoch that was kept."
    return [Heading("Through training"), Text(told, "note"), Row(tuple(galleries))], len(some) * len(run.epochs)


def _some(run: Examined, path: str, most: int) -> list[int]:
    count = image_at(run.subject.net, run.subject.shape, path)[-1]
    return sorted(set(np.linspace(0, count - 1, min(most, count), dtype=int).tolist()))


def _projects(run: Examined) -> bool:
    try:
        rewire(run.subject.net, "deconvnet")
    except ValueError:
        return False
    return True


def _pictures(run: Examined, arrays: tuple[Params, Params], path: str, channel: int, best: Strongest) -> list[Shown]:
    """What a channel sees of its strongest images, and its projections beside them, if the rule admits these."""
    net, places = run.subject.net, best.images[channel]
    images = run.train.images[places]
    found = deconvnet(net, *arrays, run.subject.take(images), path, channel) if _projects(run) else None
    shown = []
    for number, (row, column) in enumerate(best.places[channel].tolist()):
        (top, bottom), (left, right) = receptive_field(net, run.subject.shape, path, (row, column))
        seen = slice(top, bottom), slice(left, right)
        label = run.subject.name(run.train.labels[places[number]])
        alt = f"what channel {channel} sees of training image {places[number]}"
        shown.append(Shown(picture(images[number][seen], alt), (label, f"{best.values[channel, number]:.3g}")))
        if found is not None:
            scaled = around_gray(found.projections[number][seen])
            alt = f"channel {channel} projected to the pixels of training image {places[number]}"
            shown.append(Shown(picture(scaled.pixels, alt), ("projected", f"±{scaled.limit:.2g}")))
    return shown
