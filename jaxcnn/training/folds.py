"""Cross-validation: every training image is tested once, by a run that has not learned from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxcnn.config import TrainConfig
from jaxcnn.training.several import fit_several


def fit_folds(config: TrainConfig, folds: int, **options: Any) -> dict[str, Any]:
    """Train once for each fold of the training images, to NAME_foldN, and write NAME_folds.json beside them.

    A fold's run learns from the other folds and is tested on its own at the last epoch: no epoch is chosen by it. With
    `data.validation_fraction` the validation images, by which the best epoch is chosen, are taken from the other folds.
    The source's own test images are not used: they can judge, once, what was chosen by the folds. All runs have one
    seed. As their training images overlap, their spread is not that of independent runs (Bengio and Grandvalet 2004).

    Args:
      config: what to train, on what, how.
      folds: how many, at least 2 and at most the images of the largest class.
      options: those of `fit_several`, and so of `train`.

    Returns:
      What NAME_folds.json says: for each figure of the held-out images its mean over the folds, its standard deviation,
      and all values.

    Raises what `train` raises.
    """

    def changed(fold: int) -> TrainConfig:
        return replace(config, data=replace(config.data, folds=folds, fold=fold))

    return fit_several(config, "fold", range(1, folds + 1), changed, judged="held-out", **options)
