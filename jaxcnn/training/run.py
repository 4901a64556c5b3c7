"""A run on its way: where it is, what it has seen, and what it keeps of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn.data import Split
from jaxcnn.data.augment import AlternatingFlip, split_mixtures
from jaxcnn.data.augment.views import Views
from jaxcnn.data.batches import Batch, balanced_order, epoch_key, padded, repeated_order, turn
from jaxcnn.host.errors import Failed
from jaxcnn.host.events import Events
from jaxcnn.host.files import write_json
from jaxcnn.layout import Params
from jaxcnn.optimizers import paths
from jaxcnn.training import checkpoint
from jaxcnn.training.beginning import initial_key
from jaxcnn.training.devices import Fetch, compiled
from jaxcnn.training.diagnosis import all_finite, first_not_finite
from jaxcnn.training.evaluation import Evaluation, evaluate
from jaxcnn.training.plan import Plan
from jaxcnn.training.progress import Stopwatch
from jaxcnn.training.run_folder import append_steps, cut_steps, read_metrics
from jaxcnn.training.steps import Recipe, TrainState, empty_sums, init_state
from jaxcnn.training.writer import Writer

DIVERGED = "diverged.json"  # in the folder of a run: at which step, and in what
UPDATED = "the updated parameters or statistics"


class Diverged(Failed):
    """The loss or a gradient was not finite. The last good checkpoint is kept."""


class Run:
    """The mutable part of `fit`: where the run is and what it has seen."""

    def __init__(self, plan: Plan, folder: Path, shared: Path | None = None) -> None:
        """`folder` is where this process writes, `shared` that of the run, if it is another process that writes it."""
        self.plan, self.folder, self.shared = plan, folder, shared or folder
        self.teacher = plan.lessons.arrays if plan.lessons else None
        self.steps = compiled(plan.recipe, self.teacher)
        self.fetch_train = self.steps.fetch(plan.dataset.train)
        self.judge, judging = plan.dataset.judging
        self.fetch_judging = self.steps.fetch(judging)
        state = init_state(plan.recipe, initial_key(plan.config), plan.facts.input, plan.start)
        self.state, self.sums = jax.device_put((state, empty_sums(plan.recipe)), self.steps.everywhere)
        self.rows: list[dict[str, Any]] = []
        self.watch = Stopwatch()
        self.before = 0.0
        self.events: Events | None = None  # for TensorBoard
        self.warm: set[tuple[Recipe, int]] = set()  # by which, and how many at once, this process has run steps

    @property
    def done(self) -> int:
        return int(self.state.step)

    def resume(self, place: Path) -> None:
        """Go back to a checkpoint, and forget what was written down after it."""
        self.restore(place)
        cut_steps(self.folder, self.done)

    def restore(self, place: Path) -> None:
        """Go back to a checkpoint, and leave the folder as it is."""
        model, training = checkpoint.read(place, self.state.model, self._training())
        opt_state, step, self.sums, *raw = training
        params, stats = raw[0] if raw else model
        self.state = TrainState(params, stats, opt_state, step, model if raw else None)
        self.rows = read_metrics(self.shared, self.done)
        self.before = self.rows[-1]["seconds"] if self.rows else 0.0

    def save(self, checkpoints: Writer, last: Writer) -> None:
        state = self.state
        self.require_finite(last)
        checkpoints.save(self.done, state.model, self._training())

    def _training(self) -> tuple[Any, ...]:
        """What a checkpoint holds besides the model: with averages, which are the model, the parameters themselves."""
        state = self.state
        raw = ((state.params, state.batch_stats),) if state.average else ()
        return state.opt_state, state.step, self.sums, *raw

    def seconds(self) -> float:
        """Seconds of this run so far, those before a resumption included."""
        return self.before + time.perf_counter() - self.watch.begun

    def best(self) -> int | None:
        """The epoch that did best on the validation images, counted from 1; None without such images."""
        key, sign = self.plan.config.task.best
        judged = [row for row in self.rows if f"validation_{key}" in row]
        return max(judged, key=lambda row: sign * row[f"validation_{key}"])["epoch"] if judged else None

    def patient(self) -> bool:
        """Whether the best epoch is not yet so long ago that training stops."""
        best, patience = self.best(), self.plan.config.patience
        return not patience or best is None or len(self.rows) - best < patience

    def evaluate(
        self, split: Split, fetch: Fetch, model: tuple[Params, Params] | None = None, *,
        views: Views | None = None,
    ) -> Evaluation:  # fmt: skip
        """How good the network is on a split, or another `model` is, by the config's views or others."""
        config, recipe = self.plan.config, self.plan.recipe
        step = self.steps.eval if views is None else partial(self.steps.eval, recipe=replace(recipe, views=views))
        params, stats = model or self.state.model
        return evaluate(step, config.task, params, stats, len(split.labels), config.batch_size, fetch)

    def judged(self) -> dict[str, float]:
        """The metrics of the images that judge an epoch, for its row; with averages, those of the parameters too."""
        state, split = self.state, self.plan.dataset.judging[1]
        metrics = self.evaluate(split, self.fetch_judging).metrics
        if not state.average:
            return of_split(self.judge, metrics)
        raw = self.evaluate(split, self.fetch_judging, (state.params, state.batch_stats)).metrics
        return of_split(self.judge, metrics) | of_split(f"{self.judge}_raw", raw)

    @property
    def examples(self) -> int:
        """How many the epoch has seen so far."""
        return int(self.sums.sums["examples"])

    def metrics(self) -> dict[str, float]:
        """The metrics of the epoch so far, as measured while training."""
        return self.plan.config.task.summary(jax.device_get(self.sums.sums), self.examples)

    def gradient_norm(self) -> float:
        """The mean over the steps of an epoch that is done."""
        return float(self.sums.sums["gradient_norm"]) / self.plan.steps_per_epoch

    def rate(self) -> float:
        """The learning rate of the last step."""
        rate = float(jnp.asarray(self.plan.rate(self.done - 1)))
        if self.plan.config.optimizer.schedule.watches:
            rate *= float(optax.tree_utils.tree_get(self.state.opt_state, "plateau_scale"))
        return rate

    def lower_rate(self, epoch: int) -> None:
        """Before an epoch begins, scale the learning rate as the epochs before it say, if its schedule watches them."""
        schedule = self.plan.config.optimizer.schedule
        if schedule.watches:
            name = "validation_loss" if self.plan.dataset.validation else "train_loss"
            losses = [row[name] for row in self.rows[:epoch] if name in row]
            scale = schedule.scale(losses, float(jnp.asarray(self.plan.rate(self.done))))
            opt_state = jax.device_put(paths.with_scale(self.state.opt_state, scale), self.steps.everywhere)
            self.state = self.state.replace(opt_state=opt_state)  # type: ignore[attr-defined]

    def log(self, scalars: dict[str, Any]) -> None:
        """Show the figures of the step to TensorBoard, if that is wanted."""
        if self.plan.config.tensorboard:
            self.events = self.events or Events(self.folder / "tensorboard")
            self.events.add(scalars["step"], {tag: value for tag, value in scalars.items() if tag != "step"})

    def log_steps(self, since: dict[str, Any], steps: int) -> dict[str, Any]:
        """Write down the figures of the last `steps` steps, since the sums were `since`; returns what they are now."""
        now = jax.device_get(self.sums.sums)
        sums = {name: now[name] - since[name] for name in now}
        metrics = self.plan.config.task.summary(sums, int(sums["examples"]))
        figures = {"gradient_norm": float(sums["gradient_norm"]) / steps, "learning_rate": self.rate()}
        row = {"step": self.done} | of_split("train", metrics) | figures
        append_steps(self.folder, row)
        self.log({"step": self.done} | {f"steps/{name}": value for name, value in row.items() if name != "step"})
        return now

    def require_finite(self, last: Writer) -> None:
        """Raise Diverged if the last update overflowed though its gradient had not."""
        if not all_finite((self.state.params, self.state.batch_stats)):
            raise self.diverged(self.done - 1, UPDATED, last)

    def dispatches(self, epoch: int, first: int) -> Iterator[Batch]:
        """What the device is given at once, from step number `first` of an epoch on: a batch, or, with
        `steps_per_dispatch`, several, whose arrays are (steps, N, ...)."""
        steps, rows = self.plan.config.steps_per_dispatch, self._rows(epoch, first)
        if steps == 1:
            return self._fetched(epoch, rows)
        groups = iter(lambda: list(islice(rows, steps)), [])
        return self._fetched(epoch, (tuple(map(np.stack, zip(*group, strict=True))) for group in groups))

    def batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """The batches of an epoch from its step number `first` on, each image with the next one if they are mixed."""
        return self._fetched(epoch, self._rows(epoch, first))

    def _rows(self, epoch: int, first: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Of each step the ids and the mask, and the ids of others where images are mixed."""
        config, order = self.plan.config, self._order(epoch)
        rows = padded(order, config.batch_size, first)
        if not split_mixtures(config.data.augment)[1]:
            return rows
        others = padded(np.roll(order, -config.data.repeats), config.batch_size, first)
        return ((*row, other) for row, (other, _) in zip(rows, others, strict=True))

    def _fetched(self, epoch: int, rows: Iterable[tuple[np.ndarray, ...]]) -> Iterator[Batch]:
        config = self.plan.config
        alternate = any(isinstance(each, AlternatingFlip) for each in config.data.augment)
        in_turn = turn(config.seed, epoch) if alternate else None
        for batch in self.fetch_train(rows, *self.plan.cuts(epoch)):
            yield batch._replace(turn=in_turn)

    def _order(self, epoch: int) -> np.ndarray:
        seed, data, labels = self.plan.config.seed, self.plan.config.data, self.plan.dataset.train.labels
        if data.balanced:
            return balanced_order(seed, epoch, labels)
        return repeated_order(seed, epoch, len(labels), data.repeats)

    def check_finite(self, last: Writer) -> None:
        """Raise Diverged if a step since the last check gave numbers that are not finite."""
        bad = int(self.sums.bad_step)
        if bad < 0:
            return
        epoch, within = divmod(bad, self.plan.steps_per_epoch)
        config = self.plan.config
        batch = next(self.batches(epoch, within))
        key = epoch_key(config.seed, epoch)
        where = first_not_finite(self.plan.recipe_at(epoch), self.state, batch, key, self.teacher)
        raise self.diverged(bad, where, last)

    def diverged(self, bad: int, where: str, last: Writer) -> Diverged:
        epoch = bad // self.plan.steps_per_epoch
        last.wait_until_finished()
        kept = last.newest()
        advice = f"the last good checkpoint is kept in {kept}" if kept else "no checkpoint had been written yet"
        write_json(self.folder / DIVERGED, {"step": bad, "epoch": epoch + 1, "where": where})
        return Diverged(
            f"step {bad} (epoch {epoch + 1}) gave numbers that are not finite, first in {where}; {advice}. "
            "A lower --optimizer.lr often helps."
        )


def of_split(split: str, metrics: dict[str, float]) -> dict[str, float]:
    """Metrics by the names that they have in a run's rows, such as "test_accuracy"."""
    return {f"{split}_{key}": value for key, value in metrics.items()}
