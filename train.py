"""Train a network: `python train.py [CONFIG.py] [--field value ...]`. The same as `jaxcnn train`."""

import sys

from jaxcnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], program="python train.py"))
