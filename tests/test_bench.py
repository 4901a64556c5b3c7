"""The benchmark: how it times, that every peer computes the same as the library, and what its commands write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcnn.bench import cases, epoch_data, jax_operations, measure_ops, measure_steps, networks, peers, tables
from jaxcnn.bench.agreement import Disagreement, check_dropout, check_equal, check_gradients
from jaxcnn.bench.cases import Case
from jaxcnn.bench.goals import Goal
from jaxcnn.bench.measure import Contender, Plan, Timing, first_run, interleave
from jaxcnn.bench.peers import Peer
from jaxcnn.bench.summary import Line, milliseconds, summary
from jaxcnn.commands.main import main
from jaxcnn.host.errors import InputError
from jaxcnn.spec import (
    Act,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Identity,
    Pool,
    add,
    concat,
    mul,
    seq,
)

os.environ.setdefault("KERAS_BACKEND", "jax")  # whichever test imports Keras first
PEERS = {peer.name: peer for peer in peers.ALL}
PACKAGES = {"lax": "jax", "nnx": "flax", "keras": "keras", "torch": "torch"}
SLOW = {"nnx", "keras"}  # to compile
every_package = pytest.mark.parametrize(
    "package", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PACKAGES]
)
ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "tanh", "sigmoid", "hard_sigmoid", "hard_swish", "softmax",
)  # fmt: skip


def need(package: str) -> None:
    if not peers.installed(PACKAGES[package]):
        pytest.skip(f"{PACKAGES[package]} is not installed")
    if package == "keras":
        peers.use_keras_on_jax()


# measuring


class Machine:
    """A clock that only work moves."""

    def __init__(self):
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def contender(self, name: str, seconds: float, units: int = 1) -> Contender:
        def run():
            self.now += seconds

        return Contender(name, run, units)


def test_every_round_times_every_contender_by_itself():
    machine = Machine()
    contenders = [machine.contender("fast", 0.001), machine.contender("slow", 0.25)]
    timings = interleave(contenders, Plan(rounds=5, target=0.02), machine.clock)
    assert timings["fast"].seconds == pytest.approx([0.001] * 5)
    assert timings["slow"].seconds == pytest.approx([0.25] * 5)


def test_a_run_of_several_units_counts_one():
    machine = Machine()
    timings = interleave([machine.contender("four", 0.2, units=4)], Plan(rounds=3), machine.clock)
    assert timings["four"].median == pytest.approx(0.05)


def test_a_round_takes_about_its_target():
    machine = Machine()
    interleave([machine.contender("one", 0.004)], Plan(rounds=10, target=0.04), machine.clock)
    assert machine.now == pytest.approx(10 * (0.004 + 0.04), rel=0.2)


def test_a_contender_beyond_its_budget_leaves_after_the_least_rounds():
    machine = Machine()
    contenders = [machine.contender("fast", 0.001), machine.contender("slow", 3.0)]
    timings = interleave(contenders, Plan(rounds=9, budget=4.0, least=2), machine.clock)
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {"fast": 9, "slow": 2}


def test_the_order_changes_from_round_to_round():
    order = []
    contenders = [Contender(name, lambda name=name: order.append(name)) for name in "abc"]
    interleave(contenders, Plan(rounds=8, target=0.0))
    rounds = [tuple(order[start : start + 6 : 2]) for start in range(0, len(order), 6)]
    assert len(set(rounds)) > 1 and all(sorted(each) == ["a", "b", "c"] for each in rounds)


def test_the_first_run_is_timed_without_what_was_built_before_it():
    machine = Machine()

    def build():
        machine.now += 100
        return machine.contender("", 7.0).run

    assert first_run(build, machine.clock) == pytest.approx(7.0)


# goals, tables


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ((1.0, 1.0, 1.0), "met (0.50)"),
        ((1.9, 3.0, 3.0), "within spread (1.50)"),
        ((5.0, 5.0, 5.0), "**MISSED** (2.50)"),
    ],
)
def test_a_goal_is_judged_by_the_ratios_of_the_rounds(own, verdict):
    timings = {"jaxcnn": Timing(own), "torch": Timing((9.0, 9.0, 9.0)), "torch-nhwc": Timing((2.0, 2.0, 2.0))}
    assert Goal(1.3).verdict(timings) == f"≤ 1.3 of PyTorch: {verdict}"


def test_a_goal_over_what_was_not_measured_says_so():
    assert Goal(1.0, ("nnx",), "nnx").verdict({"jaxcnn": Timing((1.0,))}) == "≤ 1 of nnx: not measured"


def test_tables_are_aligned_markdown_with_figures_to_the_right():
    assert tables.table(["name", "ms"], [["a", "1.5"], ["long name", "12.25"]]).splitlines() == [
        "| name      |    ms |",
        "| --------- | ----: |",
        "| a         |   1.5 |",
        "| long name | 12.25 |",
    ]


def test_milliseconds_show_the_median_and_the_quartiles():
    assert milliseconds(Timing((0.001, 0.002, 0.003, 0.004, 0.1))) == "3.00 (2.00-4.00)"


def test_a_summary_states_speed_share_of_peak_and_ratios():
    timings = {"jaxcnn": Timing((0.002,)), "lax": Timing((0.004,)), "torch": Timing((0.001,))}
    row = summary([Line("x", timings, 10**8, (Goal(4.0),))], peak=1e11).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    expected = ["x", "2.00 (2.00-2.00)", "50.0", "50.0%", "torch", "2.00", "2.00", "0.50", "≤ 4 of PyTorch: met (2.00)"]
    assert cells == expected


# who and what


def test_an_unknown_peer_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"no peer 'numpy'; there are: jaxcnn, lax"):
        peers.choose(["numpy"], "cpu")


def test_a_peer_that_is_not_installed_is_left_out_or_refused_by_name(monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda package: package != "keras")
    chosen, notes = peers.choose(None, "cpu")
    assert "keras" not in [peer.name for peer in chosen] and "keras is left out: keras is not installed." in notes
    with pytest.raises(InputError, match="keras cannot be measured: keras is not installed"):
        peers.choose(["keras"], "cpu")


def test_the_library_itself_is_always_measured():
    assert [peer.name for peer in peers.choose(["lax"], "cpu")[0]] == ["jaxcnn", "lax"]


def test_patterns_choose_cases_by_wildcard_and_by_beginning():
    names = ["conv3x3/dx", "conv3x3/dW", "maxpool/forward"]
    assert cases.choose(["*/dW"], names) == ["conv3x3/dW"]
    assert cases.choose(["conv3x3"], names) == ["conv3x3/dx", "conv3x3/dW"]
    assert cases.choose(None, names) == names


def test_a_pattern_without_a_case_is_an_error():
    with pytest.raises(InputError, match="no case matches 'conf'; there are: conv3x3"):
        cases.choose(["conv3x3", "conf"], ["conv3x3/dx"])


def test_case_names_are_unique_and_their_operations_are_counted():
    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    found = {case.name: case for case in cases.CASES}
    assert found["conv3x3-64@32"].flops(1) == 2 * 32 * 32 * 9 * 64 * 64
    assert found["depthwise3x3s2-128@16"].flops(2) == 2 * 2 * 8 * 8 * 9 * 128


def test_importing_the_library_loads_nothing_of_the_benchmark():
    program = "import sys, jaxcnn; print([name for name in sys.modules if name.startswith('jaxcnn.bench')])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert run.stdout.strip() == "[]", run.stderr


# operations

TINY = [
    Case("", "conv", "conv", 6, 4, 8, 3, padding=1),
    Case("", "strided", "conv", 7, 4, 8, 3, stride=2, padding=1),
    Case("", "depthwise", "conv", 6, 4, 8, 3, padding=1, groups=4),
    Case("", "grouped", "conv", 6, 4, 8, 3, padding=1, groups=2),
    Case("", "pointwise", "conv", 6, 4, 8, 1),
    Case("", "max", "max_pool", 6, 4, window=3, stride=2, padding=1),
    Case("", "max1", "max_pool", 6, 4, window=3, stride=1, padding=1),
    Case("", "avg", "avg_pool", 6, 4, window=3, stride=1, padding=1),
    Case("", "avg2", "avg_pool", 6, 4, window=2, stride=2),
    Case("", "norm", "batch_norm", 24, 4),
    Case("", "drop", "dropout", 16, 4, rate=0.3),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_every_peer_is_timed_at_the_same_operation(case: Case):
    chosen = [peer for peer in peers.choose(None, "cpu")[0] if not peer.compiled]
    arrays = cases.inputs(case, batch=3)
    for product in case.products:
        found = list(measure_ops._contenders(case, product, chosen, arrays, notes=[]))  # raises where they disagree
        assert [contender.name for contender in found] == [peer.name for peer in chosen]


@pytest.mark.parametrize("product", cases.CONV_PRODUCTS)
@pytest.mark.parametrize("function", [jax_operations.own, jax_operations.plain])
def test_each_product_of_a_convolution_is_computed_alone(by_xla, function, product):
    case = Case("", "conv", "conv", 8, 16, 16, 3, padding=1)
    compiled = jax_operations.compiled(function(case), product)
    arguments = jax_operations.split(case, cases.inputs(case, batch=4))
    flops = compiled.lower(*arguments).compile().cost_analysis()["flops"]
    # border places cost less than counted; two products would cost more than 1.5 times one
    assert 0 < flops < 1.5 * case.flops(4)


def test_a_contender_that_computes_something_else_is_found():
    expected = np.arange(6, dtype=np.float32)
    check_equal("same", [expected], [expected])
    with pytest.raises(Disagreement, match=r"other disagrees with jaxcnn: result 0 is off by 0\.2"):
        check_equal("other", [expected + 1], [expected])
    with pytest.raises(Disagreement, match="returns arrays of"):
        check_equal("other", [expected[:3]], [expected])
    with pytest.raises(Disagreement, match="is off by nan"):
        check_equal("other", [expected * np.nan], [expected])


def test_dropout_that_keeps_another_share_or_does_not_rescale_is_found():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000,), np.float32)
    keep = rng.random(1000) < 0.5
    check_dropout("right", [np.where(keep, 2 * x, 0)], x, x, 0.5)
    with pytest.raises(Disagreement, match="keeps"):
        check_dropout("greedy", [np.where(keep, x / 0.8, 0)], x, x, 0.2)
    with pytest.raises(Disagreement, match="disagrees"):
        check_dropout("smaller", [np.where(keep, x, 0)], x, x, 0.5)


# networks

EVERYTHING = seq(
    conv=Conv(8, 3, 2, padding="same", bias=True), bn=BatchNorm(0.8, 1e-3), acts=add(*map(Act, ACTIVATIONS)),
    drop=Dropout(0.0), both=concat(depth=Conv(None, 3, groups=None), group=Conv(8, 3, groups=2)),
    residual=add(body=seq(conv=Conv(16, 1), bn=BatchNorm()), _1=Identity(), then=Act("silu")),
    gate=mul(_0=Identity(), squeeze=seq(pool=GlobalPool(keepdims=True), fc=Conv(16, 1, bias=True), act=Act("sigmoid"))),
    pool=Pool("max", 3, 2, padding=1), mean=Pool("avg", 2, 1, padding=1),
    flatten=Flatten(), bn1=BatchNorm(scale=False), fc1=Dense(12), act=Act("tanh"), fc2=Dense(5, bias=False),
)  # fmt: skip
SMALL = seq(conv=Conv(6, 3, 2), bn=BatchNorm(), act=Act(), flatten=Flatten(), fc=Dense(5))
PIXELS = (11, 9, 3)


@pytest.fixture(scope="module")
def everything():
    """A network of all layers, and what this library computes of it."""
    given = networks.problem(EVERYTHING, PIXELS, batch=6, classes=5)
    return given, measure_steps.gradients(given, "jaxcnn")


@every_package
def test_every_peer_computes_the_same_logits_and_gradients(package: str, everything):
    need(package)
    given, expected = everything
    found = measure_steps.gradients(given, package)
    check_gradients(package, found, expected)
    # nothing here is near a kink by chance of these inputs, so that all agree to float32's rounding
    for path, layer in expected.params.items():
        for name, wanted in layer.items():
            scale = max(np.abs(wanted).max(), 1e-2)
            np.testing.assert_allclose(found.params[path][name], wanted, atol=1e-3 * scale, err_msg=f"{path}.{name}")


@pytest.fixture(scope="module")
def trained():
    """A small network, its parameters counted, and the losses of its first four steps."""
    given = networks.problem(SMALL, PIXELS, batch=6, classes=5)
    training = measure_steps.trainer(given, PEERS["jaxcnn"])
    return given, training.parameters, [training.step() for _ in range(4)]


@pytest.mark.thorough
@every_package
def test_every_peer_trains_alike(package: str, trained):
    need(package)
    given, parameters, losses = trained
    training = measure_steps.trainer(given, PEERS[package])
    assert training.parameters == parameters
    assert losses[-1] < losses[0]
    # Adam magnifies rounding where gradients are nearly zero
    np.testing.assert_allclose([training.step() for _ in range(4)], losses, rtol=1e-3)


@every_package
def test_every_peer_drops_in_training(package: str):
    need(package)
    net = seq(drop=Dropout(0.5), spatial=Dropout(0.5, spatial=True), flatten=Flatten(), fc=Dense(5))
    given = networks.problem(net, PIXELS, batch=6, classes=5)
    logits = given.images.reshape(6, -1) @ given.weights.params["fc"]["kernel"]
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    without = -np.log(chances[np.arange(6), given.labels]).mean()
    training = measure_steps.trainer(given, PEERS[package])
    # the rate of learning alone moves the loss by less than a thousandth in three steps
    assert all(abs(training.step() / without - 1) > 1e-2 for _ in range(3))


def test_steps_in_a_scan_are_the_same_steps(trained):
    given, _, losses = trained
    inside = measure_steps.jaxcnn_network.scanning_trainer(given)
    assert inside.step() == pytest.approx(np.mean(losses), rel=1e-4)


@every_package
def test_a_layer_that_a_peer_does_not_know_is_named(package: str):
    need(package)
    net = seq(Conv(4, padding_mode="reflect"), Flatten(), Dense(5))
    given = networks.problem(net, PIXELS, batch=2, classes=5)
    with pytest.raises(InputError, match="cannot translate Conv"):
        measure_steps.gradients(given, package)


def test_networks_without_dropout_are_found_out():
    assert networks.without_dropout(networks.mobilenet_like()) == networks.mobilenet_like()
    assert "Dropout" not in str(networks.without_dropout(networks.cifar_cnn()))


def test_wrong_gradients_are_found():
    given = networks.problem(seq(Flatten(), fc=Dense(5)), PIXELS, batch=2, classes=5)
    right = measure_steps.gradients(given, "jaxcnn")
    wrong = right._replace(params={"fc": right.params["fc"] | {"bias": -right.params["fc"]["bias"]}})
    with pytest.raises(Disagreement, match=r"gradient of fc\.bias is off by 2"):
        check_gradients("other", wrong, right)


# the commands


def bench(*words: str) -> int:
    return main(["bench", *words])


def test_a_quick_run_prints_and_writes_its_table(tmp_path, monkeypatch, capsys):
    tiny = Case("Tiny", "tiny3x3", "conv", 6, 4, 8, 3, padding=1, goals={"dx": (Goal(1.0, ("lax",), "lax"),)})
    monkeypatch.setattr(measure_ops, "CASES", (tiny,))
    words = ("ops", "--quick", "--batch", "2", "--peers", "lax", "--cases", "tiny*/d*", "--output", str(tmp_path / "a"))
    assert bench(*words) == 0
    (file,) = (tmp_path / "a").iterdir()
    text = file.read_text()
    assert file.name == "bench-ops.md" and text in capsys.readouterr().out
    assert "`jaxcnn bench ops --peers lax --cases 'tiny*/d*' --batch 2 --quick`" in text and str(tmp_path) not in text
    assert re.search(r"\| tiny3x3 dx +\|.*≤ 1 of lax: (met|within spread|\*\*MISSED\*\*) \(", text)
    assert "tiny3x3 dW" in text and "tiny3x3 forward" not in text


@pytest.mark.thorough
def test_a_quick_run_of_steps_writes_its_table(tmp_path, monkeypatch):
    net = seq(conv=Conv(4, 3, 2), flatten=Flatten(), drop=Dropout(0.1), fc=Dense(10))
    monkeypatch.setattr(measure_steps, "NETWORKS", {"tiny": (lambda: net, PIXELS)})
    assert bench("step", "--quick", "--batch", "4", "--peers", "lax", "--output", str(tmp_path)) == 0
    text = (tmp_path / "bench-step.md").read_text()
    assert "≤ 1.1 of the step outside a scan: " in text and "≤ 1 of torch: not measured" in text
    assert "## The first step" in text and "jaxcnn-scan" in text


@pytest.mark.thorough
@pytest.mark.parametrize("peer", ["lax", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_quick_run_of_epochs_writes_its_table(peer: str, tmp_path, monkeypatch):
    """PyTorch's epochs run in a process of their own."""
    monkeypatch.setattr(epoch_data, "TRAIN", 40)
    monkeypatch.setattr(epoch_data, "TEST", 10)
    assert (
        bench("epoch", "--quick", "--batch", "16", "--peers", peer, "--cases", "lenet5", "--output", str(tmp_path)) == 0
    )
    text = (tmp_path / "bench-epoch.md").read_text()
    assert "≤ 1.05 of the step without augmentation: " in text and "40 training images" in text
    assert ("≤ 0.8 of PyTorch's epoch: not measured" in text) == (peer == "lax")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("ops", "--peers", "numpy"), "there is no peer 'numpy'"),
        (("ops", "--cases", "nothing*"), "no case matches 'nothing*'"),
        (("step", "--cases", "resnet1000"), "no case matches 'resnet1000'; there are: lenet5"),
        (("step", "--batch", "0"), "--batch must be at least 1, not 0"),
    ],
)
def test_bad_input_gets_a_sentence_and_writes_nothing(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert bench(*words) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_refused_before_measuring(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(measure_ops, "measure", lambda *_: pytest.fail("measured"))
    assert bench("ops", "--quick", "--peers", "lax", "--output", str(tmp_path / "file")) == 2
    assert "cannot write to the folder" in capsys.readouterr().err


def test_a_disagreement_fails_the_run_and_writes_nothing(tmp_path, monkeypatch, capsys):
    def measure(*_):
        raise Disagreement("torch computes something else")

    monkeypatch.setattr(measure_steps, "measure", measure)
    assert bench("step", "--quick", "--peers", "lax", "--output", str(tmp_path)) == 1
    assert "torch computes something else" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_peer_has_a_name_of_its_own():
    assert [Peer(name, "torch", "").channels_last for name in peers.PYTORCH] == [False, True, False, True]
    assert [Peer(name, "torch", "").compiled for name in peers.PYTORCH] == [False, False, True, True]
