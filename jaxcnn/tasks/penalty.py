"""Penalties on the kernels, whatever is learned."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from jaxcnn.host.settings import check_types, require
from jaxcnn.layout import Params


@dataclass(frozen=True)
class Penalty:
    """What is added to the loss for large kernels; biases and scales go free."""

    l1: float = 0.0
    """Times the sum of the kernels' absolute values."""
    l2: float = 0.0
    """Times half the sum of the kernels' squares."""

    def __post_init__(self) -> None:
        check_types(self, "penalty.")
        require(
            min(self.l1, self.l2) >= 0,
            f"penalty.l1 and penalty.l2 must not be negative, not {self.l1} and {self.l2}",
        )

    def __call__(self, params: Params) -> Array:
        """l1 * sum |w| + l2/2 * sum w^2 over the kernels."""
        kernels = [layer["kernel"] for layer in params.values() if "kernel" in layer]
        total = jnp.zeros(())
        if self.l1:
            total += self.l1 * sum(jnp.abs(kernel).sum() for kernel in kernels)
        if self.l2:
            total += self.l2 / 2 * sum(jnp.square(kernel).sum() for kernel in kernels)
        return total
