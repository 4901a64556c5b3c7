"""Columns of text, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Sequence

_SHORTEST = 16  # characters of a cell that is worth beginning


def aligned(lines: Sequence[Sequence[str]], sides: str, width: int | None = None) -> str:
    """Lines of cells as columns, with a rule under the first; of each column the side, "<" left or ">" right.

    What is more than `width` characters is left out: the last columns, or the ends of words in the last of them.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    while width and len(widths) > 1 and (over := sum(widths) + 2 * len(widths) - 2 - width) > 0:
        column = widths.pop()
        if sides[len(widths)] == "<" and column - over >= _SHORTEST:
            widths.append(column - over)
    text = ["  ".join(map(_cell, line, sides, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _cell(text: str, side: str, width: int) -> str:
    return f"{text if len(text) <= width else text[: width - 1] + '…':{side}{width}}"
