"""Shares as lines of text, each with a bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bars(shares: np.ndarray, names: Sequence[str], most: int = 5, width: int = 30) -> str:
    """The `most` largest of `shares`, (K,) in [0, 1], a line each: its name, the share as a number and as a bar."""
    best = shares.argsort()[::-1][:most]
    longest = max(len(names[index]) for index in best)
    lines = []
    for index in best:
        bar = "█" * round(width * float(shares[index]))
        lines.append(f"  {names[index]:<{longest}}  {shares[index]:7.2%}  {bar}".rstrip())
    return "\n".join(lines)
