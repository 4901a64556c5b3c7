"""Images that units and classes make the most of (Erhan et al. 2009; the price of ink is a lecture's)."""

from __future__ import annotations

from dataclasses import replace as changed
from functools import partial

import jax
import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.forward_pass import forward
from jaxcnn.layout import Params, output_shape
from jaxcnn.spec import Spec
from jaxcnn.visualize.batching import at_once, in_batches
from jaxcnn.visualize.maximization import Maximized, maximize
from jaxcnn.visualize.paths import before_activation, place_at, stages
from jaxcnn.visualize.scores import Logit, Score, Total, Unit
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, numbers_of

MOST = 16  # channels that are shown of a layer
MEASURED = 2048  # training images that are looked at


def units(subject: Subject, shown: Shown, asked: Asked) -> View:
    """An image for each channel of a layer, or each unit of a vector: what it is greatest for before its activation.

    A channel counts by its sum, or by its energy where that is asked for; beside it stands what the best training image
    reaches. Raises ValueError for channels that the layer does not have.
    """
    path = stages(subject.net, subject.shape)[-1] if asked.at is None else asked.at
    *sizes, count = place_at(subject.net, subject.shape, path).shape
    channels = np.array(numbers_of(asked, path, count, MOST))
    before = before_activation(subject.net, path)
    score = Total(path, channels, 2 if asked.energy else 1) if sizes else Unit(path, channels, ())
    made = _maximized(subject, asked, score, 0.0, before)
    best = _best_of_examples(subject, asked, score, before)
    what = ("energy" if asked.energy else "sum") if sizes else "value"
    panels: list[Panel] = [
        Picture(_bytes(image), f"{path}[{channel}]", f"{what} {value:.3g}{_beside(best, number)}")
        for number, (image, channel, value) in enumerate(zip(made.images, channels, made.values, strict=True))
    ]
    sentences = [f"{panel.title}: {panel.caption}" for panel in panels if isinstance(panel, Picture)]
    numbers = {"images": np.asarray(made.images), "values": np.asarray(made.values)}
    title = f"what the channels of {path} make the most of{_among(asked)}"
    return View(panels, 8, title, sentences, numbers | ({} if best is None else {"best": best}), 1.4)


def classes(subject: Subject, shown: Shown, asked: Asked) -> View:
    """Two rows of an image for each class: what its logit is greatest for, without and with a price of ink.

    Raises ValueError for a class that there is not.
    """
    count = output_shape(subject.net, subject.shape)[-1]
    chosen = np.array(asked.classes or range(min(10, count)))
    best = _best_of_examples(subject, asked, Logit(chosen), subject.net)
    panels: list[Panel] = []
    sentences, numbers = [], {} if best is None else {"best": best}
    for ink in (0.0, asked.ink) if asked.ink else (0.0,):
        made = _maximized(subject, asked, Logit(chosen), ink, subject.net)
        images = _bytes(np.asarray(made.images))
        shares = subject.shares(images)
        numbers[f"ink_{ink:g}"] = np.asarray(made.images)
        for place, (image, number) in enumerate(zip(images, chosen, strict=True)):
            name = subject.name(number)
            reached = f"logit {made.values[place]:.3g}, {shares[place, number]:.1%}{_beside(best, place)}"
            caption = f"ink {ink:g}: {reached}"
            panels.append(Picture(image, name, caption))
            sentences.append(f"{name}: {caption}")
    return View(panels, len(chosen), f"what the classes make the most of{_among(asked)}", sentences, numbers, 1.4)


def _among(asked: Asked) -> str:
    return (
        ""
        if asked.examples is None
        else f", beside the best of {len(asked.examples.images[:MEASURED]):,} training images"
    )


def _beside(best: np.ndarray | None, number: int) -> str:
    return "" if best is None else f"; an image reaches {best[number]:.3g}"


def _best_of_examples(subject: Subject, asked: Asked, score: Total | Unit | Logit, net: Spec) -> np.ndarray | None:
    """The greatest score of every number that training images reach, of the first MEASURED ones; None without any."""
    if asked.examples is None:
        return None
    numbers = score.classes if isinstance(score, Logit) else score.channels

    def scores(images: np.ndarray) -> np.ndarray:
        x = subject.take(images)
        each = [
            changed(score, **{"classes" if isinstance(score, Logit) else "channels": int(number)})
            for number in np.asarray(numbers)
        ]
        return np.stack([np.asarray(one) for one in _scores(net, subject.params, subject.batch_stats, x, each)], 1)

    return in_batches(scores, asked.examples.images[:MEASURED], at_once(subject.shape)).max(0)


@partial(jax.jit, static_argnums=0)
def _scores(net: Spec, params: Params, batch_stats: Params, x: jax.Array, scores: list[Score]) -> list[jax.Array]:
    run = forward(net, params, batch_stats, x)
    return [score(run) for score in scores]


def _maximized(subject: Subject, asked: Asked, score: Score, ink: float, net: Spec) -> Maximized:
    key = jax.random.key(asked.seed)
    arrays = net, subject.params, subject.batch_stats
    return maximize(*arrays, score, subject.shape, key, asked.steps, ink, prepare=subject.prepare, smooth=asked.smooth)


def _bytes(images: np.ndarray | jax.Array) -> np.ndarray:
    return np.rint(255 * np.asarray(images)).astype(np.uint8)
