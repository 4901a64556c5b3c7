"""The jitted steps, over all devices that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import tee
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.data import Split
from jaxcnn.data.batches import Batch, Others, gather
from jaxcnn.data.read_ahead import Cuts, read_ahead
from jaxcnn.data.sizes import Size
from jaxcnn.data.streamed import Streamed
from jaxcnn.layout import Params
from jaxcnn.training import processes
from jaxcnn.training.steps import Recipe, Sums, TrainState, eval_step, guarded_step, guarded_steps


class Fetch(Protocol):
    """The images and labels of a split, on the device."""

    def __call__(
        self, rows: Iterable[tuple[np.ndarray, ...]], cuts: Cuts | None = None, size: Size | None = None
    ) -> Iterator[Batch]:
        """The batch of each of several rows, (ids, mask) or (ids, mask, others to mix with), of shape (N,) or
        (steps, N).

        What is streamed is read ahead; of each image then the part that `cuts` says, of `size`, (height, width).
        """
        ...


class Compiled(NamedTuple):
    """The jitted steps, and the data on the device: one compilation for each recipe of training, one for evaluation."""

    train: Callable[..., tuple[TrainState, Sums]]  # by the recipe unless it is given another one
    eval: Callable[..., Any]  # the same
    fetch: Callable[[Split], Fetch]
    everywhere: NamedSharding
    lower: Callable[..., jax.stages.Lowered]  # `train` for such arguments, before it is compiled


def compiled(recipe: Recipe, teacher: tuple[Params, Params] | None = None) -> Compiled:
    """Jit the steps of a recipe over all devices: batches are split along the `data` axis, the rest is copied.

    A single device holds the images; of several each is given its share of every batch, and holds no more.

    `teacher` are the parameters and statistics of the recipe's teacher, if it has one.
    """
    mesh = Mesh(np.array(jax.devices()), ("data",))
    everywhere = NamedSharding(mesh, P())
    split_up = [NamedSharding(mesh, P(*before, "data")) for before in ((), (None,))]  # by how many steps are at once
    takes = [jax.jit(gather, out_shardings=sharding) for sharding in split_up]

    def fetch(split: Split) -> Fetch:
        if isinstance(split.images, Streamed) or mesh.size > 1:
            return partial(_from_host, split, split_up)
        arrays = jax.device_put((split.images, split.labels), everywhere)

        def taken(rows: Iterable[tuple[np.ndarray, ...]], cuts: object = None, size: object = None) -> Iterator[Batch]:
            return (takes[ids.ndim - 1](*arrays, ids, *others) for ids, *others in rows)

        return taken

    step, steps = (
        jax.jit(each, static_argnames="recipe", donate_argnums=(0,), out_shardings=everywhere)
        for each in (guarded_step, guarded_steps)
    )
    lessons = {"teacher": jax.device_put(teacher, everywhere)} if teacher else {}

    def train(state: TrainState, sums: Sums, batch: Batch, key: Array, recipe: Recipe = recipe) -> tuple[Any, Any]:
        several = batch.ids.ndim == 2
        return (steps if several else step)(state, sums, batch, key, recipe=recipe, **lessons)

    def lower(
        state: TrainState, sums: Sums, batch: Batch, key: Array, recipe: Recipe = recipe
    ) -> jax.stages.Lowered:  # fmt: skip
        return step.lower(state, sums, batch, key, recipe=recipe, **lessons)

    measure = jax.jit(eval_step, static_argnames="recipe", out_shardings=everywhere)

    def evaluate(params: Params, batch_stats: Params, batch: Batch, recipe: Recipe = recipe) -> Any:
        return measure(params, batch_stats, batch, recipe=recipe)

    return Compiled(train, evaluate, fetch, everywhere, lower)


def _from_host(
    split: Split, split_up: Sequence[NamedSharding], rows: Iterable[tuple[np.ndarray, ...]],
    cuts: Cuts | None = None, size: Size | None = None,
) -> Iterator[Batch]:  # fmt: skip
    """`Fetch` of images that are no device's: those of a batch are read, or copied, while the one before is trained on.
    A row with others is read as one."""
    images, labels = split
    given, ahead = tee(_of_this_process(rows, split_up))
    numbers = (np.stack([ids, *others]) for ids, _, *others in ahead)
    stream = isinstance(images, Streamed)
    read = read_ahead(images, numbers, cuts, size) if stream else (images[ids % len(labels)] for ids in numbers)
    for (ids, mask, *others), (pixels, *mixed) in zip(given, read, strict=True):
        put = partial(jax.make_array_from_process_local_data, split_up[ids.ndim - 1])
        batch = Batch(put(pixels), put(labels[ids % len(labels)]), put(mask), put(ids))
        if others:
            taken = put(mixed[0]), put(labels[others[0] % len(labels)]), put(others[0])
            batch = batch._replace(others=Others(*taken))
        yield batch


def _of_this_process(
    rows: Iterable[tuple[np.ndarray, ...]], split_up: Sequence[NamedSharding]
) -> Iterator[tuple[np.ndarray, ...]]:
    """The part of each row whose images this process's devices are given."""
    for row in rows:
        part = processes.local(split_up[row[0].ndim - 1], row[0].shape)
        yield tuple(array[..., part] for array in row)
