"""What all tests share: float64 on request, strictness there, and programs that XLA compiled before.

Rank promotion stays allowed here; that the library does without it is seen in test_operation_sizes.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import jax
import pytest

from jaxcnn.ops import native

QUICKLY_COMPILED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def pytest_configure(config: pytest.Config) -> None:
    """Spend little time in XLA's compiler, which took most of the tests' time.

    It optimizes less, unless slow tests are asked for or XLA_FLAGS says otherwise (an empty one too). And each program
    is compiled once for all workers, the processes that tests start, and the next run of the tests: JAX's own key
    (program, flags, version, machine) tells programs apart.
    """
    if "slow" not in config.option.markexpr.replace("not slow", ""):
        os.environ.setdefault("XLA_FLAGS", QUICKLY_COMPILED)
    if not config.pluginmanager.has_plugin("cacheprovider"):  # -p no:cacheprovider
        return
    settings = {
        "jax_compilation_cache_dir": str(config.cache.mkdir("xla")),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the cases of a test marked `every(n)`, all but every n-th are thorough. What is slow is slow, not thorough."""
    seen: Counter[str] = Counter()
    for item in items:
        if item.get_closest_marker("slow"):
            item.own_markers = [mark for mark in item.own_markers if mark.name != "thorough"]
            continue
        mark = item.get_closest_marker("every")
        if mark is None:
            continue
        name = item.nodeid.partition("[")[0]
        if seen[name] % mark.args[0]:
            item.add_marker(pytest.mark.thorough)
        seen[name] += 1


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in float64 during one test, and in that test only.

    Promotion is strict meanwhile: a float32 constant hidden in the library is an error, not a loss of digits.
    """
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def by_xla() -> Iterator[None]:
    """Compute convolutions without the C++ program, for tests that look into what XLA compiles."""
    with native.switched("0"):
        yield
