"""Timing several contenders in turn, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

Clock = Callable[[], float]


@dataclass(frozen=True)
class Contender:
    """Something to be timed: `run` does the work once and returns when it is done, with its result.

    One run counts as `units` of work: the time reported is that of one unit.
    """

    name: str
    run: Callable[[], Any]
    units: int = 1


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Each of `rounds` rounds times every contender for about `target` seconds after one untimed run. A contender that
    has taken more than `budget` seconds in all leaves after `least` rounds. What a first run takes is measured
    `first_runs` times.
    """

    rounds: int = 15
    target: float = 0.03
    budget: float = 15.0
    least: int = 3
    first_runs: int = 3


QUICK = Plan(rounds=3, target=0.01, budget=2.0, least=1, first_runs=1)


@dataclass(frozen=True)
class Timing:
    """Seconds per unit, one figure a round, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        return quartiles(self.seconds)


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile, interpolated linearly."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(low), float(high)


def interleave(
    contenders: Sequence[Contender], plan: Plan, clock: Clock = time.perf_counter, seed: int = 0
) -> dict[str, Timing]:
    """Time all contenders, one after the other in each round, in an order drawn anew for each round.

    Every contender must have run before (compilation is not part of the time). Returns a timing for each name.
    """
    order, shuffle = list(contenders), random.Random(seed).shuffle
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    spent = dict.fromkeys(seconds, 0.0)
    collecting = gc.isenabled()
    gc.disable()
    try:
        for round_number in range(plan.rounds):
            shuffle(order)
            for contender in order:
                if round_number >= plan.least and spent[contender.name] > plan.budget:
                    continue
                start = clock()
                contender.run()  # warms the caches, and lets the threads of the contender before come to rest
                warm = clock()
                before = seconds[contender.name]
                guess = before[-1] * contender.units if before else warm - start
                repetitions = max(1, min(1000, math.ceil(plan.target / max(guess, 1e-9))))
                start_timed = clock()
                for _ in range(repetitions):
                    contender.run()
                end = clock()
                before.append((end - start_timed) / repetitions / contender.units)
                spent[contender.name] += end - start
    finally:
        if collecting:
            gc.enable()
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def ratio(timing: Timing, other: Timing) -> Timing:
    """The quotients of two contenders' times, round by round, of the rounds that both took part in."""
    return Timing(tuple(a / b for a, b in zip(timing.seconds, other.seconds, strict=False)))


def first_run(build: Callable[[], Callable[[], Any]], clock: Clock = time.perf_counter) -> float:
    """Seconds that the first run of something newly built takes: tracing, compiling and running it once."""
    run = build()
    start = clock()
    run()
    return clock() - start
