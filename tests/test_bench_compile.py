"""`jaxcnn bench compile`: what it writes is what was measured, and both peers compile programs that do the same."""

from __future__ import annotations

import re
import time
from statistics import median
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from jaxcnn.bench import measure_compile, networks
from jaxcnn.commands.main import main
from jaxcnn.data.batches import Batch
from jaxcnn.spec import Act, BatchNorm, Conv, Dense, Flatten, GlobalPool, Identity, Pool, add, seq
from jaxcnn.training.steps import Recipe, TrainState, empty_sums

nnx = pytest.importorskip("flax.nnx")
NET = seq(
    conv=Conv(6, 3, 2), bn=BatchNorm(0.8), act=Act(), residual=add(body=Conv(6, 3, padding=1), _1=Identity()),
    pool=Pool("max", 2), flatten=Flatten(), fc=Dense(5),
)  # fmt: skip
PIXELS = (11, 9, 3)


@pytest.mark.slow
def test_a_quick_run_writes_the_times_and_ratios_of_three_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_compile, "CASES", ("tiny",))
    monkeypatch.setattr(measure_compile, "NETWORKS", {"tiny": SimpleNamespace(input=PIXELS)})
    monkeypatch.setattr(measure_compile, "create", {"tiny": seq(pool=GlobalPool(), fc=Dense(5))}.get)
    measure, measured = measure_compile._seconds, {"forward": [], "step": [], "guarded": []}

    def seconds(peer, program, net, shape):
        start = time.perf_counter()
        trace, compilation = measure(peer, program, net, shape)
        assert min(trace, compilation) > 0 and trace + compilation < time.perf_counter() - start
        assert shape == (4, *PIXELS)
        measured[program].append((peer, trace, compilation))
        return trace, compilation

    monkeypatch.setattr(measure_compile, "_seconds", seconds)
    assert main(["bench", "compile", "--quick", "--batch", "4", "--peers", "nnx", "--output", str(tmp_path)]) == 0
    (file,) = tmp_path.iterdir()
    assert file.name == "bench-compile.md"
    text = file.read_text()
    for program, found in measured.items():
        turns = ("jaxcnn", "nnx", "nnx", "jaxcnn", "jaxcnn", "nnx")
        assert len(found) in (2, 4, 6) and tuple(peer for peer, *_ in found) == turns[: len(found)]
        own, other = ([figures for name, *figures in found if name == peer] for peer in ("jaxcnn", "nnx"))
        ratio = median(sum(a) / sum(b) for a, b in zip(own, other, strict=True))
        assert re.search(rf"\| tiny {program} +\| ≤ 1 of nnx: .*\({ratio:.2f}\) +\|", text)
        for part, of in {"trace": lambda pair: pair[0], "compile": lambda pair: pair[1], "both": sum}.items():
            (row,) = re.findall(rf"\| tiny {program}, {part} +\|(.*)", text)
            shown = [float(cell.split()[0]) for cell in row.strip("|").split("|")]
            # milliseconds, of which three digits are shown
            assert shown == pytest.approx([1e3 * median(map(of, figures)) for figures in (own, other)], rel=5.1e-3)


def trained_by_jaxcnn(given, program):
    """The losses of four steps of that program, and then the logits of the network in evaluation."""
    (params, stats), optimizer = given.weights, optax.adam(1e-3)
    opt_state, losses = optimizer.init(params), []
    forward, step = (compiled("jaxcnn", name, given) for name in ("forward", program))
    if program == "step":
        for _ in range(4):
            params, stats, opt_state, loss = step(params, stats, opt_state, given.images, given.labels)
            losses.append(loss)
    else:
        size = len(given.labels)
        batch = Batch(given.pixels, given.labels, np.ones(size, np.float32), np.arange(size, dtype=np.int32))
        state = TrainState(params, stats, opt_state, np.int32(0))
        recipe = Recipe(given.net, optimizer, (0.5,), (0.25,))
        for _ in range(4):
            state, sums = step(state, empty_sums(recipe), batch, jax.random.key(0))
            losses.append(sums.sums["loss"] / size)
        params, stats = state.params, state.batch_stats
    return np.array(losses), np.asarray(forward(params, stats, given.images))


def trained_by_nnx(given, program):
    from jaxcnn.bench.nnx_network import _network

    network = _network(given)
    graph, state = nnx.split((network, nnx.Optimizer(network, optax.adam(1e-3), wrt=nnx.Param)))
    forward, step = (compiled("nnx", name, given) for name in ("forward", program))
    losses = []
    for _ in range(4):
        state, loss = step(state, given.images, given.labels)
        losses.append(loss)
    return np.array(losses), np.asarray(forward(nnx.state(nnx.merge(graph, state)[0]), given.images))


def compiled(peer, program, given):
    return measure_compile._program(peer, program, given.net, given.pixels.shape)().compile()


@pytest.mark.slow
def test_what_both_peers_compile_trains_and_evaluates_alike():
    given = networks.problem(NET, PIXELS, batch=6, classes=5)
    losses, logits = trained_by_jaxcnn(given, "step")
    assert losses[-1] < losses[0]
    for trained, program in (trained_by_jaxcnn, "guarded"), (trained_by_nnx, "step"), (trained_by_nnx, "guarded"):
        theirs, evaluated = trained(given, program)
        # Adam magnifies rounding where gradients are nearly zero
        np.testing.assert_allclose(theirs, losses, rtol=1e-3)
        # NNX keeps the biased variance of the 6 * 5 * 4 places: 1/120 less, and its root half of that
        np.testing.assert_allclose(evaluated, logits, atol=np.abs(logits).max() / 240)
