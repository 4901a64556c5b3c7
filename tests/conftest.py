"""What all tests share: float64 on request, and strictness there.

Rank promotion stays allowed: a bias of (C,) meets images of (N, H, W, C) all over the library, on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in float64 during one test, and in that test only.

    Promotion is strict meanwhile: a float32 constant hidden in the library is an error, not a loss of digits.
    """
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def by_xla(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute convolutions without the C++ program, for tests that look into what XLA compiles."""
    monkeypatch.setenv("JAXCNN_NATIVE", "0")
    jax.clear_caches()
    yield
    jax.clear_caches()
