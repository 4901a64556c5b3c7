"""What a training run is made of: a tree of frozen dataclasses. A file in `configs/` holds one, called `config`.

The docstring under a field is its help on the command line.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from typeguard import TypeCheckError, check_type

from jaxcnn.errors import InputError


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise InputError(sentence)


def _check_types(config: Any, prefix: str = "") -> None:
    """Refuse a value of another type than its field's: configs come from files as well as from typed flags."""
    hints = get_type_hints(type(config))
    for name in (each.name for each in fields(config)):
        value = getattr(config, name)
        try:
            check_type(value, hints[name])
        except TypeCheckError:
            kind = getattr(hints[name], "__name__", None) if isinstance(hints[name], type) else None
            wanted = kind or str(hints[name]).replace("typing.", "")
            raise InputError(f"{prefix}{name} must be {wanted}, not {value!r}") from None
        numbers = [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, float)]
        _require(all(map(math.isfinite, numbers)), f"{prefix}{name} must be finite, not {value}")


@dataclass(frozen=True)
class DataConfig:
    """Which images to learn from, and how they are shown to the network."""

    source: str = "digits"
    """digits | idx:DIR (MNIST's format) | folder:PATH (class folders, or a .tar/.tar.xz/.zip of them) | tfds:NAME"""
    size: tuple[int, int] | None = None
    """Resize every image to this height and width. None takes images as they are; they must then agree."""
    channels: Literal[1, 3] | None = None
    """1 reads images as gray, 3 as RGB. None takes them as they are."""
    test_fraction: float = 0.2
    """The share of images held out where the source has no test split of its own."""
    split_seed: int = 0
    """Chooses which images are held out, where the source has no test split, and which train_fraction keeps."""
    train_fraction: float = 1.0
    """The share of the training images to learn from, the same of every class."""
    data_dir: str | None = None
    """Where TFDS keeps prepared data sets. None means TFDS's own default."""
    manual_dir: str | None = None
    """A folder with files already downloaded, for TFDS to prepare a data set from."""
    mean: tuple[float, ...] | None = None
    """Subtracted per channel, for pixels in [0, 1]. None takes the mean of the training images."""
    std: tuple[float, ...] | None = None
    """Divided by per channel, for pixels in [0, 1]. None takes the standard deviation of the training images."""
    crop_padding: int = 0
    """Shift training images at random by up to this many pixels (pad with zeros, crop back)."""
    flip: bool = False
    """Mirror training images left to right, half of the time."""

    def __post_init__(self) -> None:
        _check_types(self, "data.")
        _require(
            0 < self.test_fraction < 1,
            f"data.test_fraction must be between 0 and 1, not {self.test_fraction}",
        )
        _require(0 < self.train_fraction <= 1, f"data.train_fraction must be in (0, 1], not {self.train_fraction}")
        _require(self.crop_padding >= 0, f"data.crop_padding must not be negative, not {self.crop_padding}")
        _require(
            self.size is None or min(self.size) > 0,
            f"data.size must be a positive height and width, not {self.size}",
        )
        _require(
            self.std is None or min(self.std, default=0) > 0,
            f"data.std must be positive in every channel, not {self.std}",
        )


@dataclass(frozen=True)
class OptimizerConfig:
    """How the parameters are updated."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    """adamw is adam with weight_decay; adam itself takes none."""
    lr: float = 1e-3
    """The highest learning rate of the schedule."""
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    """cosine falls to zero at the last step; step multiplies by `step_factor` at `step_epochs`."""
    warmup_epochs: float = 0.0
    """Epochs in which the learning rate rises from zero in a straight line."""
    step_epochs: tuple[float, ...] = ()
    """For the step schedule: after which epochs the learning rate falls."""
    step_factor: float = 0.1
    """For the step schedule: what the learning rate is multiplied by."""
    momentum: float = 0.9
    """For sgd."""
    nesterov: bool = True
    """For sgd: look ahead along the momentum."""
    weight_decay: float = 0.0
    """Decoupled, for sgd and adamw: kernels shrink by lr * weight_decay at each step; biases and scales do not."""

    def __post_init__(self) -> None:
        _check_types(self, "optimizer.")
        _require(self.lr > 0, f"optimizer.lr must be positive, not {self.lr}")
        _require(0 <= self.momentum < 1, f"optimizer.momentum must be in [0, 1), not {self.momentum}")
        _require(self.warmup_epochs >= 0, f"optimizer.warmup_epochs must not be negative, not {self.warmup_epochs}")
        _require(self.weight_decay >= 0, f"optimizer.weight_decay must not be negative, not {self.weight_decay}")
        _require(
            self.name != "adam" or self.weight_decay == 0,
            "optimizer adam takes no weight_decay: use adamw (decoupled), or loss.l2 (a penalty)",
        )
        _require(self.step_factor > 0, f"optimizer.step_factor must be positive, not {self.step_factor}")
        _require(
            min(self.step_epochs, default=1) > 0, f"optimizer.step_epochs must be positive, not {self.step_epochs}"
        )
        _require(
            (self.schedule == "step") == bool(self.step_epochs),
            "optimizer.step_epochs goes with schedule step, and the step schedule needs at least one",
        )


@dataclass(frozen=True)
class LossConfig:
    """What is minimized: the mean cross-entropy, and penalties on the kernels."""

    label_smoothing: float = 0.0
    """The share of probability spread evenly over all classes."""
    l1: float = 0.0
    """Times the sum of the kernels' absolute values."""
    l2: float = 0.0
    """Times half the sum of the kernels' squares."""

    def __post_init__(self) -> None:
        _check_types(self, "loss.")
        _require(
            0 <= self.label_smoothing < 1,
            f"loss.label_smoothing must be in [0, 1), not {self.label_smoothing}",
        )
        _require(
            min(self.l1, self.l2) >= 0,
            f"loss.l1 and loss.l2 must not be negative, not {self.l1} and {self.l2}",
        )


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    name: str = "digits"
    """The run's name: its folder under results/."""
    network: str = "lenet5"
    """A name that `jaxcnn models` lists, or module:function for a network of your own."""
    network_options: dict[str, bool | int | float | str] = field(default_factory=dict)
    """Options of the function that builds the network, as NAME VALUE pairs; `classes` comes from the data."""
    weights: str | None = None
    """Parameters to begin with: a file of PyTorch's (.safetensors, .npz, .pth, .pt, .th) or Keras's (.keras, .h5), the
    folder of a run, or the published ones: imagenet, imagenet_v2. None draws them."""
    head: Literal["load", "new"] = "load"
    """With weights: new draws the last layer, for data of other classes than those that the weights were trained on."""
    freeze: tuple[str, ...] = ()
    """Layers that are not trained, by paths or patterns such as conv1 layer[12] '*.bn?'; a part's path is all of it.
    A frozen BatchNorm normalizes by its running averages, and keeps them."""
    data: DataConfig = field(default_factory=lambda: DataConfig(size=(28, 28), crop_padding=2))
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=3e-3))
    loss: LossConfig = field(default_factory=LossConfig)
    epochs: int = 40
    """How often every training image is seen."""
    batch_size: int = 64
    """Images per training step. The last batch of an epoch is padded and masked."""
    seed: int = 0
    """Draws the initial parameters, the order of the images, the augmentation and the dropout."""
    evaluate_every: int = 1
    """Epochs between evaluations on the test split; the last epoch is always evaluated."""
    checkpoint_every: int = 0
    """Steps between checkpoints within an epoch, besides the one at its end. 0 means none."""

    def __post_init__(self) -> None:
        _check_types(self)
        plain = len(self.name) <= 100 and re.fullmatch(r"[\w][\w.+-]*", self.name)
        _require(
            plain,
            f"name must be letters, digits, '.', '_', '+' or '-' (it names a folder), at most 100, not {self.name!r}",
        )
        _require(self.head == "load" or self.weights, "head new goes with weights: without them, every layer is new")
        _require(all(self.freeze), f"freeze must be patterns that are not empty, not {self.freeze}")
        for name in "epochs", "batch_size", "evaluate_every":
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(0 <= self.seed < 2**32, f"seed must be at least 0 and below 2**32, not {self.seed}")
        _require(self.checkpoint_every >= 0, f"checkpoint_every must not be negative, not {self.checkpoint_every}")
        longest = max((self.optimizer.warmup_epochs, *self.optimizer.step_epochs))
        _require(longest <= self.epochs, f"optimizer: a schedule of {longest} epochs is longer than the {self.epochs}")


def to_json(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return asdict(config)


_PARTS = {"data": DataConfig, "optimizer": OptimizerConfig, "loss": LossConfig}


def from_json(values: dict[str, Any]) -> TrainConfig:
    """The config that `to_json` wrote. Raises TypeError for a field that does not exist."""

    def plain(part: dict[str, Any]) -> dict[str, Any]:
        return {name: tuple(value) if isinstance(value, list) else value for name, value in part.items()}

    parts = {name: kind(**plain(values[name])) for name, kind in _PARTS.items() if name in values}
    return TrainConfig(**plain(values) | parts)
