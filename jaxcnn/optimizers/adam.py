"""Adam, and what was made of it."""

from __future__ import annotations

from dataclasses import dataclass

import optax

from jaxcnn.host.settings import require
from jaxcnn.optimizers.rule import Rule


@dataclass(frozen=True)
class Adam(Rule):
    """The gradients' running mean over the root of that of their squares (Kingma and Ba 2015)."""

    b1: float = 0.9
    """What is kept of the mean at each step."""
    b2: float = 0.999
    """What is kept of the mean of the squares at each step."""
    eps: float = 1e-8
    """Added to the root."""

    def check(self) -> None:
        for name in "b1", "b2":
            require(
                0 <= getattr(self, name) < 1, f"{self.kind()}'s {name} must be in [0, 1), not {getattr(self, name)}"
            )
        require(self.eps > 0, f"{self.kind()}'s eps must be positive, not {self.eps}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(self.b1, self.b2, self.eps), decay)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    weight_decay: float = 0.01
    """Kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def check(self) -> None:
        super().check()
        require(self.weight_decay >= 0, f"{self.kind()}'s weight_decay must not be negative, not {self.weight_decay}")


@dataclass(frozen=True)
class LAMB(AdamW):
    """AdamW whose every array moves in proportion to its own norm, for large batches (You et al. 2020)."""

    eps: float = 1e-6
    """Added to the root."""

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        return optax.chain(super().direction(decay), optax.scale_by_trust_ratio())


@dataclass(frozen=True)
class Lion(Rule):
    """The sign of the gradient's running mean; its rate is a third to a tenth of Adam's (Chen et al. 2023)."""

    b1: float = 0.9
    """What the mean counts for in the direction, beside the gradient."""
    b2: float = 0.99
    """What is kept of the mean at each step."""
    weight_decay: float = 0.0
    """Decoupled: kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def check(self) -> None:
        for name in "b1", "b2":
            require(0 <= getattr(self, name) < 1, f"lion's {name} must be in [0, 1), not {getattr(self, name)}")
        require(self.weight_decay >= 0, f"lion's weight_decay must not be negative, not {self.weight_decay}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_lion(self.b1, self.b2), decay)


@dataclass(frozen=True)
class RMSprop(Rule):
    """The gradient over the root of the running mean of its square, as in PyTorch (Hinton 2012)."""

    smoothing: float = 0.99
    """What is kept of the mean of the squares at each step; PyTorch's alpha."""
    eps: float = 1e-8
    """Added to the root."""
    momentum: float = 0.0
    """What is kept of the directions' running sum at each step."""
    weight_decay: float = 0.0
    """Decoupled: kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def check(self) -> None:
        for name in "smoothing", "momentum":
            require(0 <= getattr(self, name) < 1, f"rmsprop's {name} must be in [0, 1), not {getattr(self, name)}")
        require(self.eps > 0, f"rmsprop's eps must be positive, not {self.eps}")
        require(self.weight_decay >= 0, f"rmsprop's weight_decay must not be negative, not {self.weight_decay}")

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        scaled = optax.scale_by_rms(self.smoothing, self.eps, eps_in_sqrt=False)
        return optax.chain(scaled, optax.trace(self.momentum) if self.momentum else optax.identity(), decay)
