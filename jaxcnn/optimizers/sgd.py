"""Gradient descent, with or without momentum, and by layers."""

from __future__ import annotations

from dataclasses import dataclass

import optax

from jaxcnn.host.settings import require
from jaxcnn.optimizers.paths import kernels
from jaxcnn.optimizers.rule import Rule


@dataclass(frozen=True)
class SGD(Rule):
    """Along the gradients' running sum: v <- momentum * v + g (Polyak 1964)."""

    momentum: float = 0.9
    """What is kept of the sum at each step; 0 goes along the gradient itself."""
    nesterov: bool = True
    """Look ahead along the momentum: the direction is g + momentum * v (Sutskever et al. 2013)."""
    weight_decay: float = 0.0
    """Decoupled: kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def check(self) -> None:
        name = self.kind()
        require(0 <= self.momentum < 1, f"{name}'s momentum must be in [0, 1), not {self.momentum}")
        require(self.weight_decay >= 0, f"{name}'s weight_decay must not be negative, not {self.weight_decay}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        return optax.chain(self._velocity(), decay)

    def _velocity(self) -> optax.GradientTransformation:
        return optax.trace(self.momentum, self.nesterov) if self.momentum else optax.identity()


@dataclass(frozen=True)
class LARS(SGD):
    """SGD whose every kernel has a rate of its own, by its norm over that of its gradient (You et al. 2017)."""

    nesterov: bool = False
    """Look ahead along the momentum."""
    trust: float = 0.001
    """The rate of a kernel is lr * trust * |kernel| / |gradient + weight_decay * kernel|; biases and scales have lr."""

    def check(self) -> None:
        super().check()
        require(self.trust > 0, f"lars's trust must be positive, not {self.trust}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        trusted = optax.masked(optax.scale_by_trust_ratio(trust_coefficient=self.trust), kernels)
        return optax.chain(decay, trusted, self._velocity())
