"""Names from anywhere as text that can be shown anywhere."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # no letters of their own, but Persian words and family emoji are written with them


def printable(text: str) -> str:
    r"""The text with what cannot be printed as an escape: `caf\xe9` for a byte that was no UTF-8, `\x1b`, `\n`.

    File names may hold any byte. Python keeps those that are no UTF-8 as lone surrogates (PEP 383), which no file,
    terminal or font takes; and a control character could write over the screen.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def counted(number: int, singular: str, plural: str = "") -> str:
    """A number and its noun: `counted(1, "image")` is "1 image", `counted(1200, "image")` is "1,200 images"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def bytes_text(size: int) -> str:
    """A number of bytes as people say it: 512 bytes, 1.5 KiB, 20 GiB."""
    value, units = float(size), ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    unit = 0
    while value >= 1024 and unit < len(units) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {units[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {units[unit]}"
