"""Train a network: `python train.py [CONFIG.py] [--field value ...]`. The same as `jaxcnn train`."""

import sys

from jaxcnn import large_pages
from jaxcnn.cli import main

if __name__ == "__main__":
    large_pages.restart()
    sys.exit(main(["train", *sys.argv[1:]], program="python train.py"))
