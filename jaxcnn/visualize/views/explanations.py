"""Where a network looks: images, what it says of them, and what speaks for it, by several methods."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.charts.panels import Panel, Picture
from jaxcnn.host.text import printable
from jaxcnn.visualize.checks import Checks, check
from jaxcnn.visualize.explanation import METHODS, Explanation, explain
from jaxcnn.visualize.pictures import CLIPPED, around_gray, overlay, where
from jaxcnn.visualize.scores import Logit
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, image_needed, label_of, shown_image, top_bars

COLORED = ("guided", "deconvnet")  # whose gradient is looked at as an image


def explanations(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image: it, its most probable classes, and a map for each class and method.

    Raises ValueError without an image, and for what the network does not admit.
    """
    image_needed(shown, "an explanation")
    shares = subject.shares(shown.images)
    chosen = [np.full(len(shown.images), number) for number in asked.classes] or [shares.argmax(1)]
    rows: list[list[Panel]] = []
    for number in range(len(shown.images)):
        bars = top_bars(subject, shares[number], label_of(shown, number))
        rows.append([shown_image(subject, shown, number), bars])
    sentences: list[str] = []
    numbers = {"images": shown.images, "probabilities": shares}
    for which, classes in enumerate(chosen):
        for method in asked.methods:
            made, checks = _explained(subject, shown, asked, method, classes)
            numbers[f"{method}_{which}"] = made.map
            for number, row in enumerate(rows):
                name = subject.name(classes[number])
                share = shares[number, classes[number]]
                panel, sentence = _panel(made, checks, number, name, float(share), shares.shape[1], shown)
                row.append(panel)
                sentences.append(f"{printable(shown.names[number])}: {sentence}")
    panels = [panel for row in rows for panel in row]
    title = f"red speaks for the class, blue against it; {1 - CLIPPED:.1%} of the pixels are beyond the scale"
    return View(panels, len(rows[0]), title, sentences, numbers)


def _explained(
    subject: Subject, shown: Shown, asked: Asked, method: str, classes: np.ndarray
) -> tuple[Explanation, Checks | None]:
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    options = {}
    if method == "integrated_gradients":  # from black
        options |= {"baseline": subject.prepare(jnp.zeros((1, *subject.shape))), "tolerance": asked.tolerance}
    if method == "occlusion" and asked.window is not None:
        options["window"] = asked.window
    x = subject.take(shown.images)
    arrays = subject.net, subject.params, subject.batch_stats, x
    at = asked.at if "cam" in method else None
    made = explain(*arrays, Logit(classes), method, at, **options)
    if method == "integrated_gradients":
        made = made._replace(about=f"from black in {made.about}")
    return made, check(*arrays, made, jax.random.key(asked.seed)) if asked.checked else None


def _panel(
    made: Explanation, checks: Checks | None, number: int, name: str, share: float, classes: int, shown: Shown
) -> tuple[Picture, str]:
    values = made.map[number]
    colored = made.method in COLORED and made.raw[number].shape == shown.images[number].shape
    scaled = around_gray(made.raw[number]) if colored else overlay(shown.images[number], values)
    chance = f", no more than chance, {1 / classes:.1%}" if share * classes <= 1 else ""
    score = f"logit {made.values[number]:.3g}, {share:.1%}{chance}"
    if not values.any():
        evidence = "no evidence: the map is 0 everywhere"
    elif (values <= 0).all():
        evidence = "no positive evidence"
    else:
        evidence = f"strongest {where(values)}"
    white = f"; gray is 0, white {scaled.limit:.2g}" if colored else ""
    lines = [f"{score}; {evidence}", made.about + white]
    warnings: list[str] = []
    if checks is not None:
        lines += _told(checks, number)
        warnings = checks.warnings(number)
        lines += [f"! {warning}" for warning in warnings]
    sentence = (
        f"{made.method} of {printable(name)} ({score}): {evidence}; {made.about}, at most {np.abs(values).max():.3g}"
    )
    if checks is not None:
        sentence += f"; {'; '.join(_told(checks, number))}" + "".join(f"; WARNING: {warning}" for warning in warnings)
    picture = Picture(
        scaled.pixels, f"{made.method}: {name}", "\n".join(lines), None if colored else scaled.limit or None
    )
    return picture, sentence


def _told(checks: Checks, number: int) -> list[str]:
    """What the checks found, in words, a line each."""
    others = "" if checks.class_similarity is None else f", of the next class {checks.class_similarity[number]:.2f}"
    random, edges = checks.randomization[-1, number], checks.edge_similarity[number]
    lines = [f"like that of random weights {random:.2f}{others}, edges {edges:.2f}"]
    for name, curve in ("deletion", checks.deletion), ("insertion", checks.insertion):
        beside = f"elsewhere {curve.by_chance[number]:.3g}, edges {curve.by_edges[number]:.3g}"
        lines.append(f"{name} {curve.by_map[number]:.3g}, {beside}")
    return (
        lines if checks.completeness is None else [*lines, f"its sum is off by {abs(checks.completeness[number]):.1%}"]
    )
