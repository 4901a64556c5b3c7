"""`jaxcnn bench augment`: every augmentation of the lectures' table, beside other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jaxcnn.bench.augmenters import MAKERS, OURS, SIDE
from jaxcnn.bench.goals import Goal, fastest
from jaxcnn.bench.measure import Contender, Plan, Timing, interleave, ratio
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.tables import table

Say = Callable[[str], None]
BATCHES = (1, 32, 128)
LECTURE = {
    "perspective": 0.20, "jiggle": 0.83, "affine": 0.18, "vertical flip": 0.01, "horizontal flip": 0.01, "rotate": 0.17,
    "crop": 0.08, "erasing": 0.57, "grayscale": 0.03, "resized crop": 0.13, "center crop": 0.07,
}  # fmt: skip
"""The lectures' column: Kornia on a GPU at batch 128, milliseconds an image."""
MOVED = ("vertical flip", "horizontal flip", "crop", "center crop")  # pixels, which stay what they are
BATCHED = ("torchvision", "kornia", "augmax", "dm_pix")


@dataclass(frozen=True)
class Measured:
    """The timings of one row at one batch size, an image."""

    row: str
    batch: int
    timings: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose: `ROW/BATCH`."""
    return [f"{row}/{batch}" for row in OURS for batch in BATCHES]


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Time one chosen row after the other. `batch` is not used: a row has its own."""
    for name in chosen:
        row, _, size = name.partition("/")
        images = photographs(int(size))
        contenders = []
        for peer in peers:
            try:
                work = MAKERS[peer.name](row, images)
                work()
            except KeyError:
                continue
            except Exception as error:
                first_line = next(iter(str(error).splitlines()), "")[:100]
                notes.append(f"{peer.name} is left out of {row}: {type(error).__name__}: {first_line}.")
                continue
            contenders.append(Contender(peer.name, work, int(size)))
        timings = interleave(contenders, plan)
        say(f"{name}: " + ", ".join(f"{who} {1e3 * timing.median:.3f} ms" for who, timing in timings.items()))
        yield Measured(row, int(size), timings)


def photographs(count: int) -> np.ndarray:
    """Parts of the two photographs that come with scikit-learn, (count, 224, 224, 3)."""
    from sklearn.datasets import load_sample_images

    whole = load_sample_images().images
    corners = np.random.default_rng(0).integers(0, (427 - SIDE, 640 - SIDE), (count, 2))
    parts = [whole[n % 2][top : top + SIDE, left : left + SIDE] for n, (top, left) in enumerate(corners)]
    return np.stack(parts)


def goals(row: str, batch: int) -> list[Goal]:
    """What is wanted of a row: of batches, half the time of what computes them at once, flips and crops all of it."""
    if batch == 1:
        return []
    half = Goal(1.0 if row in MOVED else 0.5, BATCHED, "batched peers")
    return [half, Goal(1.5, ("albumentations",), "albumentations")]


LEGEND = """\
Milliseconds of wall time an image of 224x224, uint8 (kornia, dm_pix and augmax compute in float32), numbers drawn anew
for each image, the median over rounds in which all run in turn. torchvision and albumentations take one image at a
time. The resized crops of jaxcnn and torchvision are antialiased, the others are not. A goal is met where the median of
jaxcnn's time over the best one's is at most the limit. "lecture" is Kornia on a GPU, at batch 128.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """A table for each batch size."""
    parts = [LEGEND]
    for size in dict.fromkeys(result.batch for result in results):
        of_size = [result for result in results if result.batch == size]
        who = [name for name in MAKERS if any(name in result.timings for result in of_size)]
        rows = []
        for result in of_size:
            own, best = result.timings["jaxcnn"], fastest(result.timings, BATCHED)
            cells = [f"{1e3 * result.timings[name].median:.3f}" if name in result.timings else "-" for name in who]
            over = f"{ratio(own, result.timings[best]).median:.2f}" if best else "-"
            verdicts = "; ".join(goal.verdict(result.timings) for goal in goals(result.row, size)) or "-"
            rows.append([result.row, *cells, f"{LECTURE[result.row]:.2f}", over, verdicts])
        header = ["ms an image", *who, "lecture", "to best batched", "wanted"]
        parts += [f"## Batch {size}\n", table(header, rows), ""]
    return "\n".join(parts)
