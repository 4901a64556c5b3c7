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
    """All kernels of the first convolution, on one scale around gray.

    Raises ValueError where it reads neither one channel nor three.
    """
    paths = [row.path for row in walk(subject.net, subject.shape) if isinstance(row.leaf, Conv)]
    if not paths:
        raise ValueError("this network has no convolution whose kernels could be shown")
    kernels = np.moveaxis(np.asarray(subject.params[paths[0]]["kernel"]), -1, 0)
    if kernels.ndim != 4 or kernels.shape[-1] not in (1, 3):
        raise ValueError(f"the kernels of {paths[0]!r} are no pictures: {kernels.shape[-1]} channels are no colors")
    scaled = around_gray(kernels, float(np.abs(kernels).max()))
    size = "x".join(map(str, kernels.shape[1:3]))
    columns = int(np.ceil(np.sqrt(len(kernels)) * 1.5))
    sentence = (
        f"the {len(kernels)} kernels of {paths[0]}, {size}: gray is 0, white {scaled.limit:.3g}, black the opposite"
    )
    panels: list[Panel] = [Picture(make_grid(scaled.pixels, columns, 1), "", sentence)]
    return View(panels, 1, "first filters", [sentence], {"kernels": kernels}, 5.0)
