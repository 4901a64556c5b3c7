"""What timings say: how fast this library is, beside whom, and whether that was wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxcnn.bench.goals import Goal, fastest
from jaxcnn.bench.measure import Timing, ratio
from jaxcnn.bench.peers import NAMES, PYTORCH
from jaxcnn.bench.tables import table

READING = """\
Times are milliseconds: the median over rounds, and the first and third quartile; in each round every contender runs in
turn. GFLOP/s count the multiplications and additions of the plain definition, whatever an algorithm saves. A ratio is
jaxcnn's time over another's: the median of the rounds' own ratios. A goal is met where that is at most the limit,
`within spread` where the first quartile of the ratios still is."""

HEADER = (
    "case", "jaxcnn ms", "GFLOP/s", "of peak", "best peer", "ratio to it", "to best PyTorch", "to lax", "wanted",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """The timings of one thing that was measured, how many operations it takes, and what was wanted."""

    label: str
    timings: Mapping[str, Timing]
    flops: int | None
    goals: Sequence[Goal]


def summary(lines: Sequence[Line], peak: float) -> str:
    """The table of ratios and goals; `peak` is in FLOP/s."""
    return table(HEADER, [_row(line, peak) for line in lines])


def times(lines: Sequence[Line], unit: str = "ms") -> str:
    """The table of all times."""
    present = list(dict.fromkeys(name for line in lines for name in line.timings))
    rows = [
        [line.label, *(milliseconds(line.timings[name]) if name in line.timings else "-" for name in present)]
        for line in lines
    ]
    return table([unit, *present], rows)


def milliseconds(timing: Timing) -> str:
    """`1.52 (1.49-1.60)`: the median and the quartiles, in milliseconds."""
    low, high = timing.quartiles
    return f"{_digits(1e3 * timing.median)} ({_digits(1e3 * low)}-{_digits(1e3 * high)})"


def _digits(value: float) -> str:
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def _row(line: Line, peak: float) -> list[str]:
    timings, own = line.timings, line.timings["jaxcnn"]
    speed = line.flops / own.median if line.flops else None
    best = fastest(timings, NAMES[1:])

    def over(name: str | None) -> str:
        return f"{ratio(own, timings[name]).median:.2f}" if name and name in timings else "-"

    return [
        line.label,
        milliseconds(own),
        f"{speed / 1e9:,.1f}" if speed else "-",
        f"{speed / peak:.1%}" if speed else "-",
        best or "-",
        over(best),
        over(fastest(timings, PYTORCH)),
        over("lax"),
        "; ".join(goal.verdict(timings) for goal in line.goals) or "-",
    ]
