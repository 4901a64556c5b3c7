"""What a run comes to: one sentence and a few figures."""

from __future__ import annotations

from typing import NamedTuple

from jaxcnn.host.text import counted
from jaxcnn.readings.cost import layers, totals
from jaxcnn.report.estimates import Interval, proportion
from jaxcnn.report.examined import Examined


class Head(NamedTuple):
    """A sentence, and figures: what it is, the figure, and what stands beside it."""

    verdict: str
    figures: list[tuple[str, str, str]]


def accuracy(run: Examined) -> Interval:
    """The share of the test images that result.json says to be right, with its interval."""
    count = len(run.dataset.test.labels)
    return proportion(round(run.result["test_accuracy"] * count), count)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def magnitude(number: float) -> str:
    """A large number in three digits: 61,706 is "61.7 k", 40.6 million "40.6 M"."""
    for unit, name in (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"):
        if number >= unit:
            return f"{number / unit:.3g}{name}"
    return f"{number:.0f}"


def head(run: Examined) -> Head:
    """The sentence and the figures at the top of the page."""
    result, share = run.result, accuracy(run)
    total = totals(layers(run.subject.net, run.subject.shape))
    epochs = len(run.finished.rows) or result["epochs"]
    best = f", the best by the validation images being epoch {result['best_epoch']}" if "best_epoch" in result else ""
    verdict = (
        f"{result['network']} is right on {share.share:.2%} of {counted(len(run.dataset.test.labels), 'test image')} "
        f"({share.low:.1%} to {share.high:.1%} with 95% confidence), after {counted(epochs, 'epoch')} over "
        f"{counted(len(run.dataset.train.labels), 'image')}, which took {duration(result['seconds'])} on "
        f"{result['machine']}{best}."
    )
    most = int(max((run.dataset.test.labels == label).sum() for label in range(len(run.subject.classes))))
    figures = [
        ("accuracy", f"{share.share:.2%}", f"{share.low:.1%} to {share.high:.1%} at 95%"),
        ("loss", f"{result['test_loss']:.4f}", "nats, cross-entropy"),
        ("to beat", f"{most / len(run.dataset.test.labels):.1%}", "the most frequent class"),
        ("parameters", magnitude(total["parameters"]), f"{total['parameters']:,}"),
        ("operations", magnitude(total["macs"]), "multiply-accumulates an image"),
        ("training", duration(result["seconds"]), f"{result['images_per_second']:,.0f} images/s"),
    ]
    return Head(verdict, figures)
