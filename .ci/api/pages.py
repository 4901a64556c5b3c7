"""The API pages, made from the docstrings by pdoc, and what must hold of them: `python .ci/api/pages.py FOLDER`.

Every module has a page, pdoc warns of nothing, no link leads nowhere, no asterisk of a formula was taken for emphasis.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).parents[2]
EMPTY = ("Alias for field number", "Create new instance of")
WITHOUT_PAGE = {"jaxcnn.__main__"}


def modules() -> list[str]:
    """Every module of the package, by name; `jaxcnn` comes first."""
    files = [file.relative_to(ROOT).with_suffix("") for file in ROOT.glob("jaxcnn/**/*.py")]
    names = {".".join(file.parts).removesuffix(".__init__") for file in files}
    return sorted(names - WITHOUT_PAGE)


class AsWritten(str):
    """An annotation as it stands in the source: `Spec` rather than the two dozen layers of that union."""

    def __repr__(self) -> str:
        return str(self)


def _as_written(annotation: Any, *_: Any) -> Any:
    text = getattr(annotation, "__forward_arg__", annotation)  # of a NamedTuple
    return AsWritten(text) if isinstance(text, str) else annotation


def endings_kept(html: str) -> str:
    """HTML in which pdoc takes no ending of a file, such as .tar, for the module of that name beside it."""
    return re.sub(r"(?<![\w.)\]>])\.(?=\w)", "&#46;", html)


def _without_empty_words(module: ModuleType) -> None:
    """Take "Alias for field number 0" and "Create new instance" off the named tuples of a module."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            value.__new__.__doc__ = ""
            for field in value._fields:
                vars(value)[field].__doc__ = ""


def build(folder: Path) -> None:
    """Write the pages. Raises the first warning of pdoc."""
    import pdoc.doc  # pdoc and what it needs come with the extra `docs`
    import pdoc.doc_types
    import pdoc.render
    from jinja2 import pass_context

    os.environ.setdefault("KERAS_BACKEND", "jax")
    for name in modules():  # before warnings are errors: those of other libraries are none of ours
        _without_empty_words(importlib.import_module(name))
    # pdoc has no setting for this.
    pdoc.doc.safe_eval_type = pdoc.doc_types.safe_eval_type = _as_written
    pdoc.render.env.tests["in_package"] = lambda name, start: name.startswith(start) and "." not in name[len(start) :]
    linkify = pdoc.render.env.filters["linkify"]
    pdoc.render.env.filters["linkify"] = pass_context(
        lambda context, html, **options: linkify(context, endings_kept(html), **options)
    )
    pdoc.render.configure(docformat="google", template_directory=Path(__file__).parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        # pdoc adds the modules in a package that has no __all__, and then warns of those that it was given
        warnings.filterwarnings("ignore", "The module specification .* has already been added")
        pdoc.pdoc(*modules(), output_directory=folder)


def faults(folder: Path) -> list[str]:
    """What is wrong with the pages in a folder, a sentence each."""
    script = re.compile(r"<script\b.*?</script>", flags=re.S)
    texts = {page.resolve(): script.sub("", page.read_text()) for page in sorted(folder.rglob("*.html"))}
    anchors = {page: set(re.findall(r'\bid="([^"]*)"', text)) for page, text in texts.items()}
    wanted = {folder.resolve().joinpath(*name.split(".")).with_suffix(".html"): name for name in modules()}
    found = [f"{name} has no page" for page, name in wanted.items() if page not in texts]
    for page, text in texts.items():
        here = page.relative_to(folder.resolve())
        for link in dict.fromkeys(re.findall(r'<a\b[^>]*\bhref="([^"]*)"', text)):
            address, anchor = urldefrag(unescape(link))
            if "://" in address:
                continue
            target = (page.parent / unquote(address)).resolve() if address else page
            if target not in texts or (anchor and unquote(anchor) not in anchors[target]):
                found.append(f"{here}: the link {link} leads nowhere")
        found += [f"{here}: {words!r} says nothing" for words in EMPTY if words in text]
        for emphasized in re.findall(r"<(?:em|strong)>([^<]*)</(?:em|strong)>", text):
            if not re.fullmatch(r"[a-z]{3,}|[\w, *]+:", emphasized):  # a word, or the names before a description
                found.append(f"{here}: {emphasized!r} is emphasized: put a formula with asterisks into backticks")
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1])
    build(target)
    wrong = faults(target)
    print(*wrong, f"{len(modules())} modules, {len(wrong)} faults", sep="\n")
    sys.exit(1 if wrong else 0)
