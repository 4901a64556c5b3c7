"""The pure steps of training and evaluation, over a `TrainState`.

Nothing here reads a file, a clock or a global: a step is a function of its arguments, so it can be jitted, replayed
and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax import Array, lax

from jaxcnn import losses
from jaxcnn.config import LossConfig
from jaxcnn.data.augment import augment, normalize
from jaxcnn.data.batches import Batch, padded
from jaxcnn.forward import apply, forward
from jaxcnn.layout import Params, init, walk
from jaxcnn.ops import native
from jaxcnn.spec import Spec


@struct.dataclass
class TrainState:
    """Everything that changes in training."""

    params: Params
    batch_stats: Params
    opt_state: optax.OptState
    step: Array


@dataclass(frozen=True)
class Task:
    """Everything that does not change in training; hashable, a static argument of `jit`."""

    net: Spec
    optimizer: optax.GradientTransformation
    mean: tuple[float, ...]
    std: tuple[float, ...]
    loss: LossConfig = field(default_factory=LossConfig)
    crop_padding: int = 0
    flip: bool = False
    frozen: tuple[str, ...] = ()  # the paths of the layers whose parameters are not trained


class Metrics(NamedTuple):
    """What one training step saw, before its update; sums are over the examples that are not padding."""

    loss: Array  # the objective: mean cross-entropy plus penalties
    gradient_norm: Array
    loss_sum: Array  # of the cross-entropy
    correct: Array
    examples: Array


class Sums(NamedTuple):
    """Metrics added up over an epoch, and the first step whose loss or gradient was not finite (-1: none)."""

    loss: Array
    correct: Array
    examples: Array
    bad_step: Array


class EvalSums(NamedTuple):
    """Sums over evaluated examples: cross-entropy, right in the first five, and (true, predicted) counts."""

    loss: Array
    top5: Array
    confusion: Array


def init_state(
    task: Task, rng: Array, shape: tuple[int, ...], start: tuple[Params, Params] | None = None
) -> TrainState:  # fmt: skip
    """The state before the first step, for images of `shape`, (H, W, C).

    `start` are the parameters and statistics to begin with; they are copied. None draws them with `rng`.
    """
    params, batch_stats = init(task.net, rng, shape) if start is None else jax.tree.map(jnp.array, start)
    trained, _ = divided(task, params)
    return TrainState(params, batch_stats, task.optimizer.init(trained), jnp.zeros((), jnp.int32))


def divided(task: Task, params: Params) -> tuple[Params, Params]:
    """The parameters that are trained, and those that are frozen."""
    frozen = {path: layer for path, layer in params.items() if path in task.frozen}
    return {path: layer for path, layer in params.items() if path not in frozen}, frozen


def empty_sums() -> Sums:
    """The sums before the first step of an epoch."""
    return Sums(jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), jnp.full((), -1, jnp.int32))


def training_inputs(task: Task, batch: Batch, key: Array) -> Array:
    """The augmented, normalized images of a batch; `key` is the epoch's."""
    images = augment(batch.images, batch.ids, key, task.crop_padding, task.flip)
    return normalize(images, task.mean, task.std)


def _dropout_key(key: Array, step: Array) -> Array:
    return jax.random.fold_in(jax.random.fold_in(key, 0x0D70), step)


def objective(task: Task, params: Params, state: TrainState, images: Array, batch: Batch, key: Array):
    """The loss of a batch as a function of `params`; also (new statistics, cross-entropies (N,), logits (N, K))."""
    rng = _dropout_key(key, state.step)
    mask = batch.mask
    logits, batch_stats = apply(task.net, params, state.batch_stats, images, train=True, rng=rng, mask=mask)
    entropies = losses.cross_entropy(logits, batch.labels, task.loss.label_smoothing)
    total = losses.masked_mean(entropies, mask) + losses.penalty(params, task.loss.l1, task.loss.l2)
    return total, (batch_stats, entropies, logits)


def _gradients(state: TrainState, batch: Batch, key: Array, task: Task) -> tuple[Params, Params, Metrics]:
    """The gradients of what is trained, the new statistics, and the metrics."""
    images = training_inputs(task, batch, key)
    trained, frozen = divided(task, state.params)
    value_and_grad = jax.value_and_grad(lambda p: objective(task, frozen | p, state, images, batch, key), has_aux=True)
    (loss, (batch_stats, entropies, logits)), gradients = value_and_grad(trained)
    right = losses.in_top(logits, batch.labels, 1) & (batch.mask > 0)
    metrics = Metrics(
        loss=loss,
        gradient_norm=_norm(gradients),
        loss_sum=jnp.sum(jnp.where(batch.mask > 0, entropies, 0)),
        correct=right.sum(dtype=jnp.int32),
        examples=batch.mask.sum().astype(jnp.int32),
    )
    return gradients, batch_stats, metrics


def _norm(tree: Params) -> Array:
    """The Euclidean norm of all arrays together; vectors are put side by side, as every sum costs time to compile."""
    leaves = jax.tree.leaves(tree)
    dtypes = {str(leaf.dtype) for leaf in leaves}
    if len(dtypes) == 1 and dtypes <= {*native.DTYPES} and native.available():
        return native.norm(leaves)
    vectors = [leaf for leaf in leaves if leaf.ndim == 1]
    parts = [leaf for leaf in leaves if leaf.ndim != 1] + ([jnp.concatenate(vectors)] if vectors else [])
    return jnp.sqrt(sum((jnp.sum(jnp.square(part)) for part in parts), jnp.zeros(())))


def _updated(state: TrainState, gradients: Params, batch_stats: Params, task: Task) -> TrainState:
    trained, frozen = divided(task, state.params)
    updates, opt_state = task.optimizer.update(gradients, state.opt_state, trained)
    params = frozen | dict(optax.apply_updates(trained, updates))  # type: ignore[arg-type]
    return TrainState(params, batch_stats, opt_state, state.step + 1)  # type: ignore[arg-type]


def train_step(state: TrainState, batch: Batch, key: Array, *, task: Task) -> tuple[TrainState, Metrics]:
    """One update. `key` is the epoch's; each image's augmentation comes from it and the image's id, dropout from it
    and the step's number."""
    gradients, batch_stats, metrics = _gradients(state, batch, key, task)
    return _updated(state, gradients, batch_stats, task), metrics


def guarded_step(
    state: TrainState, sums: Sums, batch: Batch, key: Array, *, task: Task
) -> tuple[TrainState, Sums]:  # fmt: skip
    """`train_step`, added up; from the first loss or gradient that is not finite on, nothing changes any more."""
    gradients, batch_stats, metrics = _gradients(state, batch, key, task)
    finite = jnp.isfinite(metrics.loss) & jnp.isfinite(metrics.gradient_norm)
    running = sums.bad_step < 0
    added = Sums(
        sums.loss + metrics.loss_sum, sums.correct + metrics.correct, sums.examples + metrics.examples, sums.bad_step
    )  # fmt: skip
    stopped = sums._replace(bad_step=jnp.where(running, state.step, sums.bad_step))
    keep = finite & running
    sums = jax.tree.map(lambda new, old: jnp.where(keep, new, old), added, stopped)
    # a branch, not a selection in every array: that is a quarter of the compilation
    return lax.cond(keep, partial(_updated, task=task), lambda state, *_: state, state, gradients, batch_stats), sums


def eval_step(params: Params, batch_stats: Params, batch: Batch, *, task: Task) -> EvalSums:
    """The metrics of one batch in evaluation mode."""
    logits, _ = apply(task.net, params, batch_stats, normalize(batch.images, task.mean, task.std))
    entropies = losses.cross_entropy(logits, batch.labels)
    return EvalSums(
        loss=jnp.sum(jnp.where(batch.mask > 0, entropies, 0)),
        top5=jnp.sum(losses.in_top(logits, batch.labels, 5) & (batch.mask > 0), dtype=jnp.int32),
        confusion=losses.confusion_matrix(logits, batch.labels, batch.mask),
    )


class Evaluation(NamedTuple):
    """How good a network is on a set of images."""

    loss: float
    accuracy: float
    top5: float
    confusion: np.ndarray  # (K, K): rows are the true classes


def evaluate(
    step: Callable[[Params, Params, Batch], EvalSums], params: Params, batch_stats: Params, size: int, batch_size: int,
    take: Callable[[np.ndarray, np.ndarray], Batch],
) -> Evaluation:  # fmt: skip
    """Run a jitted `eval_step` over `size` images, which `take(ids, mask)` fetches; sums are exact or in float64."""
    loss, top5, confusion = 0.0, 0, np.zeros((), np.int64)
    for ids, mask in padded(np.arange(size, dtype=np.int32), batch_size):
        sums = jax.device_get(step(params, batch_stats, take(ids, mask)))
        loss, top5, confusion = loss + float(sums.loss), top5 + int(sums.top5), confusion + sums.confusion
    return Evaluation(loss / size, float(np.trace(confusion)) / size, top5 / size, confusion)


@jax.jit
def all_finite(tree: Any) -> Array:
    """Whether every number in a tree of arrays is finite."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()


def first_not_finite(task: Task, state: TrainState, batch: Batch, key: Array) -> str:
    """Where in a training step a number that is not finite appears first: parameters, activations, loss, gradients."""

    @jax.jit
    def finite(state: TrainState) -> dict[str, dict[str, Array]]:
        images, rng = training_inputs(task, batch, key), _dropout_key(key, state.step)
        run = forward(task.net, state.params, state.batch_stats, images, train=True, rng=rng, mask=batch.mask)
        trained, frozen = divided(task, state.params)
        loss, gradients = jax.value_and_grad(lambda p: objective(task, frozen | p, state, images, batch, key)[0])(
            trained
        )
        return {
            name: {path: all_finite(tree) for path, tree in trees.items()}
            for name, trees in {
                "parameters": state.params,
                "running statistics": state.batch_stats,
                "output": run.activations,
                "loss": {"": loss},
                "gradient": gradients,
            }.items()
        }

    flags = jax.device_get(finite(state))
    order = [row.path for row in walk(task.net, batch.images.shape[1:])]
    for name in "parameters", "running statistics", "output":
        for path in order:
            if not flags[name].get(path, True):
                return f"the {name} of layer {path!r}"
    if not flags["loss"][""]:
        return "the loss"
    for path in reversed(order):  # the last layer's gradient is computed first
        if not flags["gradient"].get(path, True):
            return f"the gradient of layer {path!r}"
    return "the update"
