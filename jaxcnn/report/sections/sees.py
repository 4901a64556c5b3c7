"""What the network sees: first filters, feature maps, the strongest images of channels, images made for classes."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from jaxcnn.forward_pass import features
from jaxcnn.layout import Params, walk
from jaxcnn.report.blocks import Block, Gallery, Heading, Section, Shown, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture, sprite, thumbnail
from jaxcnn.report.patterns import evolution, patterns
from jaxcnn.spec import Conv
from jaxcnn.visualize.maximization import maximize
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.pictures import around_gray, from_black
from jaxcnn.visualize.scores import Logit

CHANNELS, SIDE = 32, 48  # whose maps are shown of a layer, at most so many pixels high and wide
CLASSES, STEPS, INK = 10, 200, 0.02


def sees(run: Examined) -> Section:
    """Filters, maps, the strongest training images with their projections, and what the classes make the most of."""
    lead = "Kernels and maps, each on one scale that is told; and images that channels and classes make much of."
    blocks: list[Block] = [*_filters(run)]
    passes = 0
    try:
        paths = stages(run.subject.net, run.subject.shape)
    except ValueError as error:
        return Section("What it sees", lead, (*blocks, Text(f"There are no maps: {error}.", "note")))
    blocks += _maps(run, paths)
    for part in patterns, evolution:
        more, took = part(run, paths[-1])
        blocks, passes = blocks + more, passes + took
    more, took = _classes(run)
    return Section("What it sees", lead, (*blocks, *more), passes + took + 1)


def _filters(run: Examined) -> list[Block]:
    rows = [row.path for row in walk(run.subject.net, run.subject.shape) if isinstance(row.leaf, Conv)]
    if not rows:
        return []
    kernels = _kernels(run.subject.params, rows[0])
    if kernels.ndim != 4 or kernels.shape[-1] not in (1, 3):
        return []
    shown = [("after training", kernels)]
    if run.start is not None:
        shown.insert(0, ("as they were drawn", _kernels(run.start, rows[0])))
    limit = max(float(np.abs(values).max()) for _, values in shown)
    columns = int(np.ceil(np.sqrt(len(kernels)) * 1.5))
    pictures = []
    for name, values in shown:
        grid = sprite(around_gray(values, limit).pixels, columns, f"the {len(values)} kernels of {rows[0]} {name}")
        pictures.append(Shown(grid, (name, f"at most {np.abs(values).max():.3g}")))
    size = "x".join(map(str, kernels.shape[1:3]))
    caption = f"The {len(kernels)} kernels of {rows[0]}, {size}: gray is 0, white {limit:.3g}, black the opposite"
    width = min(420, 42 * min(columns, len(kernels)))
    return [Heading("First filters"), Gallery(tuple(pictures), width, caption)]


def _kernels(params: Params, path: str) -> np.ndarray:
    return np.moveaxis(np.asarray(params[path]["kernel"]), -1, 0)


def _maps(run: Examined, paths: list[str]) -> list[Block]:
    image = run.test.images[:1]
    found = jax.jit(features, static_argnums=(0, 4))(*run.network, run.subject.take(image), tuple(paths))
    said = f"{run.subject.name(run.said[0])}, {run.confidence[0]:.1%}"
    pictures = [
        Shown(picture(image[0], run.of_test(0)), (f"is {run.subject.name(run.labels[0])}", f"taken for {said}"))
    ]
    for path in paths:
        values = np.moveaxis(np.asarray(found[path][0]), -1, 0)
        chosen = values[:CHANNELS]
        levels, scale = from_black(chosen)
        levels = np.stack([thumbnail(level, SIDE) for level in levels])
        silent = int((values <= 0).all((1, 2)).sum())
        grid = sprite(
            levels,
            int(np.ceil(np.sqrt(len(levels)))),
            f"{len(levels)} maps of {path}, {scale}",
        )
        told = (path, f"{len(chosen)} of {len(values)} channels", scale,
                f"{silent} of them silent")  # fmt: skip
        pictures.append(Shown(grid, told))
    return [
        Heading("Feature maps"),
        Gallery(tuple(pictures), 190, "All maps of a layer on one scale, so that a dead one is dark"),
    ]


def _classes(run: Examined) -> tuple[list[Block], int]:
    count = min(CLASSES, len(run.subject.classes))
    steps = run.affordable(6 * count, STEPS)
    make = partial(maximize, *run.network, Logit(np.arange(count)), run.subject.shape, jax.random.key(0), steps)
    galleries: list[Block] = []
    for ink, told in (0.0, "free"), (INK, f"with a price of {INK:g} for every white pixel"):
        made = make(ink, prepare=run.subject.prepare)
        images = np.rint(255 * np.asarray(made.images)).astype(np.uint8)
        shares = run.subject.shares(images)
        pictures = tuple(
            Shown(
                picture(images[label], f"what {run.subject.name(label)} is strongest for, {told}"),
                (run.subject.name(label), f"{made.values[label]:.3g} ({run.logits[:, label].max():.3g})",
                 f"{shares[label, label]:.1%}"),
            )
            for label in range(count)
        )  # fmt: skip
        galleries.append(Gallery(pictures, 84, f"Images of the largest logits, {told}: {steps} steps from gray"))
    note = Text(
        "Under each the logit, in parentheses the largest of all test images, and the probability. That a network "
        "is sure of such an image shows that it does not know what it has never seen.", "note",
    )  # fmt: skip
    return [Heading("What the classes make the most of"), *galleries, note], 6 * count * steps
