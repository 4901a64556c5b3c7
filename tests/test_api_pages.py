"""The API pages: the check of them sees what is wrong with pages; CI builds them and runs it (`.ci/api/pages.py`)."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
pages = SimpleNamespace(**runpy.run_path(str(ROOT / ".ci" / "api" / "pages.py")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page for every module, without a fault."""
    for name in pages.modules():
        page = tmp_path.joinpath(*name.split(".")).with_suffix(".html")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(
            f'<h1 id="top">{name}</h1> a <em>word</em> <a href="#top">up</a> <a href="https://jax.dev">x</a>'
        )
    return tmp_path


def test_every_module_but_the_start_of_the_program_is_to_have_a_page():
    assert {"jaxcnn", "jaxcnn.ops", "jaxcnn.ops.conv", "jaxcnn.data.augment"} <= set(pages.modules())
    assert "jaxcnn.__main__" not in pages.modules()
    assert pages.modules()[0] == "jaxcnn"


def test_pages_without_a_fault_are_let_through(folder: Path):
    assert pages.faults(folder) == []


@pytest.mark.parametrize(
    "text, wrong",
    [
        ('<a href="jaxcnn/ops/conv.html#top">', None),
        ('<a href="jaxcnn/ops.html#Conv">', "the link jaxcnn/ops.html#Conv leads nowhere"),
        ('<a href="opps.html">', "the link opps.html leads nowhere"),
        ('<a class="x" href="#missing">', "the link #missing leads nowhere"),
        ("<script>`<a href=\"${url}\">`</script>", None),
        ("<em>m to c</em>", "'m to c' is emphasized: put a formula with asterisks into backticks"),
        ("<strong>params, batch_stats:</strong>", None),
        ("Alias for field number 0", "'Alias for field number' says nothing"),
    ],
)  # fmt: skip
def test_a_fault_of_a_page_is_named(folder: Path, text: str, wrong: str | None):
    (folder / "jaxcnn.html").write_text(text)
    assert pages.faults(folder) == ([] if wrong is None else [f"jaxcnn.html: {wrong}"])


def test_a_missing_page_is_named(folder: Path):
    (folder / "jaxcnn" / "ops" / "pool.html").unlink()
    assert pages.faults(folder) == ["jaxcnn.ops.pool has no page"]


def test_ci_builds_the_pages_after_it_installed_what_they_need():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("'.[docs]'") < script.index('python .ci/api/pages.py "$work/api"')


def test_an_annotation_stands_as_it_is_written():
    shown = pages.AsWritten("Spec | None")
    assert repr(shown) == "Spec | None"
    assert inspect.formatannotation(shown) == "Spec | None"


def test_the_ending_of_a_file_is_no_relative_name():
    html = '<p>a .zip or (.tar), jaxcnn.data.tar, <span class="o">.</span>x, 0.5 and ...</p>'
    changed = '<p>a &#46;zip or (&#46;tar), jaxcnn.data.tar, <span class="o">.</span>x, 0.5 and ...</p>'
    assert pages.endings_kept(html) == changed
