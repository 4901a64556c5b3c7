"""How much the screen can show."""

from __future__ import annotations

import shutil
import sys


def screen_width() -> int | None:
    """How many characters a line of the terminal has; None where the output goes into a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
