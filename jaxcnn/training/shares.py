"""Where the time of a training step goes: by kinds of operations and by layers, from a trace of the device."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from jaxcnn import spec
from jaxcnn.layout import Shape, walk
from jaxcnn.spec import Leaf, Spec
from jaxcnn.training.trace import Event

AROUND = {"augmentation": "augmentation", "teacher": "teacher", "loss": "loss", "update": "update"}
"""Scopes of a training step besides the layers, and what they are called here."""
BETWEEN = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
"""How XLA's operations are called by which devices exchange what they have."""
OTHER, WAITING, EXCHANGE = "other", "waiting for the next batch", "exchange between devices"
LEAST = 0.01  # of the time: what takes less is told together


class Source(NamedTuple):
    """What of a training step an operation belongs to."""

    kind: str
    layer: str = ""
    backward: bool = False


class Shares(NamedTuple):
    """What share of the time of so many steps went where; those of the kinds are 1 together."""

    steps: int
    milliseconds: float  # a step
    kinds: dict[str, float]
    layers: dict[str, float]


def kind_of(leaf: Leaf) -> str:
    """What kind of operation a layer is."""
    match leaf:
        case spec.Conv() | spec.ConvTranspose():
            return "convolutions"
        case spec.Dense() | spec.RadialBasis():
            return "dense layers"
        case spec.BatchNorm() | spec.LayerNorm() | spec.LocalResponseNorm():
            return "normalization"
        case spec.Act():
            return "activations"
        case spec.Pool() | spec.AdaptivePool() | spec.GlobalPool():
            return "pooling"
        case spec.Dropout() | spec.StochasticDepth():
            return "dropout"
        case spec.Bias() | spec.Scale():
            return "biases and scales"
        case spec.Shuffle() | spec.Upsample() | spec.Pad() | spec.Channels() | spec.Flatten() | spec.Identity():
            return "reshaping"
        case _:
            spec.unknown(leaf)


def sources(program: str, net: Spec, shape: Shape) -> tuple[str, dict[str, Source]]:
    """The name of a compiled training step, given as text, and what each of its operations belongs to.

    JAX writes beside an operation the scopes in which it was traced, layers and those of AROUND among them; of several
    that were fused it is those of the last one.
    """
    kinds = {row.path: Source(kind_of(row.leaf), row.path) for row in walk(net, shape)}
    kinds |= {scope: Source(kind) for scope, kind in AROUND.items() if scope not in kinds}
    name = re.match(r"HloModule ([^\s,]+)", program)
    found: dict[str, Source] = {}
    for operation, scopes in re.findall(r'^\s*(?:ROOT )?%?(\S+) = .*?op_name="([^"]*)"', program, re.MULTILINE):
        words = re.split(r"[/()]+", scopes)[:-1]  # the last one is the operation's own
        source = next((kinds[word] for word in words if word in kinds), Source(OTHER))
        if operation.startswith(BETWEEN):
            source = Source(EXCHANGE)
        found[operation] = source._replace(backward="transpose" in words)
    return name[1] if name else "", found


def own_times(events: Iterable[Event]) -> list[tuple[Event, float]]:
    """The time of each event without that of the events within it on its track."""
    found: list[tuple[Event, float]] = []
    open_: dict[int, list[int]] = defaultdict(list)  # by track, the places in `found` of those that have not ended
    for event in sorted(events, key=lambda event: (event.start, -event.duration)):
        within = open_[event.track]
        while within and found[within[-1]][0].end <= event.start:
            within.pop()
        if within:
            outer, own = found[within[-1]]
            found[within[-1]] = outer, own - event.duration
        within.append(len(found))
        found.append((event, event.duration))
    return found


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """How long at least one of some intervals lasts."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def shares(events: Sequence[Event], step: str, found: Mapping[str, Source], steps: int) -> Shares | None:
    """Where the time of some steps went, of which `events` is a trace; None where it holds no operation of theirs.

    While a program runs, its time is that of its operations, wherever they run beside each other; while none runs, the
    device waits. `step` is the name of the step's program, and `found` what its operations belong to; what else runs
    takes the batches.
    """
    operations = [event for event in events if event.operation]
    if not any(event.program == step for event in operations):
        return None
    runs: dict[tuple[str, ...], list[float]] = {}
    for number, event in enumerate(operations):
        run = (event.program, event.execution) if event.execution else (str(number),)
        start, end = runs.get(run, (event.start, event.end))
        runs[run] = [min(start, event.start), max(end, event.end)]
    begin, end = min(start for start, _ in runs.values()), max(end for _, end in runs.values())
    running = covered((start, end) for start, end in runs.values()) / (end - begin)
    times = own_times(operations)
    total = sum(own for _, own in times)
    kinds: dict[str, float] = defaultdict(float)
    layers: dict[str, float] = defaultdict(float)
    for event, own in times:
        source = found.get(event.operation, Source(OTHER)) if event.program == step else Source("taking batches")
        kinds[source.kind] += running * own / total
        if source.layer:
            layers[source.layer] += running * own / total
    return Shares(steps, (end - begin) / steps / 1e6, {**_descending(kinds), WAITING: 1 - running}, _descending(layers))


def _descending(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def told(found: Shares) -> str:
    """The shares as a sentence."""
    last = (OTHER, WAITING)
    large = {kind: share for kind, share in found.kinds.items() if share >= LEAST and kind not in last}
    waiting = found.kinds[WAITING]
    other = 1 - sum(large.values()) - waiting
    rest = ({OTHER: other} if other >= LEAST / 2 else {}) | {WAITING: waiting}
    parts = [f"{kind} {share:.0%}" for kind, share in (large | rest).items()]
    slowest = [f"{layer} {share:.0%}" for layer, share in list(found.layers.items())[:3]]
    layers = f"; the slowest layers are {', '.join(slowest)}" if slowest else ""
    return f"a step of {found.milliseconds:,.1f} ms, by {found.steps} of them: {', '.join(parts)}{layers}"
