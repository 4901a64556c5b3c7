"""For tests of the C++ program: they run wherever there is a compiler, so that a program that fails fails them."""

from __future__ import annotations

import jax
import pytest

from jaxcnn.ops import native
from jaxcnn.ops.native import compiler

COMPILER = compiler.find()
WANTED = jax.default_backend() == "cpu" and native.switch() != "0"
needs_a_compiler = pytest.mark.skipif(not (WANTED and COMPILER), reason="no C++ compiler, or not a CPU")
native.available()  # so that XLA knows its functions
