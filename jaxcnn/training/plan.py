"""From a config to everything that a run needs, checked before anything is written."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from jaxcnn import optimizers
from jaxcnn.config import OptimizerConfig, TrainConfig
from jaxcnn.data import Dataset, load
from jaxcnn.data.augment import at_size, shape_after, split_mixtures
from jaxcnn.data.pixels import channel_statistics
from jaxcnn.data.sizes import size_after, told, train_sizes
from jaxcnn.forward_pass import apply
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.layout import Params, abstract, check_same_parameters, init, times
from jaxcnn.rewrite import freeze, ghost_batch_norm, in_blocks, stochastic_depth
from jaxcnn.spec import Spec
from jaxcnn.tasks import Task
from jaxcnn.training.checkpoint import places, restore
from jaxcnn.training.run_folder import Facts, data_fingerprint, read_run
from jaxcnn.training.steps import Recipe
from jaxcnn.training.whitening import first_convolution, whitened
from jaxcnn.zoo import NETWORKS, create


class Plan(NamedTuple):
    """A config with its data read and its network built: all that can be wrong has been checked."""

    config: TrainConfig
    dataset: Dataset
    facts: Facts
    recipe: Recipe
    steps_per_epoch: int
    rate: optax.Schedule  # the learning rate as a function of the step
    start: tuple[Params, Params] | None = None  # the parameters and statistics to begin with; None: drawn ones

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
    if "classes" in config.network_options:
        raise InputError("network_options takes no classes: their number comes from the data")
    dataset = load(config.data)
    if limit_steps:
        dataset = dataset.limited(limit_steps * config.batch_size)
    shape = dataset.train.images.shape[1:]
    with input_errors():
        net = create(config.network, **config.task.options(dataset.classes), **config.network_options)
    with input_errors(f"network {config.network!r} cannot take images of {times(shape)}"):
        _check_forward(net, shape, config.task, dataset.classes)
    sizes = train_sizes(config.data.train_sizes)
    if sizes:
        dataset = dataset._replace(notes=(*dataset.notes, told(sizes)))
    for other in ((*side, shape[2]) for side in sizes.values()):
        with input_errors(f"data.train_sizes: network {config.network!r} cannot take images of {times(other)} too"):
            check_same_parameters(net, shape, other)
            _check_forward(net, other, config.task, dataset.classes)
    with input_errors("freeze"):
        net, frozen = freeze(net, config.freeze)
        if not set(abstract(net, shape)[0]) - set(frozen):
            raise ValueError(f"{' '.join(config.freeze)} leaves no parameter to train")
    net, parts = _rewritten(config, net), _normalized_parts(config)
    net, blocks = in_blocks(net) if config.remat else (net, frozenset())
    if config.remat and not blocks:
        raise InputError(f"remat: network {config.network!r} has no blocks that could be computed again")
    size, share = len(dataset.train.labels), config.accumulate * math.lcm(jax.device_count(), parts)
    if config.batch_size > size:
        fitting = max(size // share, 1) * share
        dataset = dataset._replace(
            notes=(
                *dataset.notes,
                f"batch_size {config.batch_size} is cut to {fitting}: there are {size} training images",
            )
        )
        config = replace(config, batch_size=fitting)
    if config.batch_size % share:
        more = f" and of the {parts} parts of batch_norm_parts" if parts > 1 else ""
        more += f", times the {config.accumulate} parts of accumulate" if config.accumulate > 1 else ""
        raise InputError(
            f"batch_size {config.batch_size} must be a multiple of the {jax.device_count()} devices it is spread over"
            f"{more}"
        )
    with input_errors("data.augment"):
        split_mixtures(config.data.augment)
        if (after := shape_after(shape, config.data.augment)) != shape:
            raise ValueError(
                f"the images end as {times(after)}, but the network is laid out for {times(shape)}, the size at which "
                f"it is tested: leave the sizes out; to train at another one, say --data.train-sizes "
                f"0={after[0]}x{after[1]}"
            )
        for other in sizes.values():
            shape_after(shape, at_size(other, config.data.augment))
    mean, std = channel_statistics(dataset.train.images)
    mean, std = config.data.mean or mean, config.data.std or std
    if {len(mean), len(std)} != {shape[-1]}:
        raise InputError(
            f"data.mean and data.std need one number for each of {shape[-1]} channels, not {mean} and {std}"
        )
    with input_errors("task"):
        task = config.task.fitted(dataset.train.labels, dataset.classes)
    steps_per_epoch = -(-size // config.batch_size)
    optimizer = _scaled(config.optimizer, config.batch_size)
    with input_errors("optimizer"):
        of_net = {path: layer for path, layer in abstract(net, shape)[0].items() if path not in frozen}
        optimizers.check(optimizer, of_net)
    parts = optimizers.paths.parts_of(of_net)
    recipe = Recipe(
        net, optimizers.make(optimizer, steps_per_epoch, config.epochs, schedule_from, parts=parts), mean, std, task,
        config.data.augment, config.penalty, frozen, config.accumulate, config.ema, config.precision, blocks=blocks,
    )  # fmt: skip
    if config.whiten:
        with input_errors("whiten"):
            first_convolution(net, shape)
    begun = _beginning(config, net, dataset.train.images, (mean, std)) if start else None
    facts = Facts(dataset.classes, shape, mean, std, data_fingerprint(dataset))
    rate = optimizers.learning_rate(optimizer, steps_per_epoch, config.epochs, schedule_from)
    return Plan(config, dataset, facts, recipe, steps_per_epoch, rate, begun)


def _rewritten(config: TrainConfig, net: Spec) -> Spec:
    """The network as it is trained."""
    with input_errors("stochastic_depth"):
        net = net if config.stochastic_depth is None else stochastic_depth(net, config.stochastic_depth)
    with input_errors("batch_norm_parts"):
        return ghost_batch_norm(net, _normalized_parts(config))


def _normalized_parts(config: TrainConfig) -> int:
    """Into how many parts BatchNorm cuts what goes through the network at once."""
    return jax.device_count() if config.batch_norm_parts == "device" else config.batch_norm_parts


def _scaled(config: OptimizerConfig, batch_size: int) -> OptimizerConfig:
    """With the learning rate for that batch size."""
    return replace(config, lr=config.lr * batch_size / config.lr_batch) if config.lr_batch else config


def initial_key(config: TrainConfig) -> Array:
    """The key that draws the parameters of a run, a new head among them."""
    return jax.random.fold_in(jax.random.key(config.seed), 0)


def _beginning(
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


class Trained(NamedTuple):
    """A network that a run has trained."""

    config: TrainConfig
    facts: Facts
    net: Spec
    params: Params
    batch_stats: Params
    checkpoint: str


def trained(folder: Path, checkpoint: Literal["last", "best"] | None = None, *, trust: bool = False) -> Trained:
    """The network of a run's folder, with the arrays of one of its checkpoints: best, if it had validation images.

    A run's network may be `module:function`, code that is not this library's, and the folder a stranger's: such a
    module is imported only where `trust` says so. Nothing else in a folder is run.

    Raises InputError where the folder is none of a run, has no sound checkpoint, or is not trusted. A warning says
    where the newest checkpoint is damaged, and the one before it used instead.
    """
    config, facts = read_run(folder)
    if config.network not in NETWORKS and not trust:
        raise InputError(
            f"the network of {folder} is {config.network}, code that is not jaxcnn's and would be run: name it by "
            f"--network {config.network} if you trust it"
        )
    with input_errors(str(folder)):
        net = create(config.network, **config.task.options(facts.classes), **config.network_options)
        like = abstract(net, facts.input)
    kept = "best" if config.data.validation_fraction and places(folder / "checkpoints" / "best") else "last"
    chosen = checkpoint or kept
    (params, batch_stats), _ = restore(folder / "checkpoints" / chosen, like)
    return Trained(config, facts, net, params, batch_stats, chosen)


def _check_forward(net: Spec, shape: tuple[int, ...], task: Task, classes: tuple[str, ...]) -> None:
    """Trace a training and an evaluation pass without computing anything, so that no later step can fail by shape."""
    params, batch_stats = abstract(net, shape)
    images = jax.ShapeDtypeStruct((2, *shape), jax.dtypes.canonicalize_dtype(float))
    rng = jax.eval_shape(lambda: jax.random.key(0))
    for train in True, False:
        run = partial(apply, net, train=train)
        output, _ = jax.eval_shape(
            lambda *args, run=run: run(*args[:-1], rng=args[-1]), params, batch_stats, images, rng
        )
        task.check_output(output.shape[1:], shape, classes)
