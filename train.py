"""Train a network: `python train.py [CONFIG] [--field value ...]`. The same as `jaxcnn train`."""

import sys

from jaxcnn.__main__ import start

if __name__ == "__main__":
    sys.exit(start(["train", *sys.argv[1:]], "python train.py"))
