"""`jaxcnn predict`: what a trained network sees in images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn.errors import InputError, input_errors
from jaxcnn.layout import times
from jaxcnn.named import add_network_options
from jaxcnn.restored import add_checkpoint_option, refuse_options, restored
from jaxcnn.weights.command import loaded


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Describe `jaxcnn predict`."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run, or with --weights a network")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="JPEG or PNG files")
    parser.add_argument("--weights", help="of the network: imagenet, or a file of PyTorch's or Keras's weights")
    add_network_options(parser)
    add_checkpoint_option(parser)
    parser.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    logits, classes = _of_weights(arguments) if arguments.weights else _of_run(arguments)
    if len(classes) != logits.shape[-1]:  # another classifier than the published one
        classes = [f"class {number}" for number in range(logits.shape[-1])]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for path, probabilities in zip(arguments.images, np.asarray(jax.nn.softmax(logits)), strict=True):
        console.print(f"{path}\n{bars(probabilities, classes)}")
    return 0


def _of_run(arguments: argparse.Namespace) -> tuple[jax.Array, Sequence[str]]:
    from jaxcnn.data.augment import normalize
    from jaxcnn.data.images import read_image

    _, facts, net, params, batch_stats = restored(arguments.folder, arguments.checkpoint)
    refuse_options(arguments, arguments.folder)
    height, width, channels = facts.input
    images = np.stack([read_image(path, (height, width), channels) for path in arguments.images])
    logits, _ = jaxcnn.apply(net, params, batch_stats, normalize(jnp.asarray(images), facts.mean, facts.std))
    return logits, facts.classes


def _of_weights(arguments: argparse.Namespace) -> tuple[jax.Array, Sequence[str]]:
    arguments.network = str(arguments.folder)
    net, params, batch_stats, shape, preprocess = loaded(arguments, arguments.weights)
    if shape[0] != shape[1] or shape[-1] != 3:
        raise InputError(f"--weights predicts from square images in color, not {times(shape)}")
    with input_errors():
        images = jnp.asarray(np.stack([preprocess(path) for path in arguments.images]))
        logits, _ = jaxcnn.apply(net, params, batch_stats, images)
    return logits, preprocess.classes


def bars(probabilities: np.ndarray, classes: Sequence[str], most: int = 5, width: int = 30) -> str:
    """The most probable classes, one to a line, each with its probability as a number and as a bar."""
    best = probabilities.argsort()[::-1][:most]
    longest = max(len(classes[index]) for index in best)
    lines = []
    for index in best:
        bar = "█" * round(width * float(probabilities[index]))
        lines.append(f"  {classes[index]:<{longest}}  {probabilities[index]:7.2%}  {bar}".rstrip())
    return "\n".join(lines)
