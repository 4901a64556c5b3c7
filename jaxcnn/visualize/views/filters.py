"""The kernels of the first convolution, the only ones that can be looked at as they are."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.layout import walk
from jaxcnn.spec import Conv
from jaxcnn.visualize.pictures import around_gray, make_grid
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View


def filters(subject: Subject, shown: Shown, asked: Asked) -> View:
    """All kernels of the first convolution, on one scale around gray, and by two rules that cut some weights off.

    Raises ValueError where it reads neither one channel nor three.
    """
    paths = [row.path for row in walk(subject.net, subject.shape) if isinstance(row.leaf, Conv)]
    if not paths:
        raise ValueError("this network has no convolution whose kernels could be shown")
    kernels = np.moveaxis(np.asarray(subject.params[paths[0]]["kernel"]), -1, 0)
    if kernels.ndim != 4 or kernels.shape[-1] not in (1, 3):
        raise ValueError(f"the kernels of {paths[0]!r} are no pictures: {kernels.shape[-1]} channels are no colors")
    size = "x".join(map(str, kernels.shape[1:3]))
    columns = int(np.ceil(np.sqrt(len(kernels)) * 1.5))
    panels: list[Panel] = []
    sentences = []
    for title, (levels, told) in _rules(kernels).items():
        sentence = f"{title}: {told}"
        panels.append(Picture(make_grid(levels, columns, 1), title, told))
        sentences.append(f"the {len(kernels)} kernels of {paths[0]}, {size}, {sentence}")
    title = f"the {len(kernels)} kernels of {paths[0]}, {size}, by three rules"
    return View(panels, len(panels), title, sentences, {"kernels": kernels}, 3.4)


def _rules(kernels: np.ndarray) -> dict[str, tuple[np.ndarray, str]]:
    """Levels of kernels (N, h, w, C) by the one rule that cuts nothing off, and by two that lectures use."""
    whole = around_gray(kernels, float(np.abs(kernels).max()))
    axes = tuple(range(1, kernels.ndim))
    deviation = kernels.std(axes, keepdims=True)
    standard = (kernels - kernels.mean(axes, keepdims=True)) / np.where(deviation == 0, 1, deviation)
    found = {"on one scale": (whole.pixels, f"gray is 0, white {whole.limit:.3g}, black the opposite; none is cut off")}
    for title, levels, told in (
        ("w / 2 + 1/2", kernels / 2 + 0.5, "gray is 0, white 1, black -1"),
        ("each standardized, plus 1/2", standard + 0.5, "gray is a kernel's mean, white half a deviation above"),
    ):
        cut = ((levels < 0) | (levels > 1)).mean()
        found[title] = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8), f"{told}; {cut:.1%} are cut off"
    return found
