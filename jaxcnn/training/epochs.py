"""The networks of the epochs that a run has kept."""

from __future__ import annotations

from pathlib import Path

from jaxcnn.host.errors import InputError
from jaxcnn.layout import Params, Shape, abstract
from jaxcnn.spec import Spec
from jaxcnn.training.checkpoint import epochs, places, read
from jaxcnn.training.run_folder import read_metrics


def kept_epochs(folder: Path, net: Spec, shape: Shape) -> dict[int, tuple[Params, Params]]:
    """The parameters and statistics of a run's network after each of the epochs of `keep_epochs`, in order.

    Raises InputError where none was kept, or one cannot be read.
    """
    numbers = {row["step"]: row["epoch"] for row in read_metrics(folder)}
    found = [place for place in reversed(places(epochs(folder))) if int(place.name) in numbers]
    if not found:
        raise InputError(f"{folder} has kept no epochs: train with --keep-epochs, for example --keep-epochs 1 2 5")
    return {numbers[int(place.name)]: read(place, abstract(net, shape))[0] for place in found}
