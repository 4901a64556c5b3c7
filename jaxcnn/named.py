"""The network that a command line names, its options and its input."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxcnn import zoo
from jaxcnn.errors import InputError, input_errors
from jaxcnn.layout import Shape
from jaxcnn.spec import Spec


class Named(NamedTuple):
    """A network, the options it was made with, and the shape of one example."""

    net: Spec
    options: dict[str, Any]
    shape: Shape


def add_network_argument(parser: argparse.ArgumentParser) -> None:
    """The positional argument that `named` reads."""
    parser.add_argument("network", metavar="NET", help="a name that `jaxcnn models` lists, or module:function")


def add_network_options(parser: argparse.ArgumentParser, any_rank: bool = False) -> None:
    """The options that `named` reads; `any_rank`: not only images, but where nothing positional can follow."""
    own = "the network's own by default"
    if any_rank:
        parser.add_argument("--input", type=int, nargs="+", metavar="N", help=f"height, width and channels; {own}")
    else:
        parser.add_argument("--input", type=int, nargs=3, metavar=("H", "W", "C"), help=own)
    parser.add_argument("--classes", type=int, help="the number of classes (the network's own default otherwise)")
    parser.add_argument("--variant", help="whose network it is where there are several: torchvision or keras")


def given_options(
    arguments: argparse.Namespace, among: Sequence[str] = ("network", "classes", "variant", "input")
) -> list[str]:
    """Those of the options above, and of --network, that a command line has."""
    return [name for name in among if getattr(arguments, name, None) is not None]


def named(arguments: argparse.Namespace) -> Named:
    """The network of `arguments.network`. Raises InputError where there is no such network, option or input."""
    name = arguments.network
    options = {option: getattr(arguments, option) for option in given_options(arguments, ("classes", "variant"))}
    with input_errors():
        net = zoo.create(name, **options)
    known = zoo.NETWORKS.get(name)
    shape = tuple(arguments.input or (known.input if known else ()))
    if not shape:
        raise InputError(f"{name} is your own network: give its --input HEIGHT WIDTH CHANNELS")
    if len(shape) < 2 or min(shape) < 1 or (known and len(shape) != len(known.input)):
        raise InputError(f"--input takes height, width and channels, each at least 1, not {' '.join(map(str, shape))}")
    return Named(net, options, shape)
