"""Muon: kernels move along the nearest orthogonal matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import optax
from optax import contrib

from jaxcnn.host.settings import require
from jaxcnn.optimizers.paths import kernels
from jaxcnn.optimizers.rule import Rule


@dataclass(frozen=True)
class Muon(Rule):
    """Kernels along the orthogonal matrix nearest to their momentum (Jordan et al. 2024), all else by Adam.

    A kernel (*window, I, O) is a matrix of window * I rows and O columns. Its update has the root mean square `rms`
    (Liu et al. 2025), about that of Adam's, so that one learning rate, such as 1e-3, serves both.
    """

    momentum: float = 0.95
    """What is kept of the gradients' running mean at each step."""
    nesterov: bool = True
    """Look ahead along the momentum."""
    iterations: int = 5
    """Of Newton and Schulz's method, which makes the matrix orthogonal."""
    rms: float = 0.2
    """The root mean square of a kernel's update, before the learning rate."""
    weight_decay: float = 0.0
    """Decoupled: kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def check(self) -> None:
        require(0 <= self.momentum < 1, f"muon's momentum must be in [0, 1), not {self.momentum}")
        require(self.iterations >= 1, f"muon's iterations must be at least 1, not {self.iterations}")
        require(self.rms > 0, f"muon's rms must be positive, not {self.rms}")
        require(self.weight_decay >= 0, f"muon's weight_decay must not be negative, not {self.weight_decay}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        orthogonal = contrib.scale_by_muon(
            ns_steps=self.iterations, beta=self.momentum, nesterov=self.nesterov, weight_dimension_numbers=_matrices
        )
        of_kernels = optax.chain(orthogonal, optax.stateless(self._scaled))
        labels: Any = kernels
        return optax.chain(optax.partition({True: of_kernels, False: optax.scale_by_adam()}, labels), decay)

    def _scaled(self, updates: Any, _: Any) -> Any:
        """An orthogonal matrix has a root mean square of 1 / sqrt(its longer side)."""

        def scaled(update: jax.Array) -> jax.Array:
            columns = update.shape[-1]
            return update * self.rms * max(columns, update.size // columns) ** 0.5

        return jax.tree.map(scaled, updates)


def _matrices(params: Any) -> Any:
    def matrix(kernel: jax.Array) -> contrib.MuonDimensionNumbers:
        last = kernel.ndim - 1
        return contrib.MuonDimensionNumbers(reduction_axis=tuple(range(last)), output_axis=(last,))

    return jax.tree.map(matrix, params)
