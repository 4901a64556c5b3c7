"""How good the network is, how sure that is, and whether its probabilities mean what they say."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.svg import Axis, Line, curves
from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Bar, Block, Cell, Details, Plot, Row, Section, Table, Text
from jaxcnn.report.estimates import calibration, linear_accuracy, proportion
from jaxcnn.report.examined import Examined
from jaxcnn.report.verdict import accuracy

SIDE = 32  # pixels that the linear baseline sees of a side
EXAMPLES = 20_000  # training images that it is fitted to
OPEN = 20  # classes of a table that is open


def outcome(run: Examined) -> Section:
    """Accuracy and loss with intervals, by class, beside baselines; calibration."""
    share, count = accuracy(run), len(run.dataset.test.labels)
    lead = (
        f"{share.share:.2%} of {counted(count, 'test image')} are right; of all images like these, between "
        f"{share.low:.1%} and {share.high:.1%}, with 95% confidence."
    )
    blocks: list[Block] = [*_differs(run), Row((_figures(run), _calibration(run))), _classes(run)]
    return Section("Result", lead, tuple(blocks))


def _differs(run: Examined) -> list[Block]:
    """What is to be said where the page is of a sample, or sees other figures than training did."""
    blocks: list[Block] = []
    if len(run.labels) < len(run.dataset.test.labels):
        some = f"{len(run.labels):,} of {len(run.dataset.test.labels):,} test images"
        blocks.append(Text(f"What follows is of {some}, evenly spread: more would take too long.", "note"))
    elif abs(run.right.mean() - run.result["test_accuracy"]) > 0.5 / len(run.labels):
        blocks.append(
            Text(
                f"Computed again here, {run.right.mean():.2%} are right, not {run.result['test_accuracy']:.2%}: the "
                "data, the versions, the machine or the precision are not those of the training.", "warning",
            )
        )  # fmt: skip
    return blocks


def _figures(run: Examined) -> Table:
    top5 = run.result.get("test_top5")
    count = len(run.dataset.test.labels)
    majority = np.bincount(run.dataset.test.labels).max()
    rows: list[tuple[Cell, ...]] = [("accuracy", Bar(accuracy(run).text(), accuracy(run).share))]
    if top5 is not None and len(run.subject.classes) > 5:
        five = proportion(round(top5 * count), count)
        rows.append(("right class among the first five", Bar(five.text(), five.share)))
    linear = _linear(run)
    rows.append((f"a linear function of the pixels{_at_most(run)}", Bar(f"{linear:.1%}", linear)))
    rows.append(("always the most frequent class", Bar(f"{majority / count:.1%}", majority / count)))
    rows.append(("cross-entropy, nats", f"{run.result['test_loss']:.4f}"))
    rows.append(("that of equal probabilities", f"{np.log(len(run.subject.classes)):.4f}"))
    return Table(
        "Test figures, in parentheses the 95% interval (Wilson)", ("figure", "of the test images"), tuple(rows), "<>"
    )


def _linear(run: Examined) -> float:
    train, test = run.dataset.limited(EXAMPLES).train, run.test
    splits = [(_shrunk(split.images), split.labels) for split in (train, test)]
    return linear_accuracy(splits[0], splits[1], len(run.subject.classes))


def _at_most(run: Examined) -> str:
    return f" at {SIDE}x{SIDE}" if max(run.subject.shape[:2]) > SIDE else ""


def _shrunk(images: np.ndarray) -> np.ndarray:
    if max(images.shape[1:3]) <= SIDE:
        return images
    from jaxcnn.data.resize import fit

    return np.stack([fit(image, (SIDE, SIDE), images.shape[-1], "squash", None) for image in images])


def _calibration(run: Examined) -> Plot:
    found = calibration(run.confidence, run.right)
    shares = [proportion(int(right), int(count)) for right, count in zip(found.right, found.counts, strict=True)]
    points = [(100 * float(x), 100 * share.share) for x, share in zip(found.confidence, shares, strict=True)]
    spans = [(100 * share.low, 100 * share.high) for share in shares]
    told = ", ".join(f"{x:.0f}%: {y:.0f}% of {count:,}" for (x, y), count in zip(points, found.counts, strict=True))
    alt = f"calibration; where it says so, so many are right: {told}"
    axes = Axis("it says, %", 0, 100), Axis("it is right, %", 0, 100)
    svg = curves([Line("this network", points, spans, dots=True), Line("honest", [(0, 0), (100, 100)])], *axes, alt)
    mean = run.confidence.mean()
    way = "more" if mean > run.right.mean() else "less"
    return Plot(
        svg,
        f"Calibration. Expected error {found.error:.1%}, worst bin {found.largest:.1%}. On the mean it says {mean:.1%} "
        f"and is right in {run.right.mean():.1%}: {way} sure than it should be. Bars are 95% intervals.",
    )


def _classes(run: Examined) -> Block:
    rows: list[tuple[Cell, ...]] = []
    for label in range(len(run.subject.classes)):
        of, said = run.labels == label, run.said == label
        both = int((of & said).sum())
        recall, precision = proportion(both, int(of.sum())), proportion(both, int(said.sum()))
        cells = [Bar(each.text(), each.share) if both or each.share == 0 else "none" for each in (recall, precision)]
        rows.append((run.subject.name(label), f"{int(of.sum()):,}", *cells))
    head = ("class", "images", "of them found (recall)", "of those called so, are (precision)")
    table = Table("By class, with 95% intervals (Wilson)", head, tuple(rows), "<>>>")
    return table if len(rows) <= OPEN else Details(f"By each of {len(rows)} classes", (table,))
