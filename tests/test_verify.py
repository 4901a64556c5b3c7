"""The conformance ledger: a sample of it is green, it is written down, and bad input gets a sentence."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxcnn import ops
from jaxcnn.commands import main as cli
from jaxcnn.verify import bounds, ledger, loops, operations

ROOT = Path(__file__).parents[1]
SAMPLE = 90
NOT_OPERATIONS = {"ACTIVATIONS", "Window", "activation", "per_dimension", "slide", "transposed_window"}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory):
    """Exit status and folder of a sample of the ledger."""
    folder = tmp_path_factory.mktemp("sampled")
    return cli.main(["verify", "--sample", str(SAMPLE), "--output", str(folder)]), folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "conformance.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sample_of_the_ledger_is_green(sampled):
    status, folder = sampled
    red = [row for row in rows_of(folder) if row["verdict"] != "green"]
    assert red == []
    assert status == 0


def test_every_operation_and_every_check_is_in_the_sample(sampled):
    rows = rows_of(sampled[1])
    assert {row["operation"] for row in rows} == set(operations.OPERATIONS)
    cases = ledger.sample(ledger.all_cases([], 0), SAMPLE, 0)
    assert len(cases) == SAMPLE
    assert {case.check for case in cases} == {case.check for case in ledger.all_cases([], 0)}


def test_errors_come_near_their_bounds_but_not_over(sampled):
    """Bounds far above all errors would not see a fault."""
    rows = rows_of(sampled[1])
    for check in ("value", "gradient", "difference", "second derivative"):
        worst = max(float(row["ratio"]) for row in rows if row["check"] == check)
        assert 0.01 < worst <= 1, check


def test_the_summary_has_a_row_for_every_operation_and_check_and_says_how(sampled):
    text = (sampled[1] / "conformance.md").read_text()
    for row in rows_of(sampled[1]):
        assert f"| {row['operation']} | {row['check']} | " in text
    assert f"`jaxcnn verify --sample {SAMPLE}`" in text
    assert "- seed: 0" in text
    assert "2^-53" in text


def test_nothing_unfinished_stays_in_the_folder(sampled):
    assert {path.name for path in sampled[1].iterdir()} == {"conformance.md", "conformance.csv"}


def test_every_operation_is_in_the_ledger():
    expected = {name for name in ops.__all__ if name not in NOT_OPERATIONS} | set(ops.ACTIVATIONS)
    assert set(operations.OPERATIONS) == expected


def test_the_whole_ledger_has_two_thousand_cases_in_every_rank_and_dtype():
    cases = ledger.all_cases([], 0)
    assert len(cases) >= 2000
    assert {case.setting.rank for case in cases} >= {1, 2, 3}
    assert {case.dtype for case in cases} == {"float64", "float32", "bfloat16"}
    assert {case.check for case in cases} >= set(ledger.WAYS)


def test_the_cases_follow_from_the_seed():
    def texts(seed: int) -> list[str]:
        return [f"{case.operation.name} {case.setting} {case.check}" for case in ledger.all_cases(["conv"], seed)]

    assert texts(1) == texts(1) != texts(2)


def test_a_case_draws_the_same_inputs_whatever_runs_beside_it():
    alone = [case for case in ledger.all_cases(["dense"], 0) if case.check == "value"][-1:]
    together = [case for case in ledger.all_cases([], 0) if case.operation.name == "dense" and case.check == "value"]
    (row,), rows = ledger.verified(alone, 0), list(ledger.verified(together[-2:], 0))
    assert row == rows[-1]


@pytest.mark.slow
def test_an_input_spread_over_two_devices_gives_the_same():
    program = (
        "import jax; from jaxcnn.verify import ledger\n"
        "assert jax.device_count() == 2\n"
        "for name in ('conv', 'max_pool', 'batch_norm', 'dropout'):\n"
        "    cases = [case for case in ledger.all_cases([name], 0) if case.check in ('sharded', 'shard_map')][:4]\n"
        "    print([row.verdict for row in ledger.verified(cases, 0)])"
    )
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **flags}
    )
    assert run.stdout.splitlines() == [str(["green"] * 4)] * 4, run.stderr


def test_without_the_other_libraries_their_checks_are_left_out_and_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxcnn.verify.libraries.side", lambda library: None)
    assert cli.main(["verify", "--operations", "running_average", "--output", str(tmp_path)]) == 0
    assert not {"PyTorch", "Keras"} & {row["check"] for row in rows_of(tmp_path)}
    assert "PyTorch and Keras not installed: these checks are left out" in (tmp_path / "conformance.md").read_text()


def test_a_red_case_gives_exit_status_1_and_stands_first(tmp_path, monkeypatch, capsys):
    right = ops.running_average
    monkeypatch.setattr(ops, "running_average", lambda old, new, momentum: right(new, old, momentum))
    assert cli.main(["verify", "--operations", "running_average", "--seed", "3", "--output", str(tmp_path)]) == 1
    text = (tmp_path / "conformance.md").read_text()
    assert text.index("## Red") < text.index("## How")
    assert "--operations NAME --seed 3" in text
    assert "cases are red" in text
    assert {row["verdict"] for row in rows_of(tmp_path)} == {"green", "red"}  # with momentum 0.5 both ways are right
    assert "red: running_average (3, 3; momentum=0.9) float64 value: error" in capsys.readouterr().out


def test_an_operation_that_fails_is_red_and_does_not_stop_the_ledger(monkeypatch):
    def broken(x, groups):
        raise TypeError("out of order")

    monkeypatch.setattr(ops, "channel_shuffle", broken)
    cases = [case for case in ledger.all_cases(["channel_shuffle"], 0) if case.check == "value"]
    rows = [row for row in ledger.verified(cases, 0) if row]
    assert [row.verdict for row in rows] == ["red"] * len(cases)
    assert rows[0].note == "TypeError: out of order"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--operations", "convolution"], "'convolution' is not an operation; there are: conv, convolve"),
        (["--sample", "0"], "--sample takes a number of cases of at least 1, not 0"),
        (["--sample", "5"], "a sample with every operation and every check in it has at least"),
        (["--seed", "-1"], "--seed takes an integer of at least 0, not -1"),
        (["--output", "taken"], "--output taken is not a folder"),
    ],
)
def test_bad_input_gets_a_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    assert cli.main(["verify", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"jaxcnn: {sentence}")
    assert message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_outside_a_checkout_the_loops_are_missed_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loops, "FOLDER", tmp_path / "tests" / "reference")
    loops.loops.cache_clear()
    try:
        assert cli.main(["verify", "--output", str(tmp_path)]) == 2
    finally:
        loops.loops.cache_clear()
    assert "verify compares with the loops of tests/reference, and there is no" in capsys.readouterr().err


def test_a_bound_is_missed_by_twice_the_error_it_allows():
    bound = bounds.rounding("float64", 10, 3, wide=True)
    assert bounds.compare([1 + bound / 2], [1.0], [bound]).passed
    assert not bounds.compare([1 + 2 * bound], [1.0], [bound]).passed


@pytest.mark.parametrize("actual", [[float("nan")], [float("inf")], [[1.0]]], ids=["NaN", "infinity", "shape"])
def test_what_is_no_number_or_of_another_shape_is_red(actual):
    assert not bounds.compare(actual, [1.0], [1.0]).passed


def test_nan_is_right_where_nan_is_due():
    assert bounds.compare([float("nan"), 2.0], [float("nan"), 2.0], [0.0, 0.0]).passed
