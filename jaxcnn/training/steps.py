"""The pure steps of training and evaluation, over a `TrainState`.

Nothing here reads a file, a clock or a global: a step is a function of its arguments, so it can be jitted, replayed
and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array, lax

from jaxcnn.data.augment import Augmentation, augment, mix, split_mixtures
from jaxcnn.data.augment.views import Views, together
from jaxcnn.data.batches import Batch
from jaxcnn.data.pixels import normalize, renormalize
from jaxcnn.forward_pass import Forward, forward
from jaxcnn.layout import Params, init
from jaxcnn.ops import native
from jaxcnn.spec import Position, Spec
from jaxcnn.tasks import Classification, Penalty, Task
from jaxcnn.tasks.task import masked_sum
from jaxcnn.training.teacher import Teacher


@struct.dataclass
class TrainState:
    """Everything that changes in training."""

    params: Params
    batch_stats: Params
    opt_state: optax.OptState
    step: Array
    average: tuple[Params, Params] | None = None  # running averages of both, where the recipe keeps them

    @property
    def model(self) -> tuple[Params, Params]:
        """The parameters and statistics that the network is used with: their averages, where there are any."""
        return self.average or (self.params, self.batch_stats)


@dataclass(frozen=True)
class Recipe:
    """Everything that does not change in training; hashable, a static argument of `jit`."""

    net: Spec
    optimizer: optax.GradientTransformation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    task: Task = Classification()
    augment: tuple[Augmentation, ...] = ()
    penalty: Penalty = Penalty()
    frozen: tuple[str, ...] = ()  # the paths of the layers whose parameters are not trained
    parts: int = 1  # into how many a batch is cut, which go through the network one after the other
    ema: float = 0.0  # what the averages keep at each step; 0: there are none
    dtype: str = "float32"  # of the forward pass and its gradient; parameters, statistics and losses are float32
    views: Views = Views()  # of each image in evaluation
    teacher: Teacher | None = None  # whose probabilities are learned beside the labels
    blocks: frozenset[Position] = frozenset()  # parts of the network that are computed again for the gradient


class Metrics(NamedTuple):
    """What one training step saw, before its update; sums are over the examples that are not padding."""

    objective: Array  # the mean loss plus penalties
    gradient_norm: Array
    sums: dict[str, Array]  # "loss", "examples" and what the task counts


class Sums(NamedTuple):
    """Metrics added up over an epoch, and the first step whose loss or gradient was not finite (-1: none)."""

    sums: dict[str, Array]
    bad_step: Array


def init_state(
    recipe: Recipe, rng: Array, shape: tuple[int, ...], start: tuple[Params, Params] | None = None
) -> TrainState:  # fmt: skip
    """The state before the first step, for images of `shape`, (H, W, C).

    `start` are the parameters and statistics to begin with; they are copied. None draws them with `rng`.
    """
    params, batch_stats = init(recipe.net, rng, shape) if start is None else jax.tree.map(jnp.array, start)
    trained, _ = divided(recipe, params)
    average = jax.tree.map(jnp.array, (params, batch_stats)) if recipe.ema else None
    return TrainState(params, batch_stats, recipe.optimizer.init(trained), jnp.zeros((), jnp.int32), average)


def divided(recipe: Recipe, params: Params) -> tuple[Params, Params]:
    """The parameters that are trained, and those that are frozen."""
    frozen = {path: layer for path, layer in params.items() if path in recipe.frozen}
    return {path: layer for path, layer in params.items() if path not in frozen}, frozen


def empty_sums(recipe: Recipe) -> Sums:
    """The sums before the first step of an epoch."""
    sums = {"loss": jnp.zeros(()), "gradient_norm": jnp.zeros(()), "examples": jnp.zeros((), jnp.int32)}
    sums |= recipe.task.zeros()
    return Sums(sums, jnp.full((), -1, jnp.int32))


def training_inputs(recipe: Recipe, batch: Batch, key: Array) -> tuple[Array, Batch]:
    """The augmented, normalized and mixed images of a batch, and it with the shares; `key` is the epoch's."""
    alone, mixtures = split_mixtures(recipe.augment)

    def ready(images: Array, ids: Array) -> Array:
        return normalize(augment(images, ids, key, alone, turn), recipe.mean, recipe.std)

    turn, batch = batch.turn, batch._replace(turn=None)
    images, others = ready(batch.images, batch.ids), batch.others
    if not mixtures or others is None:
        return images, batch
    images, share = mix(images, ready(others.images, others.ids), batch.ids, key, mixtures)
    return images, batch._replace(others=others._replace(share=share))


def dropout_key(key: Array, step: Array) -> Array:
    """The key of a step's dropout; `key` is the epoch's."""
    return jax.random.fold_in(jax.random.fold_in(key, 0x0D70), step)


def network(recipe: Recipe, params: Params, batch_stats: Params, images: Array, **options: Any) -> Forward:
    """The forward pass in the recipe's precision; its output and statistics are float32."""
    narrow = partial(_cast, dtype=jnp.dtype(recipe.dtype))
    run = forward(recipe.net, narrow(params), batch_stats, narrow(images), **options)
    return run._replace(output=_cast(run.output, jnp.float32), batch_stats=_cast(run.batch_stats, jnp.float32))


def _cast(tree: Any, dtype: Any) -> Any:
    """A tree whose arrays of float32 or less are of `dtype`; float64, in tests, stays."""
    return jax.tree.map(lambda x: x if x.dtype == jnp.float64 else x.astype(dtype), tree)


def objective(
    recipe: Recipe, params: Params, batch_stats: Params, images: Array, batch: Batch, rng: Array, counted: Array,
    teacher: tuple[Params, Params] | None = None,
) -> tuple[Array, tuple[Forward, Array]]:  # fmt: skip
    """The sum of the losses over `counted`, plus penalties, as a function of `params`; the forward pass and the losses.

    A batch that goes through in parts is the sum of theirs, if `counted` are the examples of all and each has its share
    of the penalties. `teacher` are the parameters and statistics of the recipe's.
    """
    options = {"train": True, "rng": rng, "mask": batch.mask, "blocks": recipe.blocks}
    run = network(recipe, params, batch_stats, images, **options)
    with jax.named_scope("loss"):
        losses = _losses(recipe.task, run, images, batch)
    if recipe.teacher:
        if teacher is None:
            raise ValueError("a recipe with a teacher needs its arrays in every step: Lessons.arrays")
        losses = recipe.teacher.distillation(losses, run.output, _taught(recipe, recipe.teacher, teacher, images))
    return masked_sum(losses, batch.mask) / counted + recipe.penalty(params) / recipe.parts, (run, losses)


def _taught(recipe: Recipe, teacher: Teacher, arrays: tuple[Params, Params], images: Array) -> Array:
    """What a teacher makes of the images that the student is given: logits (N, K), in evaluation mode."""
    seen = renormalize(images, (recipe.mean, recipe.std), (teacher.mean, teacher.std))
    with jax.named_scope("teacher"):
        return network(replace(recipe, net=teacher.net), *arrays, seen).output


def _losses(task: Task, run: Forward, images: Array, batch: Batch) -> Array:
    """Each example's loss; of a mixture, those by both labels, by their shares."""
    losses, others = task.losses(run, images, batch), batch.others
    if others is None or others.share is None:
        return losses
    return others.share * losses + (1 - others.share) * task.losses(run, images, batch._replace(labels=others.labels))


def _gradients(
    state: TrainState, batch: Batch, key: Array, recipe: Recipe, teacher: tuple[Params, Params] | None
) -> tuple[Params, Params, Metrics]:  # fmt: skip
    """The gradients of what is trained, the new statistics, and the metrics."""
    with jax.named_scope("augmentation"):
        images, batch = training_inputs(recipe, batch, key)
    trained, frozen = divided(recipe, state.params)
    counted, rng = jnp.maximum(batch.mask.sum(), 1), dropout_key(key, state.step)

    def of_trained(params: Params, stats: Params, images: Array, batch: Batch, rng: Array) -> tuple[Array, Any]:
        total, (run, losses) = objective(recipe, frozen | params, stats, images, batch, rng, counted, teacher)
        sums = {"loss": masked_sum(losses, batch.mask), "examples": batch.mask.sum().astype(jnp.int32)}
        return total, (run.batch_stats, sums | recipe.task.counts(run, images, batch))

    of_part = jax.value_and_grad(of_trained, has_aux=True)
    if recipe.parts == 1:
        (total, (batch_stats, sums)), gradients = of_part(trained, state.batch_stats, images, batch, rng)
        return gradients, batch_stats, _metrics(total, gradients, sums)

    def add(carry: Any, part: Any) -> tuple[Any, Any]:
        gradients, stats = carry
        (total, (stats, sums)), more = of_part(trained, stats, *part[:2], jax.random.fold_in(rng, part[2]))
        return (jax.tree.map(jnp.add, gradients, more), stats), (total, sums)

    nothing = jax.tree.map(jnp.zeros_like, trained)
    parts = (*_cut((images, batch), recipe.parts), jnp.arange(recipe.parts))
    (gradients, batch_stats), added = lax.scan(add, (nothing, state.batch_stats), parts)
    total, sums = jax.tree.map(lambda values: values.sum(0), added)
    return gradients, batch_stats, _metrics(total, gradients, sums)


def _metrics(total: Array, gradients: Params, sums: dict[str, Array]) -> Metrics:
    norm = _norm(gradients)
    return Metrics(total, norm, sums | {"gradient_norm": norm.astype(jnp.float32)})


def _cut(tree: Any, parts: int) -> Any:
    """Arrays (N, ...) as (parts, N / parts, ...): example n is in part n % parts, so that each device has its share."""
    return jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), tree)


def _norm(tree: Params) -> Array:
    """The Euclidean norm of all arrays together; vectors are put side by side, as every sum costs time to compile."""
    leaves = jax.tree.leaves(tree)
    dtypes = {str(leaf.dtype) for leaf in leaves}
    if len(dtypes) == 1 and dtypes <= {*native.DTYPES} and native.available():
        return native.norm(leaves)
    vectors = [leaf for leaf in leaves if leaf.ndim == 1]
    parts = [leaf for leaf in leaves if leaf.ndim != 1] + ([jnp.concatenate(vectors)] if vectors else [])
    return jnp.sqrt(sum((jnp.sum(jnp.square(part)) for part in parts), jnp.zeros(())))


def _updated(state: TrainState, gradients: Params, batch_stats: Params, recipe: Recipe) -> TrainState:
    trained, frozen = divided(recipe, state.params)
    with jax.named_scope("update"):
        updates, opt_state = recipe.optimizer.update(gradients, state.opt_state, trained)
        params = frozen | dict(optax.apply_updates(trained, updates))  # type: ignore[arg-type]
        average = state.average
        if average is not None:
            keep = jnp.minimum(recipe.ema, (1 + state.step) / (10 + state.step))  # less at first, when they move fast
            average = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, average, (params, batch_stats))
    return TrainState(params, batch_stats, opt_state, state.step + 1, average)  # type: ignore[arg-type]


def train_step(
    state: TrainState, batch: Batch, key: Array, teacher: tuple[Params, Params] | None = None, *, recipe: Recipe
) -> tuple[TrainState, Metrics]:  # fmt: skip
    """One update. `key` is the epoch's; each image's augmentation comes from it and the image's id, dropout from it
    and the step's number. `teacher` are the parameters and statistics of the recipe's, if it has one."""
    gradients, batch_stats, metrics = _gradients(state, batch, key, recipe, teacher)
    return _updated(state, gradients, batch_stats, recipe), metrics


def guarded_step(
    state: TrainState, sums: Sums, batch: Batch, key: Array, teacher: tuple[Params, Params] | None = None, *,
    recipe: Recipe,
) -> tuple[TrainState, Sums]:  # fmt: skip
    """`train_step`, added up; from the first loss or gradient that is not finite on, nothing changes any more."""
    gradients, batch_stats, metrics = _gradients(state, batch, key, recipe, teacher)
    finite = jnp.isfinite(metrics.objective) & jnp.isfinite(metrics.gradient_norm)
    running = sums.bad_step < 0
    added = Sums({name: sums.sums[name] + value for name, value in metrics.sums.items()}, sums.bad_step)
    stopped = sums._replace(bad_step=jnp.where(running, state.step, sums.bad_step))
    keep = finite & running
    sums = jax.tree.map(lambda new, old: jnp.where(keep, new, old), added, stopped)
    # a branch, not a selection in every array: that is a quarter of the compilation
    update = partial(_updated, recipe=recipe)
    return lax.cond(keep, update, lambda state, *_: state, state, gradients, batch_stats), sums


def guarded_steps(
    state: TrainState, sums: Sums, batches: Batch, key: Array, teacher: tuple[Params, Params] | None = None, *,
    recipe: Recipe,
) -> tuple[TrainState, Sums]:  # fmt: skip
    """`guarded_step` on each of several batches, whose arrays are (steps, N, ...), one after the other."""
    turn, batches = batches.turn, batches._replace(turn=None)

    def step(carry: tuple[TrainState, Sums], batch: Batch) -> tuple[tuple[TrainState, Sums], None]:
        return guarded_step(*carry, batch._replace(turn=turn), key, teacher, recipe=recipe), None

    return lax.scan(step, (state, sums), batches)[0]


def eval_step(params: Params, batch_stats: Params, batch: Batch, *, recipe: Recipe) -> dict[str, Array]:
    """What the task adds up in evaluation, over one batch."""
    images = normalize(batch.images, recipe.mean, recipe.std)
    runs = [network(recipe, params, batch_stats, view) for view in recipe.views(images)]
    run = runs[0] if len(runs) == 1 else runs[0]._replace(output=together([run.output for run in runs]))
    return recipe.task.evaluated(run, images, batch)
