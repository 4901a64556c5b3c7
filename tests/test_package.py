"""The public face: every name is there, is loaded when it is asked for, and is not hidden by a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jaxcnn

ROOT = Path(__file__).parents[1]
MODULES = {path.stem for path in (ROOT / "jaxcnn").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


@pytest.mark.parametrize("name", jaxcnn.__all__)
def test_a_public_name_is_a_function_or_a_module_and_is_listed(name: str):
    value = getattr(jaxcnn, name)
    assert value is getattr(jaxcnn, name) and name in dir(jaxcnn)
    assert isinstance(value, ModuleType) if name in MODULES else callable(value)
    assert value.__name__.split(".")[-1] == name


def test_a_function_has_no_modules_name():
    """Importing a module sets the name in its package, and would hide the function."""
    functions = {name for name in jaxcnn.__all__ if not isinstance(getattr(jaxcnn, name), ModuleType)}
    assert functions & MODULES == set()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'jaxcnn' has no attribute 'aply'"):
        jaxcnn.aply  # noqa: B018


def test_importing_jaxcnn_does_not_load_jax():
    program = "import sys, jaxcnn; assert 'jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
