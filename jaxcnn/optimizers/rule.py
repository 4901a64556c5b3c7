"""What an update rule is: a frozen value that makes an optax transformation."""

from __future__ import annotations

from typing import ClassVar

import optax

from jaxcnn.host.choices import Choice


class Rule(Choice):
    """How a gradient becomes a direction; the learning rate and its schedule come after it."""

    what: ClassVar[str] = "optimizer"

    @property
    def decay(self) -> float:
        """By what, times the learning rate, kernels shrink at each step; biases and scales do not: its `weight_decay`,
        if it has one."""
        return getattr(self, "weight_decay", 0.0)

    def direction(self, decay: optax.GradientTransformation) -> optax.GradientTransformation:
        """The transformation of the gradients, before the learning rate; `decay` adds the weight decay, somewhere."""
        raise NotImplementedError
