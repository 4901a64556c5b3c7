"""`jaxcnn bench step`: whole training steps, by every peer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

import jax
import numpy as np

from jaxcnn.bench import jaxcnn_network
from jaxcnn.bench.agreement import TOLERANCE, Disagreement, check_gradients
from jaxcnn.bench.goals import Goal, never_slower
from jaxcnn.bench.measure import Contender, Plan, Timing, first_run, interleave
from jaxcnn.bench.networks import NETWORKS, Gradients, Problem, Trainer, problem, without_dropout
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.summary import READING, Line, summary, times
from jaxcnn.readings.cost import macs

Say = Callable[[str], None]
SCAN = "jaxcnn-scan"
GOALS = (*never_slower("nnx", "keras", "torch"), Goal(1.1, ("jaxcnn",), "the step outside a scan", of=SCAN))
NOISE = 2.5  # times 1/sqrt(batch): how far off a first loss may be, relatively, where everyone draws its own dropout


@dataclass(frozen=True)
class Measured:
    """The timings of a network's step, and of the first step: tracing, compiling and running it."""

    name: str
    flops: int
    timings: dict[str, Timing]
    first: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose."""
    return list(NETWORKS)


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Time the step of one chosen network after the other. `notes` tells of peers that could not be compiled."""
    for name in chosen:
        build, shape = NETWORKS[name]
        net = build()
        given = problem(net, shape, batch)
        say(f"{name}: comparing gradients, then first steps, then the steps")
        _check_gradients(name, given._replace(net=without_dropout(net)), peers)
        first = _first_steps(given, [peer for peer in peers if not peer.compiled], plan)
        contenders = _contenders(name, given, peers, first, notes)
        timings = interleave(contenders, plan)
        say(f"{name}: " + ", ".join(f"{n} {1e3 * t.median:.3g} ms" for n, t in timings.items()))
        # forward, dx and dW cost a multiplication and an addition each; the first layer's dx, which nobody needs,
        # is counted as well
        yield Measured(name, 6 * batch * macs(net, shape), timings, first)


def trainer(given: Problem, peer: Peer) -> Trainer:
    """A network in training by a peer."""
    if peer.package == "torch":
        from jaxcnn.bench import torch_network

        return torch_network.trainer(given, peer)
    return import_module(f"jaxcnn.bench.{peer.name}_network").trainer(given)


def gradients(given: Problem, package: str) -> Gradients:
    """The gradients of a network without dropout, by jaxcnn, lax, nnx, keras or torch."""
    return import_module(f"jaxcnn.bench.{package}_network").gradients(given)


def _check_gradients(name: str, given: Problem, peers: Sequence[Peer]) -> None:
    expected = gradients(given, "jaxcnn")
    for package in dict.fromkeys("torch" if peer.package == "torch" else peer.name for peer in peers[1:]):
        check_gradients(f"{package} in {name}", gradients(given, package), expected)


def _first_steps(given: Problem, peers: Sequence[Peer], plan: Plan) -> dict[str, Timing]:
    def build(peer: Peer) -> Callable[[], float]:
        jax.clear_caches()  # as in a new process: nothing is traced or compiled yet
        return trainer(given, peer).step

    rounds = [[first_run(lambda peer=peer: build(peer)) for peer in peers] for _ in range(plan.first_runs)]
    return {peer.name: Timing(tuple(seconds)) for peer, seconds in zip(peers, zip(*rounds, strict=True), strict=True)}


def _contenders(
    name: str, given: Problem, peers: Sequence[Peer], first: dict[str, Timing], notes: list[str]
) -> list[Contender]:
    """The contenders, each run once; those of torch.compile add their first step's time."""
    if any(peer.compiled for peer in peers):
        import torch

        torch._dynamo.reset()  # it counts recompilations of one function, and gives up after some
    noisy = without_dropout(given.net) != given.net
    tolerance = NOISE / len(given.labels) ** 0.5 if noisy else TOLERANCE
    contenders, expected, count = [], math.nan, 0
    for peer in peers:
        training = trainer(given, peer)
        losses: list[float] = []
        try:
            seconds = first_run(lambda step=training.step, losses=losses: lambda: losses.append(step()))
        except Exception as error:
            if not peer.compiled:
                raise
            first_line = next(iter(str(error).splitlines()), "")
            notes.append(f"{peer.name} is left out of {name}: {type(error).__name__}: {first_line}.")
            continue
        if peer.name == "jaxcnn":
            expected, count = losses[0], training.parameters
        _check_start(f"{peer.name} in {name}", losses[0], expected, tolerance)
        if training.parameters != count:
            raise Disagreement(f"{peer.name} in {name} has {training.parameters:,} parameters, jaxcnn {count:,}")
        if peer.compiled:
            first[peer.name] = Timing((seconds,))
        contenders.append(Contender(peer.name, training.step))
    scanning = jaxcnn_network.scanning_trainer(given)
    _check_start(f"{SCAN} in {name}", scanning.step(), expected, NOISE / len(given.labels) ** 0.5)
    return [*contenders, Contender(SCAN, scanning.step, jaxcnn_network.SCANNED)]


def _check_start(name: str, loss: float, expected: float, tolerance: float) -> None:
    if not np.isclose(loss, expected, rtol=tolerance, atol=0):
        raise Disagreement(f"{name} starts at a loss of {loss:.4f}, jaxcnn at {expected:.4f}")


LEGEND = f"""\
{READING}
A step is the forward pass in training, mean cross-entropy, the backward pass and Adam, on a batch that stays in memory;
for jaxcnn it is the very step of `jaxcnn train`, which also normalizes the pixels, counts right answers and guards
against values that are not finite. `{SCAN}` is one of {jaxcnn_network.SCANNED} steps inside a `lax.scan`. Before the
timing, the gradients of each network (without its dropout) are compared between all packages. Like training, this
runs with large memory pages where Linux has them, and so do the peers, which gain by it as well.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """The tables of steps, of all times and of first steps. `peak` is in FLOP/s."""
    lines = [Line(result.name, result.timings, result.flops, GOALS) for result in results]
    first = [Line(result.name, result.first, None, ()) for result in results]
    parts = [LEGEND, "## Steps\n", summary(lines, peak), "", times(lines), ""]
    parts += ["## The first step: tracing, compiling and running it\n", times(first), ""]
    return "\n".join(parts)
