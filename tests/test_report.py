"""`jaxcnn report`: the page of a real run, and what is said where there can be none."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from image_folders import SHARED
from page_reader import Page

import jaxcnn.report.page as page
from jaxcnn.commands.main import main
from jaxcnn.data import load
from jaxcnn.data.config import DataConfig
from jaxcnn.report import report
from jaxcnn.report.examined import examine
from jaxcnn.report.sections import SECTIONS

CIFAR = SHARED / "cifar10-jpeg.tar.xz"
SMALL = "train --network mlp --epochs 2 --data.size 8 8 --batch-size 128 --data.augment"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert main([*SMALL.split(), "--name", "one", "--report", "--results", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def told(results: Path) -> str:
    """What training with --report has written."""
    return (results / "one" / "report.html").read_text()


def test_the_page_is_whole_offline_accessible_and_small(told: str):
    read = Page(told)
    assert read.outside() == [] and read.inaccessible() == []
    sections = [attributes["id"] for tag, attributes in read.tags if tag == "section" and not attributes.get("class")]
    assert sections == list(SECTIONS)
    assert len(told.encode()) < 2_000_000 and "nan" not in read.text.lower().split()


def test_the_page_says_what_the_run_has_come_to(results: Path, told: str):
    result = json.loads((results / "one" / "result.json").read_text())
    text = Page(told).text
    assert f"mlp is right on {result['test_accuracy']:.2%} of 359 test images" in text
    assert result["params_sha256"] in text and f"{result['test_loss']:.4f}" in text and result["command"] in text
    assert "have the fingerprint that training wrote down" in text
    matrix = np.array(
        re.findall(r'<td(?: style="[^"]*")?(?: class="right")?>(?:<a [^>]*>|<span class="none">)?([\d·]+)', told)
    )
    counts = np.array([0 if count == "·" else int(count) for count in matrix[-100:]]).reshape(10, 10)
    assert counts.sum() == 359 and np.trace(counts) == round(result["test_accuracy"] * 359)


def test_a_cell_of_the_matrix_opens_its_own_images(results: Path, told: str):
    read, run = Page(told), examine(results / "one")
    for is_, said in {*zip(run.labels[~run.right].tolist(), run.said[~run.right].tolist(), strict=True)}:
        part = told.split(f'id="taken-{is_}-{said}"')[1].split(">close<")[0]
        shown = [int(number) for number in re.findall(r'alt="test image (\d+)"', part)]
        places = np.flatnonzero((run.labels == is_) & (run.said == said))
        expected = sorted(places.tolist(), key=lambda place: -run.confidence[place])  # the most confident first
        assert shown and shown == expected[: len(shown)]
    assert any(link.get("href") == "#taken-8-1" for link in read.all("a")) == bool(
        ((run.labels == 8) & (run.said == 1)).any()
    )


@pytest.mark.thorough
def test_the_same_run_gives_the_same_bytes(results: Path, told: str):
    assert report(results / "one") == told


@pytest.mark.thorough
def test_two_runs_stand_beside_each_other_and_what_is_the_same_is_said_once(results: Path, told: str, monkeypatch):
    other = results / "other"
    assert main([*SMALL.split(), "--name", "other", "--seed", "1", "--results", str(results)]) == 0
    few = ("data", "result", "confusion", "mistakes", "reproduction")
    monkeypatch.setattr(page, "SECTIONS", {name: SECTIONS[name] for name in few})
    text = report(results / "one", other)
    read, runs = Page(text), [examine(results / "one"), examine(other)]
    assert read.outside() == [] and read.inaccessible() == []
    placed = {each.anchor: len(each.values) for each in page.placed(runs)}
    assert placed == {"comparison": 1, "data": 1, "result": 2, "confusion": 2, "mistakes": 2, "reproduction": 2}
    alone = int((runs[0].right & ~runs[1].right).sum()), int((runs[1].right & ~runs[0].right).sum())
    assert f"one alone is right on {alone[0]} test image" in read.text and f"other alone on {alone[1]}." in read.text


def refused(capsys, *words: str | Path) -> str:
    """The sentence of a report that cannot be made, in one line."""
    capsys.readouterr()
    assert main(["report", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("jaxcnn: ")
    return said


def test_what_cannot_be_told_gets_a_sentence_and_leaves_nothing(results: Path, tmp_path: Path, capsys, monkeypatch):
    at = tmp_path / "page.html"
    assert "is not the folder of a run: it has no config.json" in refused(capsys, tmp_path, "--at", at)
    unfinished = tmp_path / "unfinished"
    shutil.copytree(results / "one", unfinished)
    (unfinished / "result.json").unlink()
    assert "is not finished: it has no result.json" in refused(capsys, unfinished, "--at", at)
    assert "ends in .html" in refused(capsys, results / "one", "--at", tmp_path / "page.txt")
    assert "in a folder that there is not" in refused(capsys, results / "one", "--at", tmp_path / "none" / "page.html")
    gone = tmp_path / "gone"
    shutil.copytree(results / "one", gone)
    config = json.loads((gone / "config.json").read_text())
    config["config"]["data"]["source"] = f"folder:{tmp_path / 'flowers'}"
    (gone / "config.json").write_text(json.dumps(config))
    assert "cannot be read, without which there is no report" in refused(capsys, gone, "--at", at)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "a report needs jinja2, which is not installed" in refused(capsys, results / "one", "--at", at)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gone", "unfinished"]
    assert not list(gone.glob("report*.partial"))


def test_two_runs_of_other_images_are_refused(results: Path, tmp_path: Path, capsys):
    shutil.copytree(results / "one", tmp_path / "split")
    config = json.loads((tmp_path / "split" / "config.json").read_text())
    config["config"]["data"]["split_seed"] = 1
    (tmp_path / "split" / "config.json").write_text(json.dumps(config))
    said = refused(capsys, results / "one", tmp_path / "split", "--at", tmp_path / "page.html")
    assert "tested on other images" in said and not (tmp_path / "page.html").exists()


def test_a_report_that_there_cannot_be_is_refused_before_training(tmp_path: Path, capsys, monkeypatch):
    words = ["train", "--report", "--results", str(tmp_path / "runs")]
    assert main([*words, "--limit-steps", "2"]) == 2 and "leave out --report" in capsys.readouterr().err
    assert main([*words, "--task", "reconstruction"]) == 2 and "tells classes" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(words) == 2 and "a report needs jinja2" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_convolutional_network_is_told_with_all_its_maps(tmp_path: Path):
    """The digits run, with validation images and kept epochs; relu, so that channels are projected to the pixels."""
    words = "train --network fmnist_cnn --epochs 3 --data.validation-fraction 0.1 --keep-epochs 1 3 --report --name cnn"
    assert main([*words.split(), "--results", str(tmp_path)]) == 0
    text = (tmp_path / "cnn" / "report.html").read_text()
    read = Page(text)
    assert read.outside() == [] and read.inaccessible() == [] and len(text.encode()) < 2_000_000
    for words in "First filters", "Feature maps", "Strongest training images", "Through training", "Grad-CAM at":
        assert words in read.text, words
    assert "best: " in text and "projected" in read.text
    assert report(tmp_path / "cnn") == text


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not CIFAR.exists(), reason=f"{CIFAR} is not here")
def test_ten_classes_of_color_photographs_take_less_than_2_megabytes(tmp_path: Path):
    """After so little training about every cell of the matrix opens images: a page can hardly hold more."""
    words = f"train --network cifar_cnn --epochs 1 --data.train-fraction 0.04 --data.source folder:{CIFAR} --name cifar"
    words += " --data.size 32 32 --data.augment flip --keep-epochs 1 --report"
    assert main([*words.split(), "--results", str(tmp_path)]) == 0
    text = (tmp_path / "cifar" / "report.html").read_text()
    assert 500_000 < len(text.encode()) < 2_000_000
    assert Page(text).outside() == [] and Page(text).inaccessible() == []


def test_examined_test_images_are_those_of_the_data(results: Path):
    run, data = examine(results / "one"), load(DataConfig(size=(8, 8)))
    np.testing.assert_array_equal(run.test.images, data.test.images)
    assert run.right.mean() == pytest.approx(run.result["test_accuracy"], abs=0.5 / 359)
    np.testing.assert_allclose(run.shares.sum(1), 1)
