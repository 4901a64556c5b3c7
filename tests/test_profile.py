"""Where the time of training steps goes: on made-up traces by numbers, on a real one by what is in it."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jax
import pytest
from rich.console import Console

from jaxcnn.config import SGD, DataConfig, OptimizerConfig, TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.spec import Act, Conv, Dense, Flatten, seq
from jaxcnn.training import conclusion
from jaxcnn.training.loop import fit
from jaxcnn.training.plan import prepare
from jaxcnn.training.profiler import Profiler
from jaxcnn.training.run import Run
from jaxcnn.training.shares import Shares, Source, covered, own_times, shares, sources, told
from jaxcnn.training.trace import Event

PROGRAM = """\
HloModule jit_guarded_step, is_scheduled=true
%fused_computation (param_0: f32[8]) -> f32[8] {
  ROOT %max.1 = f32[8]{0} maximum(%param_0), metadata={op_name="jit(guarded_step)/jvp(body.act)/jit(relu)/max"}
}
ENTRY %main.1 (p: f32[8]) -> f32[8] {
  %ffi_call.1 = f32[8]{0} custom-call(%p), metadata={op_name="jit(guarded_step)/jvp(body.conv)/ffi_call"}
  %ffi_call.2 = f32[8]{0} custom-call(%p), metadata={op_name="jit(guarded_step)/transpose(jvp(body.conv))/ffi_call"}
  %fusion.1 = f32[8]{0} fusion(%p), metadata={op_name="jit(guarded_step)/while/body/jvp(body.act)/jit(relu)/max"}
  %ffi_call.3 = f32[8]{0} custom-call(%p), metadata={op_name="jit(guarded_step)/jvp(teacher)/body.conv/ffi_call"}
  %all-reduce.1 = f32[] all-reduce(%p), metadata={op_name="jit(guarded_step)/transpose(jvp(fc))/dot_general"}
  %add.1 = f32[] add(%p, %p), metadata={op_name="jit(guarded_step)/cond/branch_1_fun/update/add"}
  %copy.1 = f32[] copy(%p)
  ROOT %add.2 = f32[] add(%p, %p), metadata={op_name="jit(guarded_step)/jvp()/add"}
}
"""
NET = seq(body=seq(conv=Conv(2), act=Act()), flat=Flatten(), fc=Dense(3), add=Act())


def test_operations_belong_to_the_layers_and_parts_in_which_they_were_traced():
    name, found = sources(PROGRAM, NET, (4, 4, 1))
    assert name == "jit_guarded_step"
    assert found == {
        "max.1": Source("activations", "body.act"),
        "ffi_call.1": Source("convolutions", "body.conv"),
        "ffi_call.2": Source("convolutions", "body.conv", True),
        "fusion.1": Source("activations", "body.act"),
        "ffi_call.3": Source("teacher"),
        "all-reduce.1": Source("exchange between devices", "", True),
        "add.1": Source("update"),
        "add.2": Source("other"),  # not of the layer that is called as the operation is
    }


def op(
    track: int, name: str, start: float, duration: float, run: str = "1", program: str = "jit_guarded_step"
) -> Event:
    return Event("cpu", track, "a thread", name, start, duration, name, program, run)


def test_the_time_of_an_event_is_without_that_of_those_within_it():
    events = [op(1, "b", 10, 20), op(1, "a", 0, 100), op(1, "c", 12, 5), op(1, "d", 40, 60), op(2, "e", 0, 100)]
    assert {event.name: own for event, own in own_times(events)} == {"a": 20, "b": 15, "c": 5, "d": 60, "e": 100}
    assert covered([(5, 7), (0, 3), (1, 2), (6, 10)]) == 8 and covered([]) == 0


def test_shares_are_of_the_time_in_which_programs_run_and_the_rest_is_waiting():
    """Two steps: batches of 10 us, steps of 100 us on two threads, with 20 us between, all in 260 us and no more."""
    events = []
    for begin, run in (0, "1"), (150_000, "2"):
        events += [
            op(1, "take", begin, 10_000, run, "jit_gather"),
            op(1, "ffi_call.1", begin + 10_000, 60_000, run),
            op(2, "ffi_call.2", begin + 10_000, 30_000, run),
            op(1, "add.1", begin + 90_000, 20_000, run),  # 20 us in which the step's threads find nothing to do
        ]
    events.append(Event("cpu", 3, "python", "next batch", 0, 1e9))  # of no device
    _, found = sources(PROGRAM, NET, (4, 4, 1))
    given = shares(events, "jit_guarded_step", found, 2)
    assert given and given.milliseconds == pytest.approx(0.13)
    running = 220 / 260
    assert given.kinds == pytest.approx(
        {
            "convolutions": running * 90 / 120,
            "update": running * 20 / 120,
            "taking batches": running * 10 / 120,
            "waiting for the next batch": 40 / 260,
        }
    )
    assert given.layers == pytest.approx({"body.conv": running * 90 / 120})
    assert told(given) == (
        "a step of 0.1 ms, by 2 of them: convolutions 63%, update 14%, taking batches 7%, "
        "waiting for the next batch 15%; the slowest layers are body.conv 63%"
    )
    assert shares(events[-1:], "jit_guarded_step", found, 2) is None


def test_what_takes_less_than_a_hundredth_is_told_together():
    kinds = {"convolutions": 0.9, "loss": 0.009, "pooling": 0.006, "other": 0.041, "waiting for the next batch": 0.044}
    assert told(Shares(3, 1234.5, kinds, {})) == (
        "a step of 1,234.5 ms, by 3 of them: convolutions 90%, other 6%, waiting for the next batch 4%"
    )


SMALL = TrainConfig(
    name="small",
    network="mlp",
    network_options={"width": 8},
    data=DataConfig("digits"),
    optimizer=OptimizerConfig(SGD()),
    epochs=1,
    batch_size=256,
)


def console() -> Console:
    return Console(file=io.StringIO(), width=1000, force_terminal=False)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_run_that_is_profiled_ends_in_the_same_bits_with_a_trace_that_names_its_layers(tmp_path, monkeypatch):
    monkeypatch.setattr(conclusion, "draw_curves", None)  # no pictures: they take longer than the training
    shown = console()
    result = fit(SMALL, results=tmp_path, console=shown, profile=100)
    plain = fit(SMALL, results=tmp_path / "plain", console=Console(quiet=True))
    assert result["params_sha256"] == plain["params_sha256"] and not (tmp_path / "plain/small/profile").exists()
    found = json.loads((tmp_path / "small/profile/shares.json").read_text())
    assert found["steps"] == 5  # of the epoch's 6, without the one that compiles
    assert {"dense layers", "waiting for the next batch"} <= set(found["kinds"]) and "fc1" in found["layers"]
    assert sum(found["kinds"].values()) == pytest.approx(1) and min(found["kinds"].values()) >= 0
    assert "ms, by 5 of them: " in said(shown) and "dense layers" in said(shown)
    file = tmp_path / "small/profile/trace.json.gz"
    assert f"the trace of it, {file}, opens in https://ui.perfetto.dev" in said(shown)
    trace = json.loads(gzip.decompress(file.read_bytes()))
    check_format(trace)
    counts = Counter(row["name"].split(":")[0] for row in trace["traceEvents"] if row["ph"] == "X")
    assert counts["step"] == counts["next batch"] == 5
    assert counts["fc1"] >= 5 and counts["fc1 backward"] >= 5  # operations of each step, before and after the loss


def check_format(trace: dict) -> None:
    """What the "Trace Event Format" says of complete and of metadata events, and Perfetto asks of its JSON importer."""
    assert set(trace) == {
        "displayTimeUnit",
        "traceEvents",
    }  # not "metadata", which Perfetto does not take as JAX has it
    named = {(row["pid"], row["tid"]) for row in trace["traceEvents"] if row["name"] == "thread_name"}
    tracks: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row in trace["traceEvents"]:
        assert isinstance(row["pid"], int) and isinstance(row["tid"], int) and isinstance(row["name"], str)
        if row["ph"] == "X":
            assert row["ts"] >= 0 and row["dur"] >= 0 and (row["pid"], row["tid"]) in named
            tracks.setdefault((row["pid"], row["tid"]), []).append((row["ts"], row["ts"] + row["dur"]))
    for spans in tracks.values():
        within: list[float] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while within and within[-1] <= start + 1e-3:
                within.pop()
            assert not within or end <= within[-1] + 1e-3  # microseconds: times are of whole nanoseconds
            within.append(end)


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Run:
    run = Run(prepare(SMALL), tmp_path_factory.mktemp("warm"))
    run.warm = True  # for a profiler: these tests train on no batch
    return run


def test_a_loop_that_is_left_stops_the_trace(warm, tmp_path):
    batches = Profiler(3, console(), kept=True).batches(warm, 0, 0)
    next(batches)
    batches.close()
    with jax.profiler.trace(str(tmp_path)):  # it raises where another one is on its way
        assert not list(warm.folder.iterdir())


def test_without_a_trace_the_batches_are_the_same_and_a_sentence_says_so(warm, tmp_path):
    shown = console()
    with jax.profiler.trace(str(tmp_path)):
        assert len(list(Profiler(3, shown, kept=True).batches(warm, 0, 0))) == 6
    assert said(shown).startswith("the steps could not be traced: RuntimeError: Profile has already been started.")
    assert said(shown).count("\n") == 1 and not list(warm.folder.iterdir())


def test_a_trace_without_the_training_step_says_so(warm):
    shown = console()
    assert len(list(Profiler(2, shown, kept=False).batches(warm, 0, 0))) == 6
    assert said(shown) == "the trace of 2 steps holds no operation of the training step\n"


def test_an_epoch_of_one_step_is_traced_in_the_next_and_a_run_of_one_says_that_it_was_not(warm):
    shown, one = console(), Run(warm.plan._replace(steps_per_epoch=1), warm.folder)
    profiler = Profiler(2, shown, kept=False)
    assert len(list(profiler.batches(one, 0, 0))) == 6
    profiler.ended()
    assert said(shown) == "no step was traced: there was none after the one that compiles\n"
    one.warm = True
    list(profiler.batches(one, 1, 0))
    profiler.ended()
    assert said(shown).splitlines()[1:] == ["the trace of 1 step holds no operation of the training step"]


def test_steps_that_cannot_be_get_a_sentence_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="profile must be at least 1 step, or 0 for none, not -1"):
        fit(replace(SMALL, name="new"), results=tmp_path, console=console(), profile=-1)
    assert not list(Path(tmp_path).iterdir())
