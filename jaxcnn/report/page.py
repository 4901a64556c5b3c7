"""The page: sections of one run, or of two beside each other, in the template."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jaxcnn import __version__
from jaxcnn.host.errors import InputError
from jaxcnn.report.blocks import Section
from jaxcnn.report.examined import Examined, examine
from jaxcnn.report.sections import SECTIONS
from jaxcnn.report.sections.comparison import comparison
from jaxcnn.report.verdict import Head, head


class Placed(NamedTuple):
    """A section of the page: where links find it, its title, and its value for each run, or one for all of them."""

    anchor: str
    title: str
    values: tuple[Section, ...]


def report(
    folder: Path, other: Path | None = None, *, checkpoint: Literal["last", "best"] | None = None, trust: bool = False
) -> str:  # fmt: skip
    """The page of a run, or of two beside each other, as HTML.

    Args:
      folder: of a run that is done, with its data still there.
      other: of another one, tested on the same images.
      checkpoint: of the runs; None is the one that their results are of.
      trust: networks that are code of their own, `module:function`, are imported.

    Raises:
      InputError: a folder that is none of such a run, or one tested on other images; or jinja2 is not installed.
    """
    check_template()
    runs = [examine(path, checkpoint=checkpoint, trust=trust) for path in (folder, *([other] if other else []))]
    if len(runs) == 2:
        _check_same(*runs)
    return rendered(runs, placed(runs))


def placed(runs: list[Examined]) -> list[Placed]:
    """The sections of some runs, in order; what is the same of all is said once."""
    found = []
    if len(runs) == 2:
        found.append(Placed("comparison", "The two runs", (comparison(*runs),)))
    for anchor, section in SECTIONS.items():
        values = tuple(section(run) for run in runs)
        same = all(value == values[0] for value in values)
        found.append(Placed(anchor, values[0].title, values[:1] if same else values))
    return found


def rendered(runs: list[Examined], sections: list[Placed]) -> str:
    """The page of some runs and their sections."""
    passes = sum(value.passes for section in sections for value in section.values) + sum(run.passes for run in runs)
    footer = (
        f"Made by jaxcnn {__version__} from the files of the run and its data, in as much computing as {passes:,} "
        "forward passes of one image. This file asks no host for anything."
    )
    return filled([run.name for run in runs], [head(run) for run in runs], sections, footer)


def filled(names: list[str], heads: list[Head], sections: list[Placed], footer: str) -> str:
    """Sections in the template, under the heads of the runs of these names."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    here = files("jaxcnn.report")
    loader = DictLoader({"page.html": (here / "page.html").read_text(encoding="utf-8")})
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = (here / "page.css").read_text(encoding="utf-8").strip()
    context = {"names": names, "heads": heads, "sections": sections, "style": style, "footer": footer}
    return environment.get_template("page.html").render(context).strip() + "\n"


def check_template() -> None:
    """Raise InputError where jinja2, which fills in the page, is not installed."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise InputError("a report needs jinja2, which is not installed: pip install 'jaxcnn[report]'") from None


def _check_same(one: Examined, other: Examined) -> None:
    if one.record.facts.classes != other.record.facts.classes:
        raise InputError(
            f"{one.name} and {other.name} tell other classes apart: a report of two runs is of one data set"
        )
    tests = one.dataset.test, other.dataset.test
    if not all(np.array_equal(*pair) for pair in zip(*tests, strict=True)):
        raise InputError(
            f"{one.name} and {other.name} were tested on other images, or on images of other sizes: a report of two "
            "runs is of the same test images"
        )
