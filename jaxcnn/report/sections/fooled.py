"""How easily the network is fooled: by small changes that are meant to, and by what befalls images anyway."""

from __future__ import annotations

import numpy as np

from jaxcnn.charts.svg import Axis, Line, curves
from jaxcnn.host.text import counted
from jaxcnn.report.blocks import Bar, Block, Cell, Details, Gallery, Heading, Plot, Row, Section, Shown, Table, Text
from jaxcnn.report.corruptions import CORRUPTIONS, corrupted
from jaxcnn.report.estimates import proportion
from jaxcnn.report.examined import Examined
from jaxcnn.report.images import picture
from jaxcnn.visualize.attack import adversarial, smallest_epsilon
from jaxcnn.visualize.batching import batches
from jaxcnn.visualize.pictures import around_gray

LARGEST = 16  # steps of 8 bits
STEPS = 10
IMAGES, BUDGET = 256, 1e12  # that are attacked
SPOILT, SPOILING = 500, 8e11  # that are corrupted
PAIRS = 3
WIDTH = 84  # of an image on the page


def fooled(run: Examined) -> Section:
    """Accuracy against the size of a change, example pairs at the least that turns them; accuracy of spoilt images."""
    rounds = int(np.ceil(np.log2(LARGEST + 2)))
    count = run.affordable(rounds * 3 * STEPS, min(IMAGES, len(run.labels)), BUDGET)
    places = np.linspace(0, len(run.labels) - 1, count, dtype=int)
    least = _least(run, places)
    right = [int((least > size).sum()) for size in range(LARGEST + 1)]
    half = next((size for size, n in enumerate(right) if 2 * n < right[0]), None)
    lead = (
        f"A change of at most 1 of 255 gray levels, which nobody sees, leaves {right[1] / count:.1%} of "
        f"{counted(count, 'test image')} right, instead of {right[0] / count:.1%}; "
        + (
            f"{half} of 255 leave less than half of those."
            if half
            else f"{LARGEST} of 255 leave more than half of those."
        )
    )
    spoilt = run.affordable(sum(len(each.levels) for each in CORRUPTIONS), min(SPOILT, len(run.labels)), SPOILING)
    blocks: list[Block] = [
        Row((_curve(right, count), _table(right, count))), *_pairs(run, places, least), *_corruptions(run, spoilt),
    ]  # fmt: skip
    passes = count * rounds * (3 * STEPS + 1) + spoilt * sum(len(each.levels) for each in CORRUPTIONS)
    return Section("How easily it is fooled", lead, tuple(blocks), passes)


def _least(run: Examined, places: np.ndarray) -> np.ndarray:
    found = []
    for _, part in batches(places, min(run.at_once, len(places))):
        images, labels = run.test.images[part], run.test.labels[part]
        found.append(
            smallest_epsilon(
                *run.network, images, labels, most=LARGEST, steps=STEPS, prepare=run.subject.prepare
            )
        )  # fmt: skip
    return np.concatenate(found)[: len(places)]


def _curve(right: list[int], count: int) -> Plot:
    shares = [proportion(n, count) for n in right]
    points = [(size, 100 * share.share) for size, share in enumerate(shares)]
    spans = [(100 * share.low, 100 * share.high) for share in shares]
    told = ", ".join(f"{size}: {value:.1f}%" for size, value in points)
    svg = curves(
        [Line("", points, spans)], Axis("largest change of a pixel, of 255", 0, LARGEST), Axis("right, %", 0, 100),
        f"accuracy by the largest change of a pixel, in steps of 255: {told}",
    )  # fmt: skip
    return Plot(svg, "What is left of the accuracy. Bars are 95% intervals.")


def _table(right: list[int], count: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for size in (0, 1, 2, 4, 8, LARGEST):
        share = proportion(right[size], count)
        rows.append((f"{size}/255", Bar(share.text(), share.share)))
    caption = (
        f"Right after the least change that {STEPS} steps of projected gradient descent find (Madry et al. 2018), in "
        "steps of 8 bits. A better attack can only find less."
    )
    return Table(caption, ("change", "right (95% interval)"), tuple(rows), ">>")


def _pairs(run: Examined, places: np.ndarray, least: np.ndarray) -> list[Block]:
    turned = np.flatnonzero((least > 0) & (least <= LARGEST))
    if not len(turned):
        return [Text("No image that was right could be turned.")]
    order = turned[np.argsort(least[turned], kind="stable")]
    chosen = order[np.linspace(0, len(order) - 1, min(PAIRS, len(order)), dtype=int)]
    images, labels = run.test.images[places[chosen]], run.test.labels[places[chosen]]
    made = adversarial(*run.network, images, labels, least[chosen], steps=STEPS, prepare=run.subject.prepare)
    after = run.subject.shares(made.images)
    triples = []
    for number, place in enumerate(places[chosen]):
        difference = made.images[number].astype(int) - images[number]
        size = int(abs(difference).max())
        name, became = run.subject.name(labels[number]), int(after[number].argmax())
        shown = (
            Shown(picture(images[number], run.of_test(place)), (name, f"{run.confidence[place]:.1%}"), "right"),
            Shown(picture(around_gray(difference, max(1, size)).pixels, f"what is added to {run.of_test(place)}"),
                  (f"plus at most {size}/255", f"{127.5 / max(1, size):.0f} times stronger")),
            Shown(picture(made.images[number], f"{run.of_test(place)}, changed by at most {size}/255"),
                  (run.subject.name(became), f"{after[number, became]:.1%}"),
                  "right" if became == labels[number] else "wrong"),
        )  # fmt: skip
        triples.append(Gallery(shown, WIDTH))
    flat = int(made.flat.sum())
    note = [Text(f"{flat} of these had no gradient at all, which says nothing of the network.", "note")] if flat else []
    title = Heading("The easiest, the median and the hardest to turn")
    told = Text("The image, what is added to it, and the result as a file of 8 bits holds it.", "note")
    return [title, told, Row(tuple(triples), least=285), *note]


def _corruptions(run: Examined, count: int) -> list[Block]:
    places = np.linspace(0, len(run.labels) - 1, count, dtype=int)
    images, labels = run.test.images[places], run.labels[places]
    lines, rows = [Line("", [])], []
    clean = float((run.said[places] == labels).mean())
    for corruption in CORRUPTIONS:
        points = [(0.0, 100 * clean)]
        for number, level in enumerate(corruption.levels, start=1):
            said = np.concatenate([
                run.subject.shares(batch).argmax(1)
                for _, batch in batches(corrupted(images, corruption, level), min(run.at_once, count))
            ])[:count]  # fmt: skip
            points.append((float(number), 100 * float((said == labels).mean())))
        lines.append(Line(corruption.name, points))
        cells = [f"{value:.1f}% at {level:g}" for (_, value), level in zip(points[1:], corruption.levels, strict=True)]
        rows.append((f"{corruption.name} ({corruption.unit})", *cells))
    told = "; ".join(f"{line.name} {line.points[-1][1]:.0f}% at the strongest" for line in lines[1:])
    svg = curves(
        lines[1:],
        Axis("level, from none to strong", 0, 5),
        Axis("right, %", 0, 100),
        f"accuracy of spoilt images: {told}",
    )
    table = Table("Accuracy at each level", ("corruption", *(f"level {n}" for n in range(1, 6))), tuple(rows), "<>>>>>")
    spoilt = corrupted(images[:1], CORRUPTIONS[0], CORRUPTIONS[0].levels[2])[0]
    pictures = [Shown(picture(images[0], run.of_test(places[0])), ("as it is",))]
    for corruption in CORRUPTIONS:
        level = corruption.levels[2]
        spoilt = corrupted(images[:1], corruption, level)[0]
        alt = f"{run.of_test(places[0])} with {corruption.name} of {level:g} {corruption.unit}"
        pictures.append(Shown(picture(spoilt, alt), (corruption.name, f"{level:g} {corruption.unit}")))
    lead = Text(f"Of {counted(count, 'test image')}, {clean:.1%} of which are right as they are.", "note")
    drawn = Row((Plot(svg), Gallery(tuple(pictures), 72, "Level 3 of each")))
    return [Heading("Spoilt images"), lead, drawn, Details("Numbers", (table,))]
