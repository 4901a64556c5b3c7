"""The `jaxcnn` command, and `python -m jaxcnn`, as a program of its own."""

import sys

from jaxcnn import large_pages
from jaxcnn.cli import main


def start() -> int:
    """Run the command line of this process, with large pages where they pay."""
    if sys.argv[1:2] in (["train"], ["evaluate"], ["bench"]):
        large_pages.restart()
    return main()


if __name__ == "__main__":
    sys.exit(start())
