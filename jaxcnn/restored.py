"""The run that a command line names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jaxcnn import zoo
from jaxcnn.errors import InputError
from jaxcnn.named import given_options

if TYPE_CHECKING:
    from jaxcnn.layout import Params, Shape
    from jaxcnn.plan import Trained
    from jaxcnn.spec import Spec


def add_checkpoint_option(parser: argparse.ArgumentParser) -> None:
    """Which of a run's checkpoints `restored` reads."""
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="which of the run's checkpoints")


def restored(folder: Path, which: Literal["last", "best"]) -> Trained:
    """A run's config, facts, network, parameters and statistics. Raises InputError where there is no such run."""
    from jaxcnn.plan import trained

    if not folder.is_dir() and str(folder) in zoo.NETWORKS:
        raise InputError(f"{folder} is a network, not a run: give its --weights, imagenet or a file")
    if not folder.is_dir():
        others = sorted(str(p.parent) for p in folder.parent.glob("*/config.json"))
        raise InputError(f"there is no run {folder}; there are: {', '.join(others) or 'none'}")
    return trained(folder, which)


def of_run(arguments: argparse.Namespace) -> tuple[str, Spec, Params, Params, Shape]:
    """What `jaxcnn convert` wants of a run: its network's name, the network, its arrays, its input."""
    refuse_options(arguments, arguments.source)
    config, facts, net, params, batch_stats = restored(Path(arguments.source), arguments.checkpoint)
    return config.network, net, params, batch_stats, facts.input


def refuse_options(arguments: argparse.Namespace, run: str | Path) -> None:
    """Refuse a command line that says of a run what the run knows. Raises InputError."""
    if given := given_options(arguments):
        raise InputError(f"{run} is a run, which knows its network: leave out --{' --'.join(given)}")
