"""`jaxcnn bench see`: explanations, maximization and attacks, beside the libraries that people use for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from jaxcnn.bench import seeing
from jaxcnn.bench.agreement import Disagreement, check_equal
from jaxcnn.bench.goals import Goal, fastest
from jaxcnn.bench.measure import Contender, Plan, Timing, interleave, ratio
from jaxcnn.bench.peers import EXPLAINERS, Peer
from jaxcnn.bench.seeing import PASSES, Problem, Work
from jaxcnn.bench.summary import Line, milliseconds, times
from jaxcnn.bench.tables import table
from jaxcnn.readings.cost import macs

Say = Callable[[str], None]
PEERS = tuple(peer.name for peer in EXPLAINERS[1:])
HALF = Goal(0.5, PEERS, "the best peer")
NEAR, SHARE = 1e-3, 0.99  # a pixel moves by 0.008 and more in a step: nearly all must move alike
TRIES = 2  # of every way of a peer
STEPPED = ("64 filters maximized", "PGD of 64 images")


@dataclass(frozen=True)
class Measured:
    """The timings of one row, and how many operations it takes."""

    row: str
    timings: dict[str, Timing]
    flops: int


def names() -> list[str]:
    """What `--cases` can choose."""
    return list(PASSES)


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Compare and time one chosen row after the other. `batch` is not used: a row has its own."""
    given = seeing.problem()
    flops = 2 * macs(given.net, seeing.SHAPE)
    for row in chosen:
        own = seeing.by_jaxcnn(row, given)
        expected = seeing.by_jaxcnn(row, given, fewer=True)()
        own()
        contenders = [Contender("jaxcnn", own)]
        for peer in peers:
            if peer.name == "jaxcnn":
                continue
            try:
                how, work = _best_way(peer.name, row, given, expected)
            except KeyError:
                continue
            notes.append(f"{row}: {peer.name} is timed as it is fastest here: {how}.")
            contenders.append(Contender(peer.name, work))
        timings = interleave(contenders, plan)
        say(f"{row}: " + ", ".join(f"{who} {1e3 * timing.median:.1f} ms" for who, timing in timings.items()))
        yield Measured(row, timings, PASSES[row] * flops)


def _best_way(name: str, row: str, given: Problem, expected: list[np.ndarray]) -> tuple[str, Work]:
    """A peer's fastest way to do a row, once it is seen to do the same.

    Raises KeyError where it has none, and Disagreement.
    """
    from jaxcnn.bench.explainers import MAKERS, as_grad_cam

    ways = MAKERS[name](row, given, True)  # a few steps tell which is the fastest
    if name == "grad-cam":
        expected = as_grad_cam(expected)
    least = {}
    for how, work in ways.items():
        check_alike(f"{name} ({row}, {how})", row, work(), expected)
        least[how] = min(_seconds(work) for _ in range(TRIES))
    how = min(least, key=lambda each: least[each])
    return how, MAKERS[name](row, given, False)[how]


def _seconds(work: Work) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def check_alike(name: str, row: str, found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Raise Disagreement unless the results are the same; of steps by signs, unless nearly all pixels are."""
    if row not in STEPPED:
        return check_equal(name, found, expected)
    for one, other in zip(found, expected, strict=True):
        share = float((np.abs(one - other) < NEAR).mean())
        if share < SHARE:
            raise Disagreement(f"{name} disagrees with jaxcnn: only {share:.1%} of the pixels are the same")


LEGEND = """\
Milliseconds of wall time, the median over rounds in which all run in turn, and the quartiles: of ResNet-20 with images
of 32x32, from arrays to arrays. Occlusion has {windows} windows of 8x8, two pixels apart; Grad-CAM is that of the ends
of the three stages; integrated gradients take {points} points, of one image; the {filters} filters are those of the
last stage, {ascent} steps of Adam each; PGD takes {descent} steps. Each peer first gave the same numbers, and is timed
in the memory layout and with as many images at once as are fastest here. None of the libraries maximizes: the peer of
that row is a loop in PyTorch. GFLOP/s count the multiplications and additions of all passes through the network,
forward and back to the image, as they are defined. A goal is met where the median of jaxcnn's time over the best one's
is at most the limit.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """The ratios and goals, and all times."""
    rows = []
    for result in results:
        own, best = result.timings["jaxcnn"], fastest(result.timings, PEERS)
        speed = result.flops / own.median
        over = f"{ratio(own, result.timings[best]).median:.2f}" if best else "-"
        cells = milliseconds(own), f"{speed / 1e9:,.0f}", f"{speed / peak:.0%}", best or "-", over
        rows.append([result.row, *cells, HALF.verdict(result.timings)])
    header = ["row", "jaxcnn ms", "GFLOP/s", "of peak", "best peer", "ratio to it", "wanted"]
    lines = [Line(result.row, result.timings, result.flops, (HALF,)) for result in results]
    legend = LEGEND.format(
        windows=seeing.WINDOWS, points=seeing.POINTS, filters=seeing.FILTERS, ascent=seeing.ASCENT,
        descent=seeing.DESCENT,
    )  # fmt: skip
    parts = [legend, table(header, rows), "", times(lines), ""]
    both = {result.row: result.timings["jaxcnn"] for result in results if result.row.startswith("occlusion")}
    if len(both) == 2:
        one, every = both.values()
        parts += [
            f"Occlusion of all {seeing.CLASSES} classes takes {every.median / one.median:.2f} of that of one.",
            "",
        ]
    return "\n".join(parts)
