"""The `jaxcnn` command, `python -m jaxcnn` and `python train.py`, as a program of its own."""

from __future__ import annotations

import sys

from jaxcnn.host import interrupts, large_pages

COMPUTING = ("train", "evaluate", "bench")


def start(arguments: list[str] | None = None, program: str = "jaxcnn") -> int:
    """Be the program: run the command line of this process, or another one; returns the exit status.

    Commands that compute for long do it with large pages. See `jaxcnn.commands.main.main`, which other programs call.
    """
    interrupts.begin()
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] and words[0] in COMPUTING and not {"-h", "--help"} & {*words}:
        large_pages.restart()
    from jaxcnn.commands.main import main  # after `begin`: it takes a while to load

    return main(words, program)


if __name__ == "__main__":
    sys.exit(start())
