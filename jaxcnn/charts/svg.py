"""Curves, intervals and histograms as SVG: plain text that a page holds, colored by the page's own style.

Lines are told apart by color and by dashes. Colors are the classes `s0`, `s1`, ... of whoever shows the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 28, 36  # around the area of the data


@dataclass(frozen=True)
class Line:
    """Points (x, y) with a name; `spans` are an interval (low, high) at each; `dots` leaves out the line itself."""

    name: str
    points: Sequence[tuple[float, float]]
    spans: Sequence[tuple[float, float]] = ()
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its label, the ends of its range where these are given, and whether it is logarithmic."""

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False


def curves(
    lines: Sequence[Line], x: Axis, y: Axis, alt: str, *, mark: tuple[float, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> str:  # fmt: skip
    """Lines over one axis, as SVG.

    Args:
      lines: at least one point together; what is not finite, or not positive on a logarithmic axis, is left out.
      x, y: the axes.
      alt: what is said of the picture to whoever cannot see it.
      mark: a place on the x axis and what it is called: a vertical line.
      size: width and height, in the units in which letters are 11 high.

    Raises:
      ValueError: no point is left.
    """
    kept = [_finite(line, x, y) for line in lines]
    if not any(line.points for line in kept):
        raise ValueError("a chart has at least one point")
    across = _Scale.over([p[0] for line in kept for p in line.points], x, (LEFT, size[0] - RIGHT))
    heights = [v for line in kept for v in (*(p[1] for p in line.points), *(e for span in line.spans for e in span))]
    up = _Scale.over(heights, y, (size[1] - BOTTOM, TOP))
    parts = [_grid(across, up, x.label, y.label, size)]
    if mark:
        at = across(mark[0])
        side, anchor = (4, "start") if at < (LEFT + size[0]) / 2 else (-4, "end")
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{size[1] - BOTTOM}"/>')
        parts.append(_text(at + side, TOP + 10, mark[1], anchor))
    parts += [_drawn(line, number, across, up) for number, line in enumerate(kept)]
    parts.append(_legend([line.name for line in kept]))
    return _picture("".join(parts), alt, size)


def histogram(counts: Sequence[int], alt: str, size: tuple[int, int] = (120, 26), zero: float | None = None) -> str:
    """Counts of bins as one filled shape; `zero`, between 0 and 1, is where a vertical line stands."""
    most, step = max(max(counts, default=0), 1), size[0] / max(len(counts), 1)
    ends = [
        (f"{n * step:.1f}", f"{(n + 1) * step:.1f}", f"{size[1] * (1 - c / most):.1f}") for n, c in enumerate(counts)
    ]
    path = f"M0,{size[1]}" + "".join(f"V{top}H{right}" for _, right, top in ends) + f"V{size[1]}Z"
    line = ""
    if zero is not None and 0 <= zero <= 1:
        at = f"{zero * size[0]:.1f}"
        line = f'<line class="mark" x1="{at}" x2="{at}" y1="0" y2="{size[1]}"/>'
    return _picture(f'<path class="fill s0" d="{path}"/>{line}', alt, size, "small")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart: at most `most` and one."""
    if not low < high:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    ends: tuple[float, float]
    log: bool

    @classmethod
    def over(cls, values: Sequence[float], axis: Axis, ends: tuple[float, float]) -> _Scale:
        low = min(values) if axis.low is None else axis.low
        high = max(values) if axis.high is None else axis.high
        if axis.log:
            low, high = math.log10(low), math.log10(high)
        for _ in range(0 if axis.log or low == high else 2):  # twice, as a wider range may have wider steps
            marks = ticks(low, high)
            step = marks[1] - marks[0] if len(marks) > 1 else high - low
            low = math.floor(low / step + 1e-9) * step if axis.low is None else low
            high = math.ceil(high / step - 1e-9) * step if axis.high is None else high
        if high - low < 1e-12:
            low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
        return cls(low, high, ends, axis.log)

    def __call__(self, value: float) -> float:
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return self.ends[0] + min(max(share, 0.0), 1.0) * (self.ends[1] - self.ends[0])

    def ticks(self) -> list[float]:
        if not self.log:
            return ticks(self.low, self.high)
        powers = [10.0**n for n in range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1)]
        if len(powers) >= 2:
            return powers[:: -(-len(powers) // 6)]
        return [value for value in ticks(10**self.low, 10**self.high) if value > 0]


def _finite(line: Line, x: Axis, y: Axis) -> Line:
    kept = [
        number
        for number, (across, up) in enumerate(line.points)
        if math.isfinite(across) and math.isfinite(up) and not (x.log and across <= 0) and not (y.log and up <= 0)
    ]
    spans = [line.spans[number] for number in kept] if line.spans else ()
    return Line(line.name, [line.points[number] for number in kept], spans, line.dots)


def _grid(across: _Scale, up: _Scale, x: str, y: str, size: tuple[int, int]) -> str:
    bottom, right = size[1] - BOTTOM, size[0] - RIGHT
    parts = []
    for value in up.ticks():
        at = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(LEFT - 6, at + 4, _number(value), "end"))
    for value in across.ticks():
        at = across(value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(_text(at, bottom + 16, _number(value), "middle"))
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(_text(right, size[1] - 4, x, "end"))
    parts.append(_text(0, 11, y, "start"))
    return "".join(parts)


def _drawn(line: Line, number: int, across: _Scale, up: _Scale) -> str:
    places = [(across(a), up(b)) for a, b in line.points]
    parts = []
    for (at, _), (low, high) in zip(places, line.spans, strict=False):
        parts.append(
            f'<line class="span s{number}" x1="{at:.1f}" x2="{at:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"/>'
        )
    if line.dots or len(places) == 1:
        parts += [f'<circle class="dot s{number}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in places]
    elif places:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline class="line s{number}" points="{path}"/>')
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    named = [(number, name) for number, name in enumerate(names) if name]
    parts, left = [], float(WIDTH - RIGHT)
    for number, name in reversed(named):
        left -= 6.2 * len(name)
        parts.append(_text(left, 11, name, "start"))
        left -= 24
        parts.append(f'<line class="line s{number}" x1="{left:.0f}" x2="{left + 18:.0f}" y1="7" y2="7"/>')
        left -= 12
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and 1 <= abs(value) < 1e6 else f"{value:.4g}"


def _picture(inside: str, alt: str, size: tuple[int, int], kind: str = "chart") -> str:
    return (
        f'<svg class="{kind}" role="img" aria-label="{escape(alt)}" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}">{inside}</svg>'
    )
