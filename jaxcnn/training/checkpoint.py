"""Checkpoints by Orbax: written in the background, sealed when they are whole, checked whenever they are read.

A checkpoint has two items: `model` (parameters and statistics, all that evaluation needs) and `training` (the
optimizer's state, the step and the running sums of the epoch, for resuming to the same bits).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxcnn.host.errors import InputError
from jaxcnn.training import manifest
from jaxcnn.training.silence import quiet


class Damaged(NamedTuple):
    """A checkpoint that was written to its end and whose files are no longer what they were."""

    place: Path
    fault: str

    def __str__(self) -> str:
        return f"{self.place} is damaged ({self.fault})"


def folders(run: Path) -> tuple[Path, Path]:
    """Where the run in a folder keeps its newest checkpoints, and its best one."""
    return run / "checkpoints" / "last", run / "checkpoints" / "best"


def epochs(run: Path) -> Path:
    """Where the run in a folder keeps the checkpoints of chosen epochs."""
    return run / "checkpoints" / "epochs"


def places(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, the newest first, damaged or not."""
    found = [path for path in Path(folder).glob("[0-9]*") if path.name.isdecimal() and manifest.sealed(path)]
    return sorted(found, key=step_of, reverse=True)


def step_of(place: Path) -> int:
    """The number of training steps after which a checkpoint was written."""
    return int(place.name)


def newest(folders: Iterable[Path], last_step: float = math.inf) -> tuple[Path | None, list[Damaged]]:
    """The newest sound checkpoint of some folders, up to a step, and the damaged ones that are newer. Every byte is
    checked.

    Of two of one step, that of the folder named first. None where none is sound.
    """
    damaged = []
    found = (place for folder in folders for place in places(folder) if step_of(place) <= last_step)
    for place in sorted(found, key=step_of, reverse=True):
        fault = manifest.fault(place)
        if fault is None:
            return place, damaged
        if manifest.sealed(place):  # or else its writer has just deleted it, for a newer one
            damaged.append(Damaged(place, fault))
    return None, damaged


def restore(folder: Path, model: Any, training: Any = None) -> tuple[Any, Any]:
    """Read the newest sound checkpoint of a folder, as `read` does; a warning names damaged ones that are newer.

    The run that writes them may go on meanwhile. Raises InputError where no checkpoint is sound.
    """
    while True:
        place, damaged = newest([folder])
        if place is None:
            raise InputError(_none(folder, damaged))
        try:
            read_items = read(place, model, training)
        except InputError:
            if manifest.sealed(place):
                raise
            continue  # deleted under our eyes, as a newer one is complete
        for each in damaged:
            warnings.warn(f"{each}: {place} is used instead", stacklevel=2)
        return read_items


def _none(folder: Path, damaged: list[Damaged]) -> str:
    """The sentence about a folder without a sound checkpoint."""
    found = "; ".join(map(str, damaged)) or f"there is no complete checkpoint in {folder}"
    others = [other for other in sorted(folder.parent.glob("*")) if other != folder and other.is_dir()]
    sound = [other.name for other in others if newest([other])[0]]
    way = f"that of --checkpoint {sound[0]} is sound" if sound else "train again with --overwrite, or put back a copy"
    return f"{found}: {way}"


def read(place: Path, model: Any, training: Any = None) -> tuple[Any, Any]:
    """Read a checkpoint into trees like `model` and, unless None, `training`, both of which may be abstract.

    Raises InputError where it is of another network, and where Orbax cannot read it.
    """
    import orbax.checkpoint as ocp

    wanted = {"model": model} | ({} if training is None else {"training": training})
    place, items = place.absolute(), {}
    try:
        with quiet(), ocp.StandardCheckpointer() as reader:
            for name, tree in wanted.items():
                saved = reader.metadata(place / name).item_metadata
                if saved is None:
                    raise ValueError(f"the description of its {name} is missing")
                _check_same(place, _shapes(saved.tree), _shapes(tree))
            for name, tree in wanted.items():
                items[name] = reader.restore(place / name, jax.tree.map(_placed, tree))
    except InputError:
        raise
    except Exception as error:  # Orbax and TensorStore raise many kinds
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"the checkpoint {place} cannot be read: {reason}") from error
    return items["model"], items.get("training")


def _placed(leaf: Any) -> jax.ShapeDtypeStruct:
    """What to read, and onto which devices: those of `leaf`, or else the first one there is.

    Without this, Orbax asks for the devices that the checkpoint was written on.
    """
    sharding = getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(map(_name, path)): tuple(leaf.shape) for path, leaf in leaves}


def _name(key: Any) -> str:
    return str(next(getattr(key, kind) for kind in ("key", "name", "idx") if hasattr(key, kind)))


def _check_same(place: Path, saved: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> None:
    for path in [*wanted, *saved]:
        if saved.get(path) != wanted.get(path):
            there, here = saved.get(path, "absent"), wanted.get(path, "absent")
            raise InputError(
                f"the checkpoint {place} is of another network: {path} is {there} there and {here} in this one"
            )
