"""Every block of the pages with commands runs as it is written, in order, in a folder with small real data."""

import contextlib
import gzip
import io
import os
import re
import shlex
import struct
import tarfile
import tomllib
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

import jaxcnn
from jaxcnn.commands.main import main

ROOT = Path(__file__).parent.parent
RUN = (
    "README.md", "jaxcnn/data/README.md", "jaxcnn/ops/README.md", "jaxcnn/spec/README.md", "jaxcnn/visualize/README.md",
)  # fmt: skip
BLOCKS = {page: re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / page).read_text(), flags=re.M | re.S) for page in RUN}
RUN_BY_CI = {"pip install -e . && python train.py", "pip install -e '.[test]' && pytest -n 2"}
SHARED = Path(os.environ.get("JAXCNN_SHARED_DATA", ROOT.parent / "shared" / "data"))


def small_data(folder: Path) -> None:
    """200 real digits in the formats and at the places that the README names."""
    digits = load_digits()
    images = [Image.fromarray(np.uint8(image * 255 / 16)).resize((28, 28)) for image in digits.images[:200]]
    names = [f"class{label}" for label in digits.target[:200]]
    parts = {"train": range(160), "t10k": range(160, 200)}
    (folder / "fashion_mnist").mkdir(parents=True)
    for part, rows in parts.items():
        pixels = np.stack([np.asarray(images[row]) for row in rows])
        contents = {
            "images-idx3": struct.pack(">IIII", 0x803, *pixels.shape) + pixels.tobytes(),
            "labels-idx1": struct.pack(">II", 0x801, len(rows)) + np.uint8(digits.target[list(rows)]).tobytes(),
        }
        for kind, content in contents.items():
            (folder / "fashion_mnist" / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    for row, (image, name) in enumerate(zip(images, names, strict=True)):
        split = "train" if row in parts["train"] else "test"
        places = [folder / "cifar10" / split / name]
        places += [folder / "flowers" / name] if row < 50 else []  # its config has twenty epochs
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            image.resize((32, 32)).convert("RGB").save(place / f"{row:04}.jpg")
    with tarfile.open(folder / "cifar10.tar.xz", "w:xz") as archive:
        for split in "train", "test":
            archive.add(folder / "cifar10" / split, split)


def in_shell(command: str, folder: Path) -> str:
    """Run a command line of the README in this process, which has jax loaded; returns what it prints."""
    words = shlex.split(command)
    arguments = words[1:] if words[0] == "jaxcnn" else ["train", *words[2:]]
    assert words[0] == "jaxcnn" or words[:2] == ["python", "train.py"], command
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), patch.dict(os.environ, COLUMNS="120"):
        try:
            status = main(arguments, program=shlex.join(words[:1] if words[0] == "jaxcnn" else words[:2]))
        except SystemExit as leaving:  # --help
            status = leaving.code
    assert status == 0, f"{command}\n{out.getvalue()}"
    return out.getvalue()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that has what a clone has at its top, and no results."""
    for name in ("train.py", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def shown_in(block: str, output: str) -> bool:
    """Whether a block of output begins with the very lines that a command prints, figures aside."""
    text = re.sub(r"[\d.,%█]+", "#", block).split()
    return re.sub(r"[\d.,%█]+", "#", output).split()[: len(text)] == text


@pytest.mark.slow  # trains eight networks
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUN)
def test_every_block_runs_as_it_is_written(page, checkout):
    small_data(checkout / "data")
    if page == "README.md":
        in_shell("python train.py", checkout)
    printed, scope = "", {}
    for language, text in BLOCKS[page]:
        if language == "python":
            with contextlib.chdir(checkout), contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, page, "exec"), scope)
        elif language == "sh" and text.strip() not in RUN_BY_CI and "manual-dir" not in text:
            printed = in_shell(text.strip(), checkout)
        elif language == "text":
            assert shown_in(text, printed), f"{page} shows\n{text}\nbut the command prints\n{printed}"


def test_ci_runs_the_two_lines_that_the_tests_cannot():
    script = (ROOT / ".ci" / "run").read_text()
    assert {text.strip() for _, text in BLOCKS["README.md"]} >= RUN_BY_CI
    assert "pip install -q -e ." in script and "python train.py" in script and "\npytest -n 2\n" in script


@pytest.mark.slow
def test_the_block_that_prepares_fashion_mnist_runs_with_the_original_files(checkout):
    pytest.importorskip("tensorflow", reason="preparing a data set needs the extra 'tfds'")
    if not (SHARED / "fashion_mnist").is_dir():
        pytest.skip(f"no Fashion-MNIST in {SHARED}")
    (checkout / "data").mkdir()
    (checkout / "data" / "fashion_mnist").symlink_to(SHARED / "fashion_mnist")
    (block,) = [text.strip() for _, text in BLOCKS["jaxcnn/data/README.md"] if "manual-dir" in text]
    in_shell(block, checkout)
    assert (checkout / "results" / "fmnist_mlp" / "result.json").is_file()


PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *(page for places in ("results/*.md", "tests/tutorials/*.md", "jaxcnn/**/README.md") for page in ROOT.glob(places)),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_every_page_lead_to_something(page: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link.partition("#")[0]).exists()]
    assert not missing


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_the_citation_names_the_version_and_the_license():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert citation["version"] == project["version"] == jaxcnn.__version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == [{"name": "The jaxcnn authors"}]
    assert {"message", "title"} <= citation.keys()


def test_every_wing_has_its_page():
    wings = [path.parent for path in ROOT.glob("jaxcnn/*/__init__.py")]
    assert not [wing.name for wing in wings if not (wing / "README.md").is_file()]
