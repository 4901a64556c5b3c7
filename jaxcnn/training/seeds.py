"""The same run with several seeds: their mean and spread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxcnn.config import TrainConfig
from jaxcnn.training.several import fit_several


def fit_seeds(config: TrainConfig, seeds: int, **options: Any) -> dict[str, Any]:
    """Train with the seeds from `config.seed` on, each to a folder NAME_seedN, and write NAME_seeds.json beside them.

    Args:
      config: what to train, on what, how.
      seeds: how many, at least 2.
      options: those of `fit_several`, and so of `train`.

    Returns:
      What NAME_seeds.json says: for each figure of the test images its mean, its standard deviation, and all values.

    Raises what `train` raises.
    """
    numbers = range(config.seed, config.seed + seeds)
    return fit_several(config, "seed", numbers, lambda seed: replace(config, seed=seed), **options)
