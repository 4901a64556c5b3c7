"""Train a network: `python train.py [CONFIG.py] [--field value ...]`. The same as `jaxcnn train`."""

import runpy
import sys
from importlib.util import find_spec

if __name__ == "__main__":
    # That file alone, before the package: JAX takes most of a second to import, and would be imported twice.
    for folder in find_spec("jaxcnn").submodule_search_locations:  # type: ignore[union-attr]
        runpy.run_path(f"{folder}/large_pages.py", run_name="jaxcnn.large_pages")["restart"]()

    from jaxcnn.cli import main

    sys.exit(main(["train", *sys.argv[1:]], program="python train.py"))
