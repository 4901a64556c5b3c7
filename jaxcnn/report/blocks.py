"""What a section is made of: small values, which the page's template knows how to show.

They hold text, numbers as text, and pictures as data; nothing here reads a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Block:
    """A part of a section. `kind` is the name of its macro in page.html."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, what it shows in words, and the width and height of its pixels."""

    uri: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; of tone "note" beside the matter, of tone "warning" not to be overlooked."""

    kind = "text"
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Heading(Block):
    """The title of a part of a section."""

    kind = "heading"
    text: str


@dataclass(frozen=True)
class Facts(Block):
    """Terms and what they are here."""

    kind = "facts"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bar:
    """A number as text, with a bar as long as a share from 0 to 1 under it."""

    text: str
    share: float


@dataclass(frozen=True)
class Drawing:
    """An SVG, which says itself what it shows."""

    svg: str


Cell = str | Bar | Drawing | Picture


@dataclass(frozen=True)
class Table(Block):
    """Rows of cells under a head; of each column the side, "<" left or ">" right; the first cell of a row names it."""

    kind = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sides: str


@dataclass(frozen=True)
class Shown:
    """A picture with a few lines under it; `tone` is "right" or "wrong" where it is one of the two."""

    picture: Picture
    lines: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True)
class Gallery(Block):
    """Pictures beside each other, each so many of the page's pixels wide."""

    kind = "gallery"
    pictures: tuple[Shown, ...]
    width: int = 96
    caption: str = ""


@dataclass(frozen=True)
class Plot(Block):
    """An SVG with a caption; one that is `wide` is not shrunk to the page, but scrolls."""

    kind = "plot"
    svg: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Row(Block):
    """Blocks beside each other, where there is room: each is at least so many of the page's pixels wide."""

    kind = "row"
    blocks: tuple[Block, ...]
    least: int = 300


@dataclass(frozen=True)
class Details(Block):
    """Blocks that are there when they are asked for."""

    kind = "details"
    summary: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Code(Block):
    """A command."""

    kind = "code"
    text: str


@dataclass(frozen=True)
class Download(Block):
    """A file inside of the page."""

    kind = "download"
    name: str
    uri: str
    text: str


@dataclass(frozen=True)
class MatrixCell:
    """A count of a matrix, its share of the row from 0 to 1, and the name of what it opens, if anything."""

    count: int
    share: float
    opens: str = ""
    label: str = ""


@dataclass(frozen=True)
class Matrix(Block):
    """A square of counts: rows are the true classes, columns what they were taken for."""

    kind = "matrix"
    caption: str
    names: tuple[str, ...]
    rows: tuple[tuple[MatrixCell, ...], ...]


@dataclass(frozen=True)
class Opened(Block):
    """What is shown where a link to its name was followed."""

    kind = "opened"
    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Section:
    """A section of the page: its title, what it comes to in a sentence, and its blocks.

    `passes` counts what it took, in forward passes of one image; a backward pass counts as two.
    """

    title: str
    lead: str
    blocks: tuple[Block, ...]
    passes: int = 0
