"""The parameters and statistics that a run begins with."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
from jax import Array

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import input_errors
from jaxcnn.layout import Params, init
from jaxcnn.spec import Spec
from jaxcnn.training.run_folder import read_run
from jaxcnn.training.trained import trained
from jaxcnn.training.whitening import whitened


def initial_key(config: TrainConfig) -> Array:
    """The key that draws the parameters of a run, a new head among them."""
    return jax.random.fold_in(jax.random.key(config.seed), 0)


def beginning(
    config: TrainConfig, net: Spec, images: np.ndarray, normal: tuple[tuple[float, ...], tuple[float, ...]]
) -> tuple[Params, Params] | None:  # fmt: skip
    """The parameters and statistics to begin with, where they are not merely drawn."""
    if not config.whiten:
        return _weights(config, net, images.shape[1:])
    params, stats = init(net, initial_key(config), images.shape[1:])
    return whitened(net, params, images, *normal), stats


def _weights(config: TrainConfig, net: Spec, shape: tuple[int, int, int]) -> tuple[Params, Params] | None:
    if config.weights is None:
        return None
    from jaxcnn.weights.hugging_face import is_weights_folder
    from jaxcnn.weights.pretrained import load_weights, weights_file
    from jaxcnn.weights.published import PUBLISHED
    from jaxcnn.weights.transfer import transferred

    folder, rng = Path(config.weights), initial_key(config)
    # a folder called imagenet, of images for example, does not hide the published weights
    published = (config.network, config.weights) in PUBLISHED
    of_run = folder.is_dir() and not published and not is_weights_folder(folder)
    with input_errors(config.weights if of_run else ""):
        if of_run:
            run = trained(folder, trust=read_run(folder)[0].network == config.network)  # which the person has named
            return transferred(net, run.params, run.batch_stats, shape, head=config.head, rng=rng)
        file = weights_file(config.network, config.weights, options=config.network_options)
        return load_weights(net, file, shape, head=config.head, rng=rng, key=config.weights_key)
