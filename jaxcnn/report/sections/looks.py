"""Where the network looks, by several methods, and what speaks for and against these pictures."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.report.blocks import Block, Cell, Gallery, Heading, Section, Shown, Table, Text
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.visualize.checks import Checks, check
from jaxcnn.visualize.covering import windows_over
from jaxcnn.visualize.explanation import Explanation, explain
from jaxcnn.visualize.paths import stages
from jaxcnn.visualize.pictures import CLIPPED, overlay, where
from jaxcnn.visualize.scores import Logit

DEPTHS = 3  # layers of which Grad-CAM is shown
PATCHES = (10, 15, 25, 35, 45, 90)  # pixels of 224, of windows that cover: those of the lectures
OF = 224
STEPS, CURVE = 50, 20  # of integrated gradients, and of the checks' curves
BUDGET, COVERING = 2e12, 6e11  # multiply-accumulates of all, and of the windows of one size over one image
WIDTH = 124  # of a map on the page


def looks(run: Examined) -> Section:
    """Grad-CAM at several depths and for two classes, integrated gradients, occlusion at six sizes; with checks."""
    try:
        paths = stages(run.subject.net, run.subject.shape)[-DEPTHS:]
    except ValueError:
        paths = []
    windows, left_out = _windows(run)
    covered = sum(_count(run.subject.shape, window) for window in windows)
    each = 6 * len(paths) + 3 * STEPS + covered + 3 * 10 * (CURVE + 1)
    places = _chosen(run)[: run.affordable(each, 4, BUDGET)]
    images, x = run.test.images[places], run.subject.take(run.test.images[places])
    said = run.said[places]
    others = np.where(run.right[places], np.argsort(-run.shares[places], 1, kind="stable")[:, 1], run.labels[places])
    black = run.subject.prepare(jnp.zeros((1, *run.subject.shape)))
    args = *run.network, x
    made: list[tuple[str, Explanation, np.ndarray]] = []
    for path in paths:
        made.append((f"Grad-CAM at {path}", explain(*args, Logit(said), "gradcam", path), said))
    if paths:
        made.append((f"Grad-CAM at {paths[-1]}", explain(*args, Logit(others), "gradcam", paths[-1]), others))
    gradients = explain(*args, Logit(said), "integrated_gradients", baseline=black, steps=STEPS)
    made.append(("Integrated gradients", gradients, said))
    made += [
        (f"Covered {window}x{window}", explain(*args, Logit(said), "occlusion", window=window), said)
        for window in windows
    ]
    checked = {name: check(*args, explanation, jax.random.key(0), steps=CURVE)
               for name, explanation, _ in _worth(made, said, paths)}  # fmt: skip
    lead = (
        "Red speaks for a class, blue against it. Every map is in logits, and its scale is told. The tables say what a "
        "map is worth: one that looks like edges, or the same with redrawn weights, shows nothing that was learned."
    )
    blocks: list[Block] = []
    for number, place in enumerate(places):
        blocks += [Heading(_title(run, place)), *_galleries(run, number, place, images[number], made)]
        blocks.append(_table(checked, number))
    missing = f" Windows of {', '.join(map(str, left_out))} pixels would take too long." if left_out else ""
    clipped = f"{1 - CLIPPED:.1%} of the pixels of each map lie beyond its scale. Occlusion covers by the image's mean."
    return Section("Where it looks", lead, (*blocks, Text(clipped + missing, "note")), each * len(places))


def _chosen(run: Examined) -> list[int]:
    """The most confident mistake, the right image that is least sure, and two of the middle."""
    wrong, right = np.flatnonzero(~run.right), np.flatnonzero(run.right)
    found = [int(wrong[run.confidence[wrong].argmax()])] if len(wrong) else []
    if len(right):
        ordered = right[np.argsort(run.confidence[right], kind="stable")]
        found += [int(ordered[0]), int(ordered[len(ordered) // 2]), int(ordered[len(ordered) // 4])]
    return list(dict.fromkeys(found))


def _windows(run: Examined) -> tuple[list[int], list[int]]:
    """The sides of the windows that cover, and of those that are so many that they would take too long."""
    side = min(run.subject.shape[:2])
    sizes = sorted({max(1, round(side * patch / OF)) for patch in PATCHES})
    cheap = [size for size in sizes[:-1] if _count(run.subject.shape, size) * run.macs <= COVERING] + sizes[-1:]
    return cheap, [size for size in sizes if size not in cheap]


def _count(shape: tuple[int, ...], window: int) -> int:
    placed = windows_over(shape, window)
    return len(placed.rows) * len(placed.columns)


def _worth(
    made: list[tuple[str, Explanation, np.ndarray]], said: np.ndarray, paths: list[str]
) -> list[tuple[str, Explanation, np.ndarray]]:
    """Of all maps those that are checked: of what was said, Grad-CAM at the last layer, gradients, middle windows."""
    of_said = [one for one in made if one[2] is said]
    occlusions = [one for one in of_said if one[1].method == "occlusion"]
    cams = [one for one in of_said if one[1].method == "gradcam"][-1:]
    return [
        *cams,
        *(one for one in of_said if one[1].method == "integrated_gradients"),
        occlusions[len(occlusions) // 2],
    ]


def _title(run: Examined, place: int) -> str:
    said = f"taken for {run.subject.name(run.said[place])} ({run.confidence[place]:.1%})"
    label = run.subject.name(run.labels[place])
    return f"{run.of_test(place).capitalize()}: {label}, {said}"


def _galleries(
    run: Examined, number: int, place: int, image: np.ndarray, made: list[tuple[str, Explanation, np.ndarray]]
) -> list[Block]:
    shown = [Shown(picture(image, run.of_test(place)), (f"is {run.subject.name(run.labels[place])}",))]
    covered = []
    for name, explanation, classes in made:
        values = explanation.map[number]
        scaled = overlay(image, values)
        called = run.subject.name(classes[number])
        evidence = "no positive evidence" if (values <= 0).all() else f"strongest {where(values)}"
        alt = f"{name} for {called} of {run.of_test(place)}: {evidence}"
        what = [] if explanation.method == "occlusion" else [f"for {called}: {explanation.values[number]:.3g}"]
        lines = name, *what, f"±{scaled.limit:.2g}, {evidence}"
        (covered if explanation.method == "occlusion" else shown).append(Shown(picture(scaled.pixels, alt), lines))
    return [Gallery(tuple(shown), WIDTH), Gallery(tuple(covered), WIDTH)]


def _table(checked: dict[str, Checks], number: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, checks in checked.items():
        off = "" if checks.completeness is None else f"{abs(checks.completeness[number]):.1%}"
        rows.append((
            name, f"{checks.randomization[-1, number]:.2f}", f"{checks.edge_similarity[number]:.2f}",
            f"{checks.deletion.by_map[number]:.3g} / {checks.deletion.by_chance[number]:.3g}",
            f"{checks.insertion.by_map[number]:.3g} / {checks.insertion.by_chance[number]:.3g}", off,
            "; ".join(checks.warnings(number)) or "none",
        ))  # fmt: skip
    head = (
        "map",
        "like redrawn weights",
        "like edges",
        "deletion / elsewhere",
        "insertion / elsewhere",
        "sum off by",
        "doubts",
    )
    return Table(
        "What the maps are worth: rank correlations; mean logits while covered or shown", head, tuple(rows), "<>>>>><"
    )
