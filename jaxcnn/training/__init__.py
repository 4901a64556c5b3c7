"""Training a network: from a config to the folder that documents a run."""

from jaxcnn.training.loop import (
    Diverged,
    Interrupted,
    Plan,
    Recipe,
    TrainState,
    eval_step,
    fit,
    prepare,
    train,
    train_step,
)

__all__ = [
    "Diverged", "Interrupted", "Plan", "Recipe", "TrainState", "eval_step", "fit", "prepare", "train", "train_step",
]  # fmt: skip
