"""Every tutorial runs as it stands, claims something, says something, and is listed with where to read on."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parent / "tutorials"
TUTORIALS = sorted(FOLDER.glob("[0-9]*.py"))

each = pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)


@pytest.mark.every(3)
@each
def test_a_tutorial_runs_and_shows_something(tutorial: Path, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = dict(jax.config.values)
    runpy.run_path(str(tutorial), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert jax.config.values == before, "the next test would compute otherwise"


@each
def test_a_tutorial_is_a_short_page_of_claims(tutorial: Path):
    text = tutorial.read_text()
    tree = ast.parse(text)
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert len(asserts) + text.count("np.testing.assert") >= 8
    assert len(text.splitlines()) <= 130
    assert f"python tests/tutorials/{tutorial.name}" in (ast.get_docstring(tree) or "")
    *_, last = text.strip().split("\n\n")
    assert last.startswith("# Where to read on: "), "the last paragraph says where to read on"
    root = FOLDER.parents[1]
    for named in re.findall(r"[\w/.]+\.(?:md|py)\b", last):
        assert (root / named).exists() or (FOLDER / named).exists(), (
            f"{tutorial.name} names {named}, which is not there"
        )


def test_the_list_of_tutorials_has_them_all_in_order():
    listed = re.findall(r"\]\((\d+_\w+\.py)\)", (FOLDER / "README.md").read_text())
    assert listed == [tutorial.name for tutorial in TUTORIALS]
    assert [name[:2] for name in listed] == [f"{number:02}" for number in range(1, len(listed) + 1)]
