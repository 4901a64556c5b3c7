"""The definitions in loops that everything is verified against: tests/reference of a checkout."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jaxcnn.host.errors import InputError

FOLDER = Path(__file__).parents[2] / "tests" / "reference"


@cache
def loops() -> Mapping[str, Callable[..., Any]]:
    """The functions of tests/reference by name.

    Raises InputError where the package does not stand in a checkout.
    """
    start = FOLDER / "__init__.py"
    if not start.is_file():
        raise InputError(
            f"verify compares with the loops of tests/reference, and there is no {start}: run it in a checkout"
        )
    # A name of its own: a test run may have the same package as `reference`, and neither should see the other's.
    name = "jaxcnn_reference"
    found = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(FOLDER)])
    assert found is not None and found.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.LOOPS
