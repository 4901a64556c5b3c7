"""The settings of the optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxcnn.host.settings import check_types, require
from jaxcnn.optimizers.adam import Adam
from jaxcnn.optimizers.rule import Rule
from jaxcnn.optimizers.schedule import Cosine, Schedule


@dataclass(frozen=True)
class OptimizerConfig:
    """How the parameters are updated."""

    rule: Rule = Adam()
    """sgd | adam | adamw | rmsprop | lion | lars | lamb | muon, and then its fields:
    sgd momentum=0.9 nesterov=false weight_decay=5e-4"""
    lr: float = 1e-3
    """The highest learning rate of the schedule."""
    lr_batch: int = 0
    """The batch size that `lr` is meant for, such as 256: it is multiplied by batch_size / lr_batch. 0 takes it as it
    is."""
    schedule: Schedule = Cosine()
    """constant | cosine | step | polynomial | exponential | restarts | one_cycle |
    plateau, and then its fields:
    step epochs=10,15 factor=0.1"""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate rises from zero in a straight line."""
    clip_norm: float = 0.0
    """Gradients whose norm, of all parameters together, is larger are scaled down to it. 0 does not."""
    clip_value: float = 0.0
    """Every number of a gradient is cut to at most this, up and down. 0 does not."""
    rates: dict[str, float] = field(default_factory=dict)
    """Factors of the learning rate as PATTERN FACTOR pairs, of layers such as `layer1` or `*.bn?` or of parameters such
    as `*.bias`: the first that fits counts, and every trained parameter must have one: `stem 0.1 '*' 1`"""
    layer_decay: float = 1.0
    """By this the learning rate of each part of the network, such as layer3, is less than that of the next."""
    decays: dict[str, float] = field(default_factory=dict)
    """Factors of the weight decay, as in rates. None means 1 for kernels and 0 for biases and scales."""
    thaw: dict[str, float] = field(default_factory=dict)
    """The epoch, from 0, in which layers begin to be trained, as in rates: `layer1 3 layer2 2 '*' 0`"""

    def __post_init__(self) -> None:
        check_types(self, "optimizer.")
        require(self.lr > 0, f"optimizer.lr must be positive, not {self.lr}")
        for name in "warmup_epochs", "lr_batch", "clip_norm", "clip_value":
            require(getattr(self, name) >= 0, f"optimizer.{name} must not be negative, not {getattr(self, name)}")
        for name in "rates", "decays", "thaw":
            for pattern, value in getattr(self, name).items():
                require(value >= 0, f"optimizer.{name} of {pattern!r} must not be negative, not {value}")
        require(
            0 < self.layer_decay <= 1, f"optimizer.layer_decay must be above 0 and at most 1, not {self.layer_decay}"
        )
        require(
            not self.decays or self.rule.decay,
            f"optimizer.decays are factors of the weight decay, and that of {self.rule.kind()} is 0",
        )
        require(
            not (self.warmup_epochs and self.schedule.rises),
            f"the {self.schedule.kind()} schedule rises by itself: optimizer.warmup_epochs must be 0",
        )
