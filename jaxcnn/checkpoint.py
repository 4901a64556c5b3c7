"""Checkpoints by Orbax: written in the background, complete or not there at all, one kept per folder.

A checkpoint has two items: `model` (parameters and statistics, all that evaluation needs) and `training` (the
optimizer's state, the step and the running sums of the epoch, for resuming to the same bits).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.errors import InputError

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

ITEMS = ("model", "training")


@contextmanager
def manager(folder: Path, read_only: bool = False) -> Iterator[ocp.CheckpointManager]:
    """The manager of a folder that keeps its newest checkpoint; leaving waits for the writer and closes it.

    Only one that may write removes what a killed writer left: a reader must not disturb a run that is under way.
    """
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports each phase of each save there
    if read_only:
        options = ocp.CheckpointManagerOptions(read_only=True)
    else:
        options = ocp.CheckpointManagerOptions(max_to_keep=1, cleanup_tmp_directories=True)
    with ocp.CheckpointManager(Path(folder).absolute(), options=options, item_names=ITEMS) as opened:
        yield opened


def save(checkpoints: ocp.CheckpointManager, step: int, model: Any, training: Any) -> None:
    """Begin to write a checkpoint of `step`; an earlier one stays until this one is complete.

    One of this step that is there already is the same: a run goes the same way after it is resumed.
    """
    import orbax.checkpoint as ocp

    if step in checkpoints.all_steps():
        return
    # The next training step donates these buffers, and on CPU Orbax would read them without a copy of its own.
    model, training = jax.tree.map(jnp.copy, (model, training))
    args = ocp.args.Composite(model=ocp.args.StandardSave(model), training=ocp.args.StandardSave(training))
    checkpoints.save(step, args=args, force=True)


def exists(folder: Path) -> bool:
    """Whether a folder holds a complete checkpoint."""
    return Path(folder).is_dir() and any(place.name.isdigit() for place in Path(folder).iterdir())


def restore(folder: Path, model: Any, training: Any = None) -> tuple[Any, Any]:
    """Read the newest checkpoint of a folder into trees like `model` and, unless None, `training`.

    Both may be abstract. Raises InputError where there is no checkpoint, where it is of another network, and where
    it is damaged.
    """
    import orbax.checkpoint as ocp

    if not Path(folder).is_dir():
        raise InputError(f"there is no checkpoint in {folder}")
    wanted = {"model": model} | ({} if training is None else {"training": training})
    with manager(folder, read_only=True) as checkpoints:
        step = checkpoints.latest_step()
        if step is None:
            raise InputError(f"there is no complete checkpoint in {folder}")
        place = Path(folder) / str(step)
        try:
            for name, tree in wanted.items():
                saved = ocp.StandardCheckpointer().metadata(place.absolute() / name).item_metadata
                if saved is None:
                    raise ValueError(f"the description of its {name} is missing")
                _check_same(place, _shapes(saved.tree), _shapes(tree))
            items = {name: ocp.args.StandardRestore(jax.tree.map(_placed, tree)) for name, tree in wanted.items()}
            args = ocp.args.Composite(**items)
            restored = checkpoints.restore(step, args=args)
        except InputError:
            raise
        except Exception as error:  # Orbax and TensorStore raise many kinds for damaged files
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise InputError(
                f"the checkpoint {place} is damaged and cannot be read ({reason}): "
                "use the run's other checkpoint, best or last, or train again with --overwrite"
            ) from error
    return restored["model"], restored.get("training")


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
