"""`jaxcnn bench compile`: how long whole networks take to trace and to compile, beside the same in Flax NNX."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxcnn.bench.goals import never_slower
from jaxcnn.bench.measure import Plan, Timing
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.summary import Line, times
from jaxcnn.bench.tables import table
from jaxcnn.data.batches import Batch
from jaxcnn.forward_pass import apply
from jaxcnn.layout import abstract, init
from jaxcnn.spec import Spec
from jaxcnn.tasks.losses import cross_entropy
from jaxcnn.training.devices import compiled
from jaxcnn.training.steps import Recipe, TrainState, empty_sums
from jaxcnn.zoo import NETWORKS, create

Say = Callable[[str], None]
CASES = ("resnet50", "densenet201")
PROGRAMS = ("forward", "step", "guarded")
PEERS = ("jaxcnn", "nnx")


@dataclass(frozen=True)
class Measured:
    """One program of a network: the seconds that tracing and lowering took, and compiling, of each peer."""

    name: str
    program: str
    traced: dict[str, Timing]
    compiled: dict[str, Timing]


def names() -> list[str]:
    """What `--cases` can choose: `NETWORK/PROGRAM`."""
    return [f"{name}/{program}" for name in CASES for program in PROGRAMS]


def measure(
    chosen: Sequence[str], peers: Sequence[Peer], batch: int, plan: Plan, say: Say, notes: list[str]
) -> Iterator[Measured]:
    """Time one chosen program after the other; nothing is run. Peers other than `PEERS` are passed over.

    A program has at most `plan.rounds` rounds, and no more when they have taken four times `plan.budget`, but at least
    `plan.least`.
    """
    measured = [peer.name for peer in peers if peer.name in PEERS]
    for label in chosen:
        name, _, program = label.partition("/")
        net, shape = create(name), NETWORKS[name].input
        rounds: list[dict[str, tuple[float, float]]] = []
        start = time.perf_counter()
        while len(rounds) < plan.least or (
            len(rounds) < plan.rounds and time.perf_counter() - start < 4 * plan.budget
        ):  # fmt: skip
            turn = measured[:: 1 if len(rounds) % 2 == 0 else -1]  # who begins takes turns
            rounds.append({peer: _seconds(peer, program, net, (batch, *shape)) for peer in turn})
        traced, compiled_ = (
            {peer: Timing(tuple(seconds[peer][part] for seconds in rounds)) for peer in measured} for part in (0, 1)
        )
        say(f"{label}: " + ", ".join(f"{p} {traced[p].median:.2f} + {compiled_[p].median:.2f} s" for p in measured))
        yield Measured(name, program, traced, compiled_)


def _seconds(peer: str, program: str, net: Spec, shape: tuple[int, ...]) -> tuple[float, float]:
    """Of tracing and lowering, and of compiling, as in a new process."""
    jax.clear_caches()
    gc.collect()  # what the one before has left
    lower = _program(peer, program, net, shape)
    start = time.perf_counter()
    lowered = lower()
    between = time.perf_counter()
    lowered.compile()
    return between - start, time.perf_counter() - between


def _program(peer: str, program: str, net: Spec, shape: tuple[int, ...]) -> Callable[[], Any]:
    """What traces and lowers that program, for images of `shape`, (N, H, W, C)."""
    return {
        ("jaxcnn", "forward"): _own_forward,
        ("jaxcnn", "step"): _own_step,
        ("jaxcnn", "guarded"): _own_guarded_step,
        ("nnx", "forward"): partial(_flax, training=False),
        ("nnx", "step"): partial(_flax, training=True),
        ("nnx", "guarded"): partial(_flax, training=True),
    }[peer, program](net, shape)


def _own_forward(net: Spec, shape: tuple[int, ...]) -> Callable[[], Any]:
    params, stats = abstract(net, shape[1:])
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return lambda: jax.jit(lambda params, stats, x: apply(net, params, stats, x)[0]).lower(params, stats, images)


def _own_step(net: Spec, shape: tuple[int, ...]) -> Callable[[], Any]:
    """What the step of Flax does, and no more."""
    params, stats = abstract(net, shape[1:])
    optimizer = optax.adam(1e-3)
    given = params, stats, jax.eval_shape(optimizer.init, params)

    def update(params, stats, opt_state, images, labels):
        def loss_and_stats(params):
            logits, new = apply(net, params, stats, images, train=True, rng=jax.random.key(0))
            return cross_entropy(logits, labels).mean(), new

        (loss, stats), gradients = jax.value_and_grad(loss_and_stats, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state, loss

    images, labels = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape[:1], jnp.int32)
    return lambda: jax.jit(update).lower(*given, images, labels)


def _own_guarded_step(net: Spec, shape: tuple[int, ...]) -> Callable[[], Any]:
    """The very step of `jaxcnn train`."""
    recipe = Recipe(net, optax.adam(1e-3), (0.5,) * shape[-1], (0.25,) * shape[-1])

    def start(rng):
        params, stats = init(net, rng, shape[1:])
        state = TrainState(params, stats, recipe.optimizer.init(params), jnp.zeros((), jnp.int32))  # type: ignore[arg-type]
        labels, ids = jnp.zeros(shape[0], jnp.int32), jnp.arange(shape[0], dtype=jnp.int32)
        return state, empty_sums(recipe), Batch(jnp.zeros(shape, jnp.uint8), labels, jnp.ones(shape[0]), ids), rng

    given = jax.eval_shape(start, jax.random.key(0))
    return partial(compiled(recipe).lower, *given)


def _flax(net: Spec, shape: tuple[int, ...], training: bool) -> Callable[[], Any]:
    """The same in Flax NNX, by its functional interface; the network is built before the clock runs."""
    from flax import nnx

    from jaxcnn.bench.nnx_network import Network, loss_and_logits

    network = nnx.eval_shape(lambda: Network(net, shape[1:], nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    if not training:
        network.eval()
        graph, state = nnx.split(network)
        return lambda: jax.jit(lambda state, x: nnx.merge(graph, state)(x)).lower(state, images)
    optimizer = nnx.eval_shape(lambda: nnx.Optimizer(network, optax.adam(1e-3), wrt=nnx.Param))
    graph, state = nnx.split((network, optimizer))
    labels = jax.ShapeDtypeStruct(shape[:1], jnp.int32)

    def update(state, images, labels):
        network, optimizer = nnx.merge(graph, state)
        (loss, _), gradients = nnx.value_and_grad(loss_and_logits, has_aux=True)(network, images, labels)
        optimizer.update(network, gradients)
        return nnx.state((network, optimizer)), loss

    return lambda: jax.jit(update).lower(state, images, labels)


LEGEND = """\
Seconds: the median over 3 to 15 rounds, and the first and third quartile; in each round every contender traces and
compiles in turn, with empty caches. Nothing is run. `forward` is the network in evaluation; `step` is the forward pass
in training, mean cross-entropy, the backward pass and Adam. `guarded` is the very step of `jaxcnn train`, which also
normalizes the pixels, counts right answers and guards against values that are not finite, beside NNX's plain one.
"""


def report(results: Sequence[Measured], peak: float, batch: int) -> str:
    """The tables of the verdicts and of all times."""
    rows, lines = [], []
    for result in results:
        label = f"{result.name} {result.program}"
        whole = {
            peer: Timing(tuple(a + b for a, b in zip(timing.seconds, result.compiled[peer].seconds, strict=True)))
            for peer, timing in result.traced.items()
        }
        rows.append([label, "; ".join(goal.verdict(whole) for goal in never_slower("nnx"))])
        for part, timings in (("trace", result.traced), ("compile", result.compiled), ("both", whole)):
            lines.append(Line(f"{label}, {part}", timings, None, ()))
    return "\n".join([LEGEND, table(["trace and compile", "wanted"], rows), "", times(lines), ""])
