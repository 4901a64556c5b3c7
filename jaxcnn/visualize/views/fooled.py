"""How little an image must change for a network to say something else of it."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.panels import Bars, Panel, Picture
from jaxcnn.data.batches import padded
from jaxcnn.host.text import counted, printable
from jaxcnn.visualize.attack import adversarial, smallest_epsilon
from jaxcnn.visualize.batching import at_once
from jaxcnn.visualize.pictures import around_gray, saved
from jaxcnn.visualize.subject import Subject
from jaxcnn.visualize.views.view import Asked, Shown, View, image_needed, label_of, shown_image, top_bars

MOST = 16  # steps of 8 bits that the smallest change is looked for in
QUALITIES = (90, 75)  # of JPEG
EPSILONS = (0, 1, 2, 4, 8)  # steps of 8 bits
ATTACKED = 512  # test images, evenly taken


def fooled(subject: Subject, shown: Shown, asked: Asked) -> View:
    """A row for each image: it, the changed one as a PNG holds it, their difference, and what is said of either.

    What is left of the change is told for files of JPEG, too.
    It is turned towards the class that is asked for, or away from the one that is most probable. Raises ValueError
    without an image, and for several classes.
    """
    image_needed(shown, "an attack")
    if len(asked.classes) > 1:
        raise ValueError(f"images are turned to one class, not to {len(asked.classes)}")
    target = asked.classes[0] if asked.classes else None
    before = subject.shares(shown.images)
    labels = before.argmax(1)
    network = subject.net, subject.params, subject.batch_stats
    found = adversarial(*network, shown.images, labels, asked.epsilon, target, prepare=subject.prepare)
    changed = np.stack([saved(image) for image in found.images])
    after = subject.shares(changed)
    left = {quality: subject.shares(np.stack([saved(image, quality) for image in changed])) for quality in QUALITIES}
    least = smallest_epsilon(*network, shown.images, labels, most=MOST, prepare=subject.prepare)
    panels: list[Panel] = []
    sentences = []
    for number, name in enumerate(shown.names):
        difference = changed[number].astype(int) - shown.images[number]
        was, became = (subject.name(shares[number].argmax()) for shares in (before, after))
        told = f"{printable(was)} {before[number].max():.1%} becomes {printable(became)} {after[number].max():.1%}"
        enough = (
            f"{counted(int(least[number]), 'step')} of 8 bits" if least[number] <= MOST else f"more than {MOST} steps"
        )
        flat = "; its loss has no gradient, which says nothing of it" if found.flat[number] else ""
        size = int(abs(difference).max())
        limit = f"changed by at most {size}/255"
        kept = "after JPEG " + ", ".join(
            f"of quality {quality} {subject.name(shares[number].argmax())} {shares[number].max():.1%}"
            for quality, shares in left.items()
        )
        label = label_of(shown, number)
        panels += [
            shown_image(subject, shown, number), top_bars(subject, before[number], label, "before"),
            Picture(around_gray(difference, max(1, size)).pixels, "difference", f"{limit}, gray is 0"),
            Picture(changed[number], "after", f"least that turns it: {enough}{flat}; {kept}"),
            top_bars(subject, after[number], label, "after"),
        ]  # fmt: skip
        sentences.append(f"{printable(name)}: {told}; {limit}; {kept}; least that turns it: {enough}{flat}")
    numbers = {"images": shown.images, "changed": changed, "before": before, "after": after, "least": least}
    numbers |= {f"jpeg_{quality}": shares for quality, shares in left.items()}
    return View(panels, 5, f"turned by at most {asked.epsilon}/255", sentences, numbers, 1.9)


def robustness(subject: Subject, shown: Shown, asked: Asked) -> View:
    """The share of test images that are right after changes of 0, 1, 2, 4 and 8 steps of 8 bits.

    Raises ValueError without test images.
    """
    if asked.tests is None:
        raise ValueError("robust accuracy is that of the test images of a run, and published weights have none here")
    places = np.linspace(0, len(asked.tests.labels) - 1, min(ATTACKED, len(asked.tests.labels)), dtype=int)
    images, labels = np.asarray(asked.tests.images[places]), asked.tests.labels[places]
    network = subject.net, subject.params, subject.batch_stats
    right = {}
    for epsilon in EPSILONS:
        found = np.concatenate([
            adversarial(*network, images[ids], labels[ids], epsilon, prepare=subject.prepare).logits[counts > 0]
            for ids, counts in padded(np.arange(len(labels)), at_once(subject.shape))
        ])  # fmt: skip
        right[epsilon] = float((found.argmax(1) == labels).mean())
    names = [f"{epsilon}/255" for epsilon in EPSILONS]
    title = f"right of {counted(len(labels), 'test image')}, changed by at most so much"
    sentences = [
        f"changed by at most {name}: {share:.1%} right" for name, share in zip(names, right.values(), strict=True)
    ]
    numbers = {"epsilons": np.array(EPSILONS), "accuracy": np.array([*right.values()])}
    return View(
        [Bars(names, [*right.values()], "10 steps of projected gradient descent")], 1, title, sentences, numbers, 4.5
    )
