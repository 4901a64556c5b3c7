"""The networks that runs have trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.layout import Params, abstract
from jaxcnn.spec import Spec
from jaxcnn.training.checkpoint import places, restore
from jaxcnn.training.run_folder import Facts, read_run
from jaxcnn.zoo import NETWORKS, create


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
