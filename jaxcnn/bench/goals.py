"""What is wanted: a contender's time over that of the fastest of some others, and whether it was reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxcnn.bench.measure import Timing, ratio
from jaxcnn.bench.peers import PYTORCH


@dataclass(frozen=True)
class Goal:
    """The time of `of` shall be at most `limit` times that of the fastest of `over`, which the tables call `label`."""

    limit: float
    over: tuple[str, ...] = PYTORCH
    label: str = "PyTorch"
    of: str = "jaxcnn"

    def verdict(self, timings: Mapping[str, Timing]) -> str:
        """`≤ 4 of PyTorch: met (1.52)`, `within spread`, `MISSED` or `not measured`.

        Within spread: the median of the ratio is above the limit, but its first quartile is not.
        """
        wanted = f"≤ {self.limit:g} of {self.label}"
        best = fastest(timings, self.over)
        if best is None or self.of not in timings:
            return f"{wanted}: not measured"
        quotient = ratio(timings[self.of], timings[best])
        if quotient.median <= self.limit:
            mark = "met"
        elif quotient.quartiles[0] <= self.limit:
            mark = "within spread"
        else:
            mark = "**MISSED**"
        return f"{wanted}: {mark} ({quotient.median:.2f})"


def fastest(timings: Mapping[str, Timing], among: tuple[str, ...]) -> str | None:
    """The name with the least median time, or None where none of them was measured."""
    present = [name for name in among if name in timings]
    return min(present, key=lambda name: timings[name].median, default=None)


def never_slower(*peers: str) -> tuple[Goal, ...]:
    """A goal of 1.0 against each of the peers."""
    return tuple(Goal(1.0, (peer,), peer) for peer in peers)
