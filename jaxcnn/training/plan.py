"""From a config to everything that a run needs, checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
import optax

from jaxcnn import optimizers
from jaxcnn.config import OptimizerConfig, TrainConfig
from jaxcnn.data import Dataset, load
from jaxcnn.data.augment import ResizedCrop, at_size, shape_after, split_mixtures
from jaxcnn.data.augment.from_files import from_files
from jaxcnn.data.pixels import channel_statistics, sample
from jaxcnn.data.read_ahead import Cuts
from jaxcnn.data.sizes import Size, size_after, told, train_sizes
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.layout import Params, Shape, abstract, times
from jaxcnn.training.beginning import beginning
from jaxcnn.training.building import build, normalized_parts
from jaxcnn.training.lessons import knowing, lessons_of
from jaxcnn.training.run_folder import Facts, data_fingerprint
from jaxcnn.training.steps import Recipe
from jaxcnn.training.teacher import Lessons


class Plan(NamedTuple):
    """A config with its data read and its network built: all that can be wrong has been checked."""

    config: TrainConfig
    dataset: Dataset
    facts: Facts
    recipe: Recipe
    steps_per_epoch: int
    rate: optax.Schedule  # the learning rate as a function of the step
    start: tuple[Params, Params] | None = None  # the parameters and statistics to begin with; None: drawn ones
    lessons: Lessons | None = None  # of a teacher
    crop: ResizedCrop | None = None  # that cuts from photographs as they are streamed, before the recipe's augmentation

    @property
    def teacher(self) -> str:
        """The fingerprint of the teacher's arrays, or nothing."""
        return self.lessons.fingerprint if self.lessons else ""

    def cuts(self, epoch: int) -> tuple[Cuts | None, Size | None]:
        """Of an epoch, from 0: which parts of streamed images are wanted, and of what size."""
        if self.crop is None:
            return None, None
        size = size_after(epoch, train_sizes(self.config.data.train_sizes)) or self.facts.input[:2]
        return from_files(self.crop, self.config.seed, epoch), size

    def recipe_at(self, epoch: int) -> Recipe:
        """The recipe of an epoch, from 0: that for the size at which it sees the images."""
        size = size_after(epoch, train_sizes(self.config.data.train_sizes))
        if size in (None, self.facts.input[:2]):
            return self.recipe
        return replace(self.recipe, augment=at_size(size, self.recipe.augment))


def prepare(config: TrainConfig, *, start: bool = True, schedule_from: int = 0, limit_steps: int = 0) -> Plan:
    """Read the data and the weights, build the network and check that they fit. Writes nothing.

    `start=False` leaves the weights alone: a run that is resumed has its own. The learning rate's schedule begins at
    step `schedule_from`. `limit_steps` leaves so many batches of each split.

    Raises InputError: the data or the weights cannot be read, the network does not exist or cannot take them.
    """
    dataset = load(config.data)
    if limit_steps:
        dataset = dataset.limited(limit_steps * config.batch_size)
    shape = dataset.train.images.shape[1:]
    sizes = train_sizes(config.data.train_sizes)
    others = [(*side, shape[2]) for side in sizes.values()]  # that training images have
    built = build(config, dataset.classes, shape, others)
    config, cut = _with_fitting_batch(config, len(dataset.train.labels))
    _check_augmentation(config, shape, others)
    with input_errors("views"):
        config.views.check(shape)
    some = sample(dataset.train.images)
    mean, std = _normal(config, some)
    crop, augment = None, config.data.augment
    if isinstance(dataset.train.images, Streamed) and augment and isinstance(augment[0], ResizedCrop):
        crop, augment = augment[0], augment[1:]
    lessons = lessons_of(config, dataset.classes, shape, others)
    notes = (*dataset.notes, *([told(sizes)] if sizes else []), *cut, *knowing(config))
    dataset = dataset._replace(notes=notes)
    with input_errors("task"):
        task = config.task.fitted(dataset.train.labels, dataset.classes)
    steps_per_epoch = -(-len(dataset.train.labels) // config.batch_size)
    optimizer = _scaled(config.optimizer, config.batch_size)
    of_net = {path: layer for path, layer in abstract(built.net, shape)[0].items() if path not in built.frozen}
    with input_errors("optimizer"):
        optimizers.check(optimizer, of_net)
    parts = optimizers.paths.parts_of(of_net)
    recipe = Recipe(
        built.net, optimizers.make(optimizer, steps_per_epoch, config.epochs, schedule_from, parts=parts), mean, std,
        task, augment, config.penalty, built.frozen, config.accumulate, config.ema, config.precision,
        views=config.views, blocks=built.blocks, teacher=lessons.teacher if lessons and config.distill.share else None,
    )  # fmt: skip
    begun = beginning(config, built.net, some, (mean, std)) if start else None
    facts = Facts(dataset.classes, shape, mean, std, data_fingerprint(dataset))
    rate = optimizers.learning_rate(optimizer, steps_per_epoch, config.epochs, schedule_from)
    return Plan(config, dataset, facts, recipe, steps_per_epoch, rate, begun, lessons, crop)


def _with_fitting_batch(config: TrainConfig, size: int) -> tuple[TrainConfig, list[str]]:
    """The config with batches that `size` training images fill, and what is to be said of it.

    Raises InputError where a batch cannot be divided among the devices and the parts that it is cut into.
    """
    parts, devices, notes = normalized_parts(config), jax.device_count(), []
    share = config.accumulate * math.lcm(devices, parts)
    if config.batch_size > size:
        fitting = max(size // share, 1) * share
        notes = [f"batch_size {config.batch_size} is cut to {fitting}: there are {size} training images"]
        config = replace(config, batch_size=fitting)
    if config.batch_size % share:
        more = f" and of the {parts} parts of batch_norm_parts" if parts > 1 else ""
        more += f", times the {config.accumulate} parts of accumulate" if config.accumulate > 1 else ""
        raise InputError(
            f"batch_size {config.batch_size} must be a multiple of the {devices} devices it is spread over{more}"
        )
    return config, notes


def _check_augmentation(config: TrainConfig, shape: Shape, others: Sequence[Shape]) -> None:
    """Raise InputError where augmented images of `shape` do not end as it, or cannot end as the `others`."""
    with input_errors("data.augment"):
        split_mixtures(config.data.augment)
        if (after := shape_after(shape, config.data.augment)) != shape:
            raise ValueError(
                f"the images end as {times(after)}, but the network is laid out for {times(shape)}, the size at which "
                f"it is tested: leave the sizes out; to train at another one, say --data.train-sizes "
                f"0={after[0]}x{after[1]}"
            )
        for other in others:
            shape_after(shape, at_size((other[0], other[1]), config.data.augment))


def _normal(config: TrainConfig, images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and the deviation of each channel by which images are normalized."""
    if config.data.mean and config.data.std:
        mean, std = config.data.mean, config.data.std
    else:
        mean, std = channel_statistics(images)
        mean, std = config.data.mean or mean, config.data.std or std
    channels = images.shape[-1]
    if {len(mean), len(std)} != {channels}:
        raise InputError(
            f"data.mean and data.std need one number for each of {channels} channels, not {mean} and {std}"
        )
    return mean, std


def _scaled(config: OptimizerConfig, batch_size: int) -> OptimizerConfig:
    """With the learning rate for that batch size."""
    return replace(config, lr=config.lr * batch_size / config.lr_batch) if config.lr_batch else config
