"""From a config to everything that a run needs, checked before anything is written."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn import optimizer
from jaxcnn.checkpoint import restore
from jaxcnn.config import TrainConfig
from jaxcnn.data import Dataset, load
from jaxcnn.data.augment import channel_statistics
from jaxcnn.errors import InputError, input_errors
from jaxcnn.forward import apply
from jaxcnn.layout import Params, abstract, times
from jaxcnn.results import Facts, read_run
from jaxcnn.rewrite import freeze
from jaxcnn.spec import Spec
from jaxcnn.steps import Task
from jaxcnn.zoo import create


class Plan(NamedTuple):
    """A config with its data read and its network built: all that can be wrong has been checked."""

    config: TrainConfig
    dataset: Dataset
    facts: Facts
    task: Task
    steps_per_epoch: int
    start: tuple[Params, Params] | None = None  # the parameters and statistics to begin with; None: drawn ones


def prepare(config: TrainConfig, *, start: bool = True) -> Plan:
    """Read the data and the weights, build the network and check that they fit. Writes nothing.

    `start=False` leaves the weights alone: a run that is resumed has its own.

    Raises InputError: the data or the weights cannot be read, the network does not exist or cannot take them.
    """
    if "classes" in config.network_options:
        raise InputError("network_options takes no classes: their number comes from the data")
    dataset = load(config.data)
    shape = dataset.train.images.shape[1:]
    with input_errors():
        net = create(config.network, classes=len(dataset.classes), **config.network_options)
    with input_errors(f"network {config.network!r} cannot take images of {times(shape)}"):
        _check_forward(net, shape, len(dataset.classes))
    with input_errors("freeze"):
        net, frozen = freeze(net, config.freeze)
        if not set(abstract(net, shape)[0]) - set(frozen):
            raise ValueError(f"{' '.join(config.freeze)} leaves no parameter to train")
    size = len(dataset.train.labels)
    if config.batch_size > size:
        raise InputError(
            f"batch_size {config.batch_size} is larger than the {size} training images of {config.data.source}"
        )
    if config.batch_size % jax.device_count():
        raise InputError(
            f"batch_size {config.batch_size} must be a multiple of the {jax.device_count()} devices it is spread over"
        )
    if config.data.crop_padding >= min(shape[:2]):
        raise InputError(
            f"data.crop_padding {config.data.crop_padding} must be less than the images' {shape[0]}x{shape[1]}"
        )
    mean, std = channel_statistics(dataset.train.images)
    mean, std = config.data.mean or mean, config.data.std or std
    if {len(mean), len(std)} != {shape[-1]}:
        raise InputError(
            f"data.mean and data.std need one number for each of {shape[-1]} channels, not {mean} and {std}"
        )
    steps_per_epoch = -(-size // config.batch_size)
    task = Task(
        net, optimizer.make(config.optimizer, steps_per_epoch, config.epochs), mean, std, config.loss,
        config.data.crop_padding, config.data.flip, frozen,
    )  # fmt: skip
    weights = _weights(config, net, shape) if start else None
    return Plan(config, dataset, Facts(dataset.classes, shape, mean, std), task, steps_per_epoch, weights)


def initial_key(config: TrainConfig) -> Array:
    """The key that draws the parameters of a run, a new head among them."""
    return jax.random.fold_in(jax.random.key(config.seed), 0)


def _weights(config: TrainConfig, net: Spec, shape: tuple[int, int, int]) -> tuple[Params, Params] | None:
    if config.weights is None:
        return None
    from jaxcnn.weights.pretrained import load_weights, weights_file
    from jaxcnn.weights.published import PUBLISHED
    from jaxcnn.weights.torch import from_torch

    folder, rng = Path(config.weights), initial_key(config)
    # a folder called imagenet, of images for example, does not hide the published weights
    of_run = folder.is_dir() and (config.network, config.weights) not in PUBLISHED
    with input_errors(config.weights if of_run else ""):
        if of_run:
            return from_torch(net, _state_dict(trained(folder)), shape, head=config.head, rng=rng)
        file = weights_file(config.network, config.weights, options=config.network_options)
        return load_weights(net, file, shape, head=config.head, rng=rng)


class Trained(NamedTuple):
    """A network that a run has trained."""

    config: TrainConfig
    facts: Facts
    net: Spec
    params: Params
    batch_stats: Params


def trained(folder: Path, checkpoint: Literal["last", "best"] = "last") -> Trained:
    """The network of a run's folder, with the arrays of one of its checkpoints.

    Raises InputError where the folder is none of a run, has no checkpoint, or is damaged.
    """
    config, facts = read_run(folder)
    with input_errors(str(folder)):
        net = create(config.network, classes=len(facts.classes), **config.network_options)
        like = abstract(net, facts.input)
    (params, batch_stats), _ = restore(folder / "checkpoints" / checkpoint, like)
    return Trained(config, facts, net, params, batch_stats)


def _state_dict(run: Trained) -> dict[str, np.ndarray]:
    from jaxcnn.weights.torch import to_torch

    return to_torch(run.net, run.params, run.batch_stats, run.facts.input)


def _check_forward(net: Spec, shape: tuple[int, ...], classes: int) -> None:
    """Trace a training and an evaluation pass without computing anything, so that no later step can fail by shape."""
    params, batch_stats = abstract(net, shape)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    rng = jax.eval_shape(lambda: jax.random.key(0))
    for train in True, False:
        run = partial(apply, net, train=train)
        logits, _ = jax.eval_shape(
            lambda *args, run=run: run(*args[:-1], rng=args[-1]), params, batch_stats, images, rng
        )
        if logits.shape[1:] != (classes,):
            raise ValueError(f"its output is {logits.shape[1:]}, not one number for each of {classes} classes")
