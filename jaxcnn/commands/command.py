"""What a command is: a frozen dataclass that the command line fills, and that can be run."""

from __future__ import annotations

import inspect
import shlex
import shutil
import sys
import textwrap
from contextlib import suppress
from typing import Any, NamedTuple, Self

import tyro

from jaxcnn.commands.flags import registry

FAILED, BAD_INPUT = 1, 2  # exit statuses
INDENT = "  "


def say(sentence: str, status: int) -> int:
    """Print a sentence on the standard error, in one line unless that is a terminal; returns the exit status."""
    line = f"jaxcnn: {' '.join(sentence.split())}"
    with suppress(OSError):
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            line = textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        print(line, file=sys.stderr)
    return status


class Line(NamedTuple):
    """A command line: the program as it was called, and the words after it."""

    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join([*shlex.split(self.program), *self.arguments])


class Command:
    """A command. Its fields are the flags, their docstrings the help, and the first lines of its own the description.

    A field of type `Positional[...]` has no flag. Heavy libraries are imported in `run`, so that help comes at once.
    """

    lasting = False
    """Whether what it does is worth finishing when nobody reads any more what it prints."""
    computes = False
    """Whether it needs a device to compute on."""

    @classmethod
    def parse(cls, line: Line) -> Self:
        """The command that a line asks for. Prints help, or what is wrong, and raises SystemExit, where it does not."""
        return parse(cls, line)

    def begin(self) -> None:
        """What comes before JAX looks for devices. Raises InputError for what cannot be done as asked."""

    def run(self) -> int:
        """Do it; returns the exit status. Raises InputError for what cannot be done as asked."""
        raise NotImplementedError


def parse(kind: Any, line: Line, description: str = "", **options: Any) -> Any:
    """A value of a dataclass from a command line, as tyro reads it.

    `description` is the dataclass's docstring by default, `options` are tyro's own.
    """
    about = _wrapped(description or inspect.getdoc(kind) or "")
    return tyro.cli(kind, prog=line.program, args=line.arguments, registry=registry, description=about, **options)


def _wrapped(text: str) -> str:
    """A docstring in lines that fit the terminal: tyro prints it as one long line, but for what is indented."""
    width = min(shutil.get_terminal_size().columns, 120)
    first, *more = text.split("\n\n")
    shown = [textwrap.fill(first, width, subsequent_indent=INDENT, break_on_hyphens=False)]
    for part in more:
        example = part.startswith(INDENT)
        filled = part if example else textwrap.fill(part, width - len(INDENT), break_on_hyphens=False)
        shown.append(textwrap.indent(filled, INDENT))
    return "\n".join(shown)
