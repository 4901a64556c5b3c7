"""The network of a run, as it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax

from jaxcnn.config import TrainConfig
from jaxcnn.forward_pass import apply
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.layout import Shape, abstract, check_same_parameters, times
from jaxcnn.rewrite import freeze, ghost_batch_norm, in_blocks, stochastic_depth
from jaxcnn.spec import Position, Spec
from jaxcnn.tasks import Task
from jaxcnn.training.whitening import first_convolution
from jaxcnn.zoo import create


class Built(NamedTuple):
    """A network, the paths of the layers that are not trained, and the parts that are computed again."""

    net: Spec
    frozen: tuple[str, ...]
    blocks: frozenset[Position]


def build(config: TrainConfig, classes: tuple[str, ...], shape: Shape, others: Sequence[Shape] = ()) -> Built:
    """Build the network for images of `shape`, (H, W, C), and of the `others` that it is trained on.

    Raises InputError where there is none of the name, or it cannot take them, or not be trained as the config says.
    """
    if "classes" in config.network_options:
        raise InputError("network_options takes no classes: their number comes from the data")
    with input_errors():
        net = create(config.network, **config.task.options(classes), **config.network_options)
    with input_errors(f"network {config.network!r} cannot take images of {times(shape)}"):
        _check_forward(net, shape, config.task, classes)
    for other in others:
        with input_errors(f"data.train_sizes: network {config.network!r} cannot take images of {times(other)} too"):
            check_same_parameters(net, shape, other)
            _check_forward(net, other, config.task, classes)
    if config.whiten:
        with input_errors("whiten"):
            first_convolution(net, shape)
    with input_errors("freeze"):
        net, frozen = freeze(net, config.freeze)
        if not set(abstract(net, shape)[0]) - set(frozen):
            raise ValueError(f"{' '.join(config.freeze)} leaves no parameter to train")
    with input_errors("stochastic_depth"):
        net = net if config.stochastic_depth is None else stochastic_depth(net, config.stochastic_depth)
    with input_errors("batch_norm_parts"):
        net = ghost_batch_norm(net, normalized_parts(config))
    net, blocks = in_blocks(net) if config.remat else (net, frozenset())
    if config.remat and not blocks:
        raise InputError(f"remat: network {config.network!r} has no blocks that could be computed again")
    return Built(net, frozen, blocks)


def normalized_parts(config: TrainConfig) -> int:
    """Into how many parts BatchNorm cuts what goes through the network at once."""
    return jax.device_count() if config.batch_norm_parts == "device" else config.batch_norm_parts


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
