"""What a training run is made of: the tree that gathers the parts' own settings.

A file in `configs/` holds one, called `config`. The docstring under a field is its help on the command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from jaxcnn.data.augment import (
    Affine,
    AlternatingFlip,
    Augmentation,
    CenterCrop,
    Crop,
    CutMix,
    Flip,
    MixUp,
    Perspective,
    ResizedCrop,
    Rotate,
)
from jaxcnn.data.augment.views import Views
from jaxcnn.data.config import DataConfig
from jaxcnn.data.sizes import train_sizes
from jaxcnn.host.settings import check_types, require
from jaxcnn.optimizers import (
    LAMB,
    LARS,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    Lion,
    Muon,
    OneCycle,
    OptimizerConfig,
    Plateau,
    Polynomial,
    Restarts,
    RMSprop,
    Rule,
    Schedule,
    Step,
)
from jaxcnn.tasks import Classification, Distillation, Penalty, Reconstruction, Task

__all__ = [
    "LAMB", "LARS", "SGD", "Adam", "AdamW", "Affine", "AlternatingFlip", "Augmentation", "CenterCrop",
    "Classification", "Constant", "Cosine", "Crop", "CutMix", "DataConfig", "Distillation", "Exponential", "Flip",
    "Lion", "MixUp", "Muon", "OneCycle", "OptimizerConfig", "Penalty", "Perspective", "Plateau", "Polynomial",
    "RMSprop", "Reconstruction", "ResizedCrop", "Restarts", "Rotate", "Rule", "Schedule", "Step", "Task",
    "TrainConfig", "Views",
]  # fmt: skip


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
    weights_key: str | None = None
    """Which of several state dicts in a file of weights, such as model_ema; None takes the one that training meant."""
    head: Literal["load", "new"] = "load"
    """With weights: new draws the last layer, for data of other classes than those that the weights were trained on."""
    whiten: bool = False
    """Begin with a first convolution whose channels are the principal components of the training images' patches,
    scaled to be as strong as each other, and their negatives. It goes well with --freeze and the path of that layer."""
    freeze: tuple[str, ...] = ()
    """Layers that are not trained, by paths or patterns such as conv1 layer[12] '*.bn?'; a part's path is all of it.
    A frozen BatchNorm normalizes by its running averages, and keeps them."""
    task: Task = Classification()
    """What is learned: classification label_smoothing=0.1 | reconstruction"""
    data: DataConfig = DataConfig(size=(28, 28), augment=(Crop(2),))
    optimizer: OptimizerConfig = OptimizerConfig(lr=3e-3)
    penalty: Penalty = Penalty()
    distill: Distillation = Distillation()
    epochs: int = 40
    """How often every training image is seen."""
    batch_size: int = 64
    """Images per training step. The last batch of an epoch is padded and masked."""
    accumulate: int = 1
    """Parts that each batch is cut into, which go through the network one after the other: for batches that do not fit
    into memory. The update is that of the whole batch; BatchNorm normalizes each part by itself."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward pass and its gradient: bfloat16 is faster on a GPU or TPU, not on a CPU. Parameters, statistics
    and losses are float32."""
    remat: bool = False
    """Keep less for the gradient: what is inside of each block of the network is computed again when it is needed. That
    takes less memory, and the time of another forward pass."""
    stochastic_depth: float | None = None
    """The probability that the last residual block is left out for an example in training; that of the others grows up
    to it in a straight line, from block to block. None leaves the network its own, which most have not."""
    batch_norm_parts: int | Literal["device"] = 1
    """Parts of each batch that BatchNorm normalizes each by itself: a number, or device, a part for each device, as in
    PyTorch without SyncBatchNorm. The running averages are of the parts' mean. 1 is the whole batch on all devices."""
    ema: float = 0.0
    """What running averages of the parameters and statistics keep at each step, such as 0.999; less in the first steps.
    The network is evaluated and saved with them. 0 keeps none."""
    views: Views = Views()
    """Of each image, when a classifier is judged: its probabilities are the mean over them."""
    seed: int = 0
    """Draws the initial parameters, the order of the images, the augmentation and the dropout."""
    evaluate_every: int = 1
    """Epochs between evaluations, on the validation or the test images; the last epoch is always evaluated."""
    patience: int = 0
    """Epochs without a better one, by the validation images, after which training stops. 0 never stops it early."""
    steps_per_dispatch: int = 1
    """Steps that a device is given at once, in one program: more are faster where a step takes a GPU less time than it
    takes to ask for it. A signal is heeded after them."""
    log_every: int = 0
    """Steps between lines of steps.jsonl, of the loss, the gradient's norm and the learning rate. 0 writes none."""
    tensorboard: bool = False
    """Write what metrics.jsonl and steps.jsonl hold for TensorBoard too: tensorboard --logdir results"""
    checkpoint_every: int = 0
    """Steps between checkpoints within an epoch, besides the one at its end. 0 means none."""
    keep_epochs: tuple[int, ...] = ()
    """Epochs whose checkpoints stay, in checkpoints/epochs, for `jaxcnn visualize --show evolution`: 1 2 5 10."""

    def __post_init__(self) -> None:
        check_types(self)
        plain = len(self.name) <= 100 and re.fullmatch(r"[\w][\w.+-]*", self.name)
        require(
            plain,
            f"name must be letters, digits, '.', '_', '+' or '-' (it names a folder), at most 100, not {self.name!r}",
        )
        require(self.head == "load" or self.weights, "head new goes with weights: without them, every layer is new")
        require(not (self.whiten and self.weights), "whiten draws the first layer anew: leave it or weights out")
        require(
            not self.distill.teacher or isinstance(self.task, Classification),
            f"distill.teacher teaches probabilities of classes: its task is classification, not {self.task.kind()}",
        )
        require(all(self.freeze), f"freeze must be patterns that are not empty, not {self.freeze}")
        require(
            self.views == Views() or isinstance(self.task, Classification),
            f"views are for classification, whose probabilities they average, not for {self.task.kind()}",
        )
        for name in "epochs", "batch_size", "evaluate_every", "steps_per_dispatch":
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(0 <= self.seed < 2**32, f"seed must be at least 0 and below 2**32, not {self.seed}")
        require(0 <= self.ema < 1, f"ema must be at least 0 and below 1, not {self.ema}")
        require(
            self.accumulate >= 1 and self.batch_size % self.accumulate == 0,
            f"accumulate must be a divisor of batch_size {self.batch_size}, not {self.accumulate}",
        )
        require(
            self.stochastic_depth is None or 0 <= self.stochastic_depth < 1,
            f"stochastic_depth must be at least 0 and below 1, not {self.stochastic_depth}",
        )
        require(
            self.batch_norm_parts == "device" or self.batch_norm_parts >= 1,
            f"batch_norm_parts must be at least 1, or device, not {self.batch_norm_parts}",
        )
        require(self.patience >= 0, f"patience must not be negative, not {self.patience}")
        require(
            not self.patience or self.data.validation_fraction,
            "patience needs validation images: give data.validation_fraction, for example 0.1",
        )
        require(min(self.keep_epochs, default=1) >= 1, f"keep_epochs are numbers from 1, not {self.keep_epochs}")
        for name in "checkpoint_every", "log_every":
            value, steps = getattr(self, name), self.steps_per_dispatch
            require(value >= 0, f"{name} must not be negative, not {value}")
            require(value % steps == 0, f"{name} must be a multiple of steps_per_dispatch {steps}, not {value}")
        latest = max(train_sizes(self.data.train_sizes), default=0)
        require(latest < self.epochs, f"data.train_sizes: epoch {latest} never begins, as there are {self.epochs}")
        longest = max(self.optimizer.warmup_epochs, self.optimizer.schedule.longest)
        require(longest <= self.epochs, f"optimizer: a schedule of {longest} epochs is longer than the {self.epochs}")
