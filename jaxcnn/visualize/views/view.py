"""What every view is given, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxcnn.charts.panels import WIDTH, Bars, Panel, Picture
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.text import printable
from jaxcnn.layout import Params
from jaxcnn.visualize.paths import image_at
from jaxcnn.visualize.subject import Subject

TOP = 5  # classes that are shown of an image


class Shown(NamedTuple):
    """Images that a network is shown, uint8 (N, H, W, C), their names, and their classes where these are known."""

    images: np.ndarray
    names: Sequence[str]
    labels: np.ndarray | None = None


class Examples(NamedTuple):
    """The training or test images of a network, uint8 (N, H, W, C), and their classes."""

    images: np.ndarray | Streamed
    labels: np.ndarray


@dataclass(frozen=True)
class Asked:
    """What is asked of a view; each reads what it needs."""

    methods: tuple[str, ...] = ("gradcam", "integrated_gradients", "occlusion")
    classes: tuple[int, ...] = ()  # none: the most probable one of each image
    at: str | None = None
    channels: tuple[int, ...] = ()
    window: int | None = None
    epsilon: int = 1
    ink: float = 0.02
    steps: int = 200
    checked: bool = True
    seed: int = 0
    examples: Examples | None = None
    smooth: float = 0.0
    epochs: Mapping[int, tuple[Params, Params]] | None = None  # arrays of the network after some epochs
    tests: Examples | None = None
    tolerance: float | None = None
    energy: bool = False


class View(NamedTuple):
    """Panels in so many columns, a title, the same in sentences, and the numbers behind them."""

    panels: list[Panel]
    columns: int
    title: str
    sentences: list[str]
    numbers: dict[str, np.ndarray]
    width: float = WIDTH  # inches of a panel


def shown_image(subject: Subject, shown: Shown, number: int) -> Picture:
    """An image with its name, and its class under it."""
    label = "" if shown.labels is None else f"is {subject.name(shown.labels[number])}"
    return Picture(shown.images[number], printable(shown.names[number]), label)


def top_bars(subject: Subject, shares: np.ndarray, label: int | None, title: str = "") -> Bars:
    """The most probable classes of an image, the right one marked (Krizhevsky et al. 2012, figure 4)."""
    best = np.argsort(-shares, kind="stable")[:TOP]
    right = next((place for place, number in enumerate(best) if number == label), None)
    return Bars([subject.name(number) for number in best], shares[best].tolist(), title, right)


def label_of(shown: Shown, number: int) -> int | None:
    """The class of an image, where it is known."""
    return None if shown.labels is None else int(shown.labels[number])


def channels_of(subject: Subject, asked: Asked, path: str, most: int) -> list[int]:
    """The channels of a layer with maps that are asked for, or its first ones.

    Raises ValueError for one that there is not, and for a layer without maps.
    """
    return numbers_of(asked, path, image_at(subject.net, subject.shape, path)[-1], most)


def numbers_of(asked: Asked, path: str, count: int, most: int) -> list[int]:
    """The channels that are asked for, of so many, or the first ones. Raises ValueError for one that there is not."""
    if wrong := [channel for channel in asked.channels if not 0 <= channel < count]:
        raise ValueError(f"there is no channel {wrong[0]} of layer {path!r}: there are 0 to {count - 1}")
    return list(asked.channels or range(min(most, count)))


def image_needed(shown: Shown, what: str) -> None:
    """Raise ValueError where no image was given."""
    if not len(shown.images):
        raise ValueError(f"{what} needs an image after the run")
