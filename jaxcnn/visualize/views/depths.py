"""Where a network looks at several depths, and with windows of several sizes."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.host.text import printable
from jaxcnn.visualize.cam import enlarge, gradcam
from jaxcnn.visualize.covering import occlusions, spread, windows_over
from jaxcnn.visualize.pictures import CLIPPED, overlay, where
from jaxcnn.visualize.scores import Logit
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, image_needed, shown_image

PATCHES = (10, 15, 25, 35, 45, 90)  # pixels of an image of 224, as a lecture takes them
SIDE = 224


def depths(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image and class: Grad-CAM at the end of every stage, from one backward pass.

    The classes are those that are asked for; else the predicted one, and the true one where it is another. Raises
    ValueError without an image, and for a network without maps.
    """
    image_needed(shown, "Grad-CAM")
    arrays = subject.net, subject.params, subject.batch_stats, subject.take(shown.images)
    paths = "stages" if asked.at is None else asked.at
    size = subject.shape[0], subject.shape[1]
    rows = _rows(subject, shown, asked)
    found = {classes: gradcam(*arrays, Logit(np.array(classes)), paths) for classes in dict.fromkeys(rows)}
    panels: list[Panel] = []
    sentences, numbers = [], {}
    shares = subject.shares(shown.images)
    for classes, which in rows.items():
        maps = {path: np.asarray(enlarge(values, size)) for path, values in found[classes].items()}
        numbers |= {f"{path}_{len(numbers)}": values for path, values in maps.items()}
        for number, word in which.items():
            name, share = subject.name(classes[number]), shares[number, classes[number]]
            panels.append(shown_image(subject, shown, number))
            told = []
            for path, values in maps.items():
                panels.append(_panel(shown.images[number], values[number], f"{path}: {name}", f"{word}, {share:.1%}"))
                told.append(f"at {path} {_evidence(values[number])}")
            sentences.append(f"{printable(shown.names[number])}: {name} ({word}, {share:.1%}): {', '.join(told)}")
    columns = 1 + len(next(iter(found.values())))
    return View(panels, columns, _title("Grad-CAM at several depths"), sentences, numbers, 1.8)


def patches(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image and class: its drop under windows of six sizes, in the proportions of a lecture.

    Neighboring windows are half of their size apart. The classes are chosen as by `depths`. Raises ValueError without
    an image.
    """
    image_needed(shown, "occlusion")
    side = min(subject.shape[:2])
    sizes = list(dict.fromkeys(max(1, round(patch * side / SIDE)) for patch in PATCHES))
    sizes = sizes if asked.window is None else [asked.window]
    arrays = subject.net, subject.params, subject.batch_stats, subject.take(shown.images)
    drops = [np.asarray(each) for each in occlusions(*arrays, sizes)]  # of all classes
    shares = subject.shares(shown.images)
    panels: list[Panel] = []
    sentences = []
    for classes, which in _rows(subject, shown, asked).items():
        for number, word in which.items():
            name, share = subject.name(classes[number]), shares[number, classes[number]]
            panels.append(shown_image(subject, shown, number))
            told = []
            for size, values in zip(sizes, drops, strict=True):
                placed = windows_over(subject.shape, size)
                one = values[number : number + 1, ..., classes[number]]
                values_of = spread(one, placed, (subject.shape[0], subject.shape[1]))[0]
                panels.append(_panel(shown.images[number], values_of, f"{size}x{size}: {name}", f"{word}, {share:.1%}"))
                told.append(f"{size}x{size} {_evidence(values_of)}")
            sentences.append(f"{printable(shown.names[number])}: {name} ({word}, {share:.1%}): {', '.join(told)}")
    numbers = {f"drops_{size}": values for size, values in zip(sizes, drops, strict=True)}
    title = _title("drops of the logit under windows covered by the image's mean")
    return View(panels, 1 + len(sizes), title, sentences, numbers, 1.6)


def _rows(subject: Subject, shown: Shown, asked: Asked) -> dict[tuple[int, ...], dict[int, str]]:
    """Classes, one of each image, and which images are shown for them, with what the class is to the image."""
    said = subject.shares(shown.images).argmax(1)
    if asked.classes:
        return {(each,) * len(said): dict.fromkeys(range(len(said)), "asked for") for each in asked.classes}
    rows = {tuple(said.tolist()): dict.fromkeys(range(len(said)), "predicted")}
    if shown.labels is not None and (wrong := np.flatnonzero(said != shown.labels)).size:
        rows[tuple(shown.labels.tolist())] = dict.fromkeys(wrong.tolist(), "true")
    return rows


def _panel(image: np.ndarray, values: np.ndarray, title: str, caption: str) -> Picture:
    scaled = overlay(image, values)
    return Picture(scaled.pixels, title, f"{caption}; {_evidence(values)}", scaled.limit or None)


def _evidence(values: np.ndarray) -> str:
    if not values.any():
        return "no evidence: 0 everywhere"
    return "no positive evidence" if (values <= 0).all() else f"strongest {where(values)}, at most {values.max():.3g}"


def _title(what: str) -> str:
    return f"{what}: red speaks for the class, blue against it; {1 - CLIPPED:.1%} of the pixels are beyond the scale"
