"""Commands on runs as they are named: without results/, by a name that is nearly right, with a network of their own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

from jaxcnn.commands.evaluate import Evaluate
from jaxcnn.commands.main import main
from jaxcnn.config import DataConfig, TrainConfig
from jaxcnn.training.loop import fit


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a run and a folder of images, digits 0 to 9 by name."""
    folder = tmp_path_factory.mktemp("work")
    config = TrainConfig("digits", "mlp", data=DataConfig(size=(8, 8)), epochs=2, batch_size=128)
    fit(config, results=folder / "results", console=Console(quiet=True))
    digits = load_digits()
    (folder / "images" / "more").mkdir(parents=True)
    for number in range(10):
        pixels = np.round(digits.images[number] * 255 / 16).astype(np.uint8)
        place = folder / "images" / ("more" if number > 6 else "") / f"{digits.target[number]}.png"
        Image.fromarray(pixels).save(place)
    (folder / "images" / "notes.txt").write_text("no image")
    (folder / "images" / ".hidden.png").write_text("no image either")
    return folder


@pytest.fixture
def run(work, capsys, monkeypatch):
    """A command line in that folder: its exit status, what it prints, what it says on the standard error."""
    monkeypatch.chdir(work)

    def called(*arguments: str) -> tuple[int, str, str]:
        return main(list(arguments)), *capsys.readouterr()

    return called


def test_a_run_is_found_without_the_results_before_it(run):
    assert run("evaluate", "digits") == run("evaluate", "results/digits")
    assert run("evaluate", "digits")[0] == 0


@pytest.mark.parametrize("name", ["digist", "results/digist"])
def test_a_run_that_is_nearly_named_is_suggested(name, run):
    assert run("evaluate", name) == (2, "", f"jaxcnn: there is no run {name}; did you mean results/digits?\n")


def test_runs_are_listed_but_not_by_the_hundred(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(99):
        (tmp_path / "results" / f"a{number:02}").mkdir(parents=True)
        (tmp_path / "results" / f"a{number:02}" / "config.json").touch()
    status, _, said = run("evaluate", "nothing_like_it")
    assert status == 2 and said.count("results/") == 20 and said.endswith("results/a19 and 79 more\n")


def test_evaluate_as_json_says_what_result_json_says(run, work):
    result = json.loads((work / "results" / "digits" / "result.json").read_text())
    status, shown, _ = run("evaluate", "digits", "--json")
    found = json.loads(shown)
    assert status == 0 and found["network"] == "mlp" and found["images"] == 359 and found["checkpoint"] == "last"
    for metric in "loss", "accuracy", "top5":
        assert found[metric] == result[f"test_{metric}"]
    assert np.trace(found["confusion"]) == round(found["accuracy"] * 359) and found["classes"] == list("0123456789")


def test_predict_takes_folders_and_leaves_out_what_is_no_image(run):
    status, shown, said = run("predict", "digits", "images", "--top", "1")
    assert status == 0 and "left out of images: 1 file that cannot be read as an image (notes.txt)" in said
    lines = shown.splitlines()
    names = [str(Path("images") / ("more" if number > 6 else "") / f"{number}.png") for number in range(10)]
    assert lines[::2] == sorted(names[:7]) + sorted(names[7:]) and len(lines) == 20
    right = sum(Path(name).stem == line.split()[0] for name, line in zip(lines[::2], lines[1::2], strict=True))
    assert right >= 7  # two epochs of a small dense network reach about 90%


def test_predict_as_json_says_the_same_in_batches_of_any_size(run, monkeypatch):
    shown = run("predict", "digits", "images", "images/3.png", "--json", "--top", "10")[1]
    found = json.loads(shown)
    assert [one["image"] for one in found][-1] == "images/3.png" and len(found) == 11
    for one in found:
        shares = [each["probability"] for each in one["classes"]]
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-6)
        assert {each["class"] for each in one["classes"]} == set("0123456789")
    monkeypatch.setattr("jaxcnn.commands.predict.BATCH", 4)  # 4 + 4 + 3, of which the last is filled up
    again = json.loads(run("predict", "digits", "images", "images/3.png", "--json", "--top", "10")[1])
    for one, other in zip(found, again, strict=True):
        assert one["image"] == other["image"]
        of_one, of_other = ({each["class"]: each["probability"] for each in these["classes"]} for these in (one, other))
        assert of_one == pytest.approx(of_other, abs=1e-6)  # sums of 64 float32 products in another order


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "predict needs an image, or a folder of images, after the run"),
        (["images", "--top", "0"], "--top must be at least 1, not 0"),
        (["empty"], "there is no image in the folder empty"),
        (["images/notes.txt"], "images/notes.txt cannot be read as an image"),
        (["images/3.png", "--classes", "3"], "digits is a run, which knows its network: leave out --classes"),
    ],
)
def test_bad_input_of_predict_gets_a_sentence(arguments, sentence, run, work):
    (work / "empty").mkdir(exist_ok=True)
    status, shown, said = run("predict", "digits", *arguments)
    assert (status, shown, said.count("\n")) == (2, "", 1) and sentence in said


def test_a_loss_that_is_not_finite_is_said(run, monkeypatch):
    restored = Evaluate.restored

    def broken(self, folder):
        trained = restored(self, folder)
        return trained._replace(params=jax.tree.map(lambda array: array * np.nan, trained.params))

    monkeypatch.setattr(Evaluate, "restored", broken)
    status, shown, said = run("evaluate", "digits")
    assert (status, shown) == (1, "") and "the loss of digits on 359 test images is nan" in said


# a network of one's own


@pytest.fixture
def own(run, work):
    """The same run, as if of a network of one's own, in a module in the working folder."""
    file = work / "results" / "digits" / "config.json"
    before = file.read_text()
    saved = json.loads(before)
    saved["config"]["network"] = "own_module_of_tests:net"
    file.write_text(json.dumps(saved))
    (work / "own_module_of_tests.py").write_text("from jaxcnn.zoo import mlp as net\n")
    yield run
    file.write_text(before)


def test_a_runs_own_module_is_run_where_it_is_named_or_agreed_to(own, monkeypatch):
    status, _, said = own("evaluate", "digits")
    assert status == 2 and "if you trust it, say --network own_module_of_tests:net" in said
    status, _, said = own("evaluate", "digits", "--network", "os:system")
    assert status == 2 and "the network of results/digits is own_module_of_tests:net, not os:system" in said
    for answer, wanted in ("n\n", 2), ("\n", 2), ("", 2), ("y\n", 0):
        asked = io.StringIO(answer)
        monkeypatch.setattr(asked, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", asked)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        assert own("evaluate", "digits")[0] == wanted, answer
    monkeypatch.undo()


def test_a_known_network_needs_no_name(run):
    status, _, said = run("evaluate", "digits", "--network", "mlp")
    assert (status, said) == (2, "jaxcnn: results/digits is a run, which knows its network: leave out --network\n")
