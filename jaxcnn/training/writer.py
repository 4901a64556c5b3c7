"""Writing checkpoints while training goes on.

Orbax writes them in the background; when one is whole, a thread of ours seals it (see `manifest`) and only then deletes
the oldest: at every moment, as many sound checkpoints as are to be kept are on the disk, once there have been so many.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxcnn.host.errors import Failed
from jaxcnn.training import manifest
from jaxcnn.training.checkpoint import places, step_of
from jaxcnn.training.silence import quiet

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

ITEMS = ("model", "training")
UNFINISHED = ".orbax-checkpoint-tmp"  # in the name of a folder that Orbax has not completed
SMALL_FILES = 100_000  # bytes of a checkpoint besides its arrays: some 25 files and their folders


class Writer:
    """Writes the checkpoints of one folder and keeps the newest `keep` of them."""

    def __init__(self, folder: Path, keep: int, manager: ocp.CheckpointManager) -> None:
        self.directory, self._keep, self._manager = folder, keep, manager
        self._thread = ThreadPoolExecutor(1, "seal")
        self._sealing: Future[None] | None = None

    def save(self, step: int, model: Any, training: Any) -> None:
        """Begin to write the checkpoint of a step, after the one before it is sealed.

        One of this step that is complete already is the same: a run goes the same way after it is resumed.

        Raises Failed where it, or the one before it, cannot be written.
        """
        import orbax.checkpoint as ocp

        self.wait_until_finished()
        if any(step_of(place) == step for place in places(self.directory)):
            return
        self._check_room(model, training)
        # The next training step donates these buffers, and on CPU Orbax would read them without a copy of its own.
        model, training = jax.tree.map(jnp.copy, (model, training))
        args = ocp.args.Composite(model=ocp.args.StandardSave(model), training=ocp.args.StandardSave(training))
        with self._failures():
            self._manager.save(step, args=args, force=True)
        self._sealing = self._thread.submit(self._seal, self.directory / str(step))

    def wait_until_finished(self) -> None:
        """Wait until what was begun is sealed. Raises Failed where it could not be."""
        sealing, self._sealing = self._sealing, None
        if sealing is not None:
            with self._failures():
                sealing.result()

    def newest(self) -> Path | None:
        """The newest complete checkpoint."""
        return next(iter(places(self.directory)), None)

    def close(self) -> None:
        """Wait for the writer. Raises Failed where the last checkpoint could not be written."""
        try:
            self.wait_until_finished()
        finally:
            self._thread.shutdown()
            with suppress(Exception):  # it raises once more what `wait_until_finished` has told
                self._manager.close()

    def _seal(self, place: Path) -> None:
        self._manager.wait_until_finished()
        if jax.process_index() == 0:
            manifest.seal(place)
            for old in places(self.directory)[self._keep :]:
                manifest.discard(old)

    def _check_room(self, *trees: Any) -> None:
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(trees)) + SMALL_FILES
        total, _, free = shutil.disk_usage(self.directory)
        if total and free < needed:
            raise Failed(self._sentence(f"the disk has {free:,} bytes left, and a checkpoint needs {needed:,}"))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Orbax, TensorStore and the disk raise many kinds; each becomes a sentence."""
        try:
            yield
        except Exception as error:
            full = "No space left" in str(error) or "RESOURCE_EXHAUSTED" in str(error)
            reason = "the disk is full" if full else " ".join(str(error).split())[:160] or type(error).__name__
            raise Failed(self._sentence(reason)) from error

    def _sentence(self, reason: str) -> str:
        kept = self.newest()
        last = (
            f"{kept} is whole: make room, and go on from it"
            if kept
            else "none is there yet: make room, and begin again"
        )
        return f"a checkpoint could not be written to {self.directory}: {reason}; {last} with --resume"


@contextmanager
def writer(folder: Path, keep: int) -> Iterator[Writer]:
    """The writer of a folder; leaving waits for it. What a killed writer left behind is removed.

    For the one process that trains: the run's lock must be held.
    """
    import orbax.checkpoint as ocp

    # Orbax would remove them too, many at once, and fails where one of them lies in another.
    for place in folder.glob("[0-9]*") if jax.process_index() == 0 else ():
        if UNFINISHED in place.name or (place.name.isdecimal() and not manifest.sealed(place)):
            manifest.discard(place)
    # Folders that are made in the background have threads wait ten minutes for one that could not be made.
    folders = ocp.AsyncOptions(create_directories_asynchronously=False)
    # Several processes wait for each other by names, which two writers at once must not share.
    apart = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
    options = ocp.CheckpointManagerOptions(async_options=folders, multiprocessing_options=apart)
    with quiet():
        manager = ocp.CheckpointManager(folder.absolute(), options=options, item_names=ITEMS)
        opened = Writer(folder, keep, manager)
        try:
            yield opened
        finally:
            opened.close()
