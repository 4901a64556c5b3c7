"""`fit`: from a config to a trained network and the folder that documents it."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn import checkpoint
from jaxcnn.config import TrainConfig
from jaxcnn.data import Split
from jaxcnn.data.batches import Batch, epoch_key, epoch_order, padded
from jaxcnn.devices import compiled
from jaxcnn.interrupts import Interrupted, stop_requests
from jaxcnn.layout import times
from jaxcnn.machine import machine, versions
from jaxcnn.plan import Plan, initial_key, prepare
from jaxcnn.progress import Reporter, Stopwatch, reporting, show_result
from jaxcnn.results import (
    check_folder,
    draw_confusion,
    draw_curves,
    fingerprint,
    open_run,
    read_metrics,
    write_json,
    write_metrics,
)
from jaxcnn.steps import (
    Evaluation,
    Task,
    TrainState,
    all_finite,
    empty_sums,
    eval_step,
    evaluate,
    first_not_finite,
    init_state,
    train_step,
)

if TYPE_CHECKING:
    import orbax.checkpoint as ocp
    from rich.console import Console

PACKAGES = ("jaxcnn", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
__all__ = ["Diverged", "Interrupted", "Plan", "Task", "TrainState", "eval_step", "fit", "prepare", "train_step"]


class Diverged(RuntimeError):
    """The loss or a gradient was not finite. The last good checkpoint is kept."""


class _Run:
    """The mutable part of `fit`: where the run is and what it has seen."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.steps = compiled(plan.task)
        self.fetch_train = self.steps.fetch(plan.dataset.train)
        self.fetch_test = self.steps.fetch(plan.dataset.test)
        state = init_state(plan.task, initial_key(plan.config), plan.facts.input, plan.start)
        self.state, self.sums = jax.device_put((state, empty_sums()), self.steps.everywhere)
        self.rows: list[dict[str, Any]] = []
        self.watch = Stopwatch()
        self.before = 0.0
        self.warm = False  # whether this process has run a training step, and so compiled it

    @property
    def done(self) -> int:
        return int(self.state.step)

    def resume(self) -> None:
        """Go back to the newest checkpoint; a run that was stopped before its first one begins at the beginning."""
        if not checkpoint.exists(self.folder / "checkpoints" / "last"):
            return
        state, sums = self.state, self.sums
        model = (state.params, state.batch_stats)
        (params, stats), (opt_state, step, sums) = checkpoint.restore(
            self.folder / "checkpoints" / "last", model, (state.opt_state, state.step, sums)
        )
        self.state, self.sums = TrainState(params, stats, opt_state, step), sums
        self.rows = read_metrics(self.folder, self.done)
        self.before = self.rows[-1]["seconds"] if self.rows else 0.0

    def save(self, checkpoints: ocp.CheckpointManager, last: ocp.CheckpointManager) -> None:
        state = self.state
        self.require_finite(last)
        checkpoint.save(
            checkpoints,
            self.done,
            (state.params, state.batch_stats),
            (state.opt_state, state.step, self.sums),
        )

    def seconds(self) -> float:
        """Seconds of this run so far, those before a resumption included."""
        return self.before + time.perf_counter() - self.watch.begun

    def evaluate(self, split: Split, fetch: Callable[..., Batch]) -> Evaluation:
        state, size = self.state, len(split.labels)
        return evaluate(self.steps.eval, state.params, state.batch_stats, size, self.plan.config.batch_size, fetch)

    def require_finite(self, last: ocp.CheckpointManager) -> None:
        """Raise Diverged if the last update overflowed though its gradient had not."""
        if not all_finite((self.state.params, self.state.batch_stats)):
            raise self.diverged(self.done - 1, "the updated parameters or statistics", last)

    def check_finite(self, last: ocp.CheckpointManager) -> None:
        """Raise Diverged if a step since the last check gave numbers that are not finite."""
        bad = int(self.sums.bad_step)
        if bad < 0:
            return
        epoch, within = divmod(bad, self.plan.steps_per_epoch)
        config, size = self.plan.config, len(self.plan.dataset.train.labels)
        ids, mask = next(padded(epoch_order(config.seed, epoch, size), config.batch_size, within))
        where = first_not_finite(self.plan.task, self.state, self.fetch_train(ids, mask), epoch_key(config.seed, epoch))
        raise self.diverged(bad, where, last)

    def diverged(self, bad: int, where: str, last: ocp.CheckpointManager) -> Diverged:
        epoch = bad // self.plan.steps_per_epoch
        last.wait_until_finished()
        kept = f"{self.folder}/checkpoints/last/{last.latest_step()}"
        none = last.latest_step() is None
        advice = "no checkpoint had been written yet" if none else f"the last good checkpoint is kept in {kept}"
        return Diverged(
            f"step {bad} (epoch {epoch + 1}) gave numbers that are not finite, first in {where}; {advice}. "
            "A lower --optimizer.lr often helps."
        )


def fit(
    config: TrainConfig, *, results: str | Path = "results", resume: bool = False, overwrite: bool = False,
    command: str = "", console: Console | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train a network as a config says, and document the run in `results/<name>/`.

    The folder holds config.json, metrics.jsonl (one line an epoch), result.json, curves.png, confusion_matrix.png and
    checkpoints/last and checkpoints/best (the highest test accuracy so far). A resumed run ends in the same bits
    as an unbroken one.

    Args:
      config: what to train, on what, how.
      results: the folder of all runs.
      resume: continue the run in the folder.
      overwrite: discard the run in the folder.
      command: recorded in result.json.
      console: a `rich.console.Console`; by default one on standard output.

    Returns:
      What result.json says.

    Raises:
      InputError: the config, the data or the folder cannot work; nothing was written.
      Diverged: a loss or gradient was not finite.
      Interrupted: Ctrl-C or SIGTERM came, and the run was saved.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    folder = Path(results) / config.name
    check_folder(folder, resume, overwrite)  # before minutes go into reading data
    plan = prepare(config, start=not (resume and checkpoint.exists(folder / "checkpoints" / "last")))
    total = config.epochs * plan.steps_per_epoch
    with stop_requests() as stops:
        open_run(folder, config, plan.facts, resume, overwrite)
        run = _Run(plan, folder)
        if resume:
            run.resume()
        _introduce(console, plan)
        _train(run, stops, total, console)
        return _conclude(run, command, console)


def _train(run: _Run, stops: list[int], total: int, console: Console) -> None:
    config, folder = run.plan.config, run.folder / "checkpoints"
    with (
        checkpoint.manager(folder / "last") as last,
        checkpoint.manager(folder / "best") as best,
        reporting(console, config.epochs, total, run.done) as report,
    ):
        for epoch in range(run.done // run.plan.steps_per_epoch, config.epochs):
            _train_epoch(run, epoch, stops, last, report)
            _finish_epoch(run, epoch, last, best, report)
            if stops and run.done < total:
                raise _interrupted(run, stops)


def _introduce(console: Console, plan: Plan) -> None:
    dataset, config = plan.dataset, plan.config
    train, test = len(dataset.train.labels), len(dataset.test.labels)
    shape = times(plan.facts.input)
    console.print(
        f"{config.network} on {dataset.name}: {train:,} training and {test:,} test images "
        f"of {shape}, {len(dataset.classes)} classes; epochs: {config.epochs} of {plan.steps_per_epoch:,} steps",
        soft_wrap=True, markup=False,
    )  # fmt: skip


def _train_epoch(run: _Run, epoch: int, stops: list[int], last: ocp.CheckpointManager, report: Reporter) -> None:
    config, per_epoch = run.plan.config, run.plan.steps_per_epoch
    first = run.done - epoch * per_epoch
    if first == 0:
        run.sums = jax.device_put(empty_sums(), run.steps.everywhere)
    order = epoch_order(config.seed, epoch, len(run.plan.dataset.train.labels))
    key = epoch_key(config.seed, epoch)
    shown, seen = 0.0, int(run.sums.examples)
    if run.warm:
        run.watch.start()
    for index, (ids, mask) in enumerate(padded(order, config.batch_size, first), start=first + 1):
        before = run.sums
        run.state, run.sums = run.steps.train(run.state, run.sums, run.fetch_train(ids, mask), key)
        jax.block_until_ready(before)  # one step ahead of the device, not a whole epoch
        now = time.perf_counter()
        if not run.warm:
            seen, run.warm = int(run.sums.examples), True
            run.watch.start()
        elif now - shown > 0.25 or index == per_epoch:
            run.check_finite(last)
            count = int(run.sums.examples)
            report.step(
                epoch + 1, epoch * per_epoch + index, float(run.sums.loss) / count, int(run.sums.correct) / count,
                run.watch.speed(count - seen),
            )  # fmt: skip
            shown = now
        if stops:
            run.check_finite(last)
            if index < per_epoch:
                run.save(last, last)
                raise _interrupted(run, stops)
        if config.checkpoint_every and index % config.checkpoint_every == 0 and index < per_epoch:
            run.check_finite(last)
            run.save(last, last)
    run.check_finite(last)
    run.watch.stop(int(run.sums.examples) - seen)


def _interrupted(run: _Run, stops: list[int]) -> Interrupted:
    name = signal.Signals(stops[0]).name
    return Interrupted(f"{name}: stopped and saved at step {run.done} in {run.folder}", 128 + stops[0])


def _finish_epoch(
    run: _Run, epoch: int, last: ocp.CheckpointManager, best: ocp.CheckpointManager, report: Reporter
) -> None:
    config, count = run.plan.config, int(run.sums.examples)
    row: dict[str, Any] = {
        "epoch": epoch + 1,
        "step": run.done,
        "train_loss": float(run.sums.loss) / count,
        "train_accuracy": int(run.sums.correct) / count,
    }
    run.require_finite(last)
    record = max((r["test_accuracy"] for r in run.rows if "test_accuracy" in r), default=-1.0)
    if (epoch + 1) % config.evaluate_every == 0 or epoch + 1 == config.epochs:
        test = run.evaluate(run.plan.dataset.test, run.fetch_test)
        if not math.isfinite(test.loss):
            raise run.diverged(run.done - 1, "the loss of the test images", last)
        row |= {"test_loss": test.loss, "test_accuracy": test.accuracy, "test_top5": test.top5}
    row |= {"images_per_second": run.watch.speed(), "seconds": run.seconds()}
    run.rows.append(row)
    write_metrics(run.folder, run.rows)
    run.save(last, last)
    if row.get("test_accuracy", -1.0) > record:
        run.save(best, last)
    report.epoch(row)


def _conclude(run: _Run, command: str, console: Console) -> dict[str, Any]:
    plan, config = run.plan, run.plan.config
    seconds, speed = run.seconds(), run.rows[-1]["images_per_second"] if run.rows else 0.0
    test = run.evaluate(plan.dataset.test, run.fetch_test)
    train = run.evaluate(plan.dataset.train, run.fetch_train)
    result = {
        "name": config.name, "network": config.network, "dataset": plan.dataset.name, "seed": config.seed,
        "epochs": config.epochs, "steps": run.done,
        "train_accuracy": train.accuracy, "test_accuracy": test.accuracy,
        "train_top5": train.top5, "test_top5": test.top5, "train_loss": train.loss, "test_loss": test.loss,
        "params_sha256": fingerprint(run.state.params, run.state.batch_stats),
        "seconds": round(seconds, 2), "images_per_second": round(speed, 1),
        "versions": versions(PACKAGES), "machine": machine(), "command": command,
    }  # fmt: skip
    title = (
        f"{config.network} on {plan.dataset.name}: {test.accuracy:.2%} of {len(plan.dataset.test.labels):,} test images"
    )
    draw_curves(run.folder / "curves.png", run.rows, title)
    draw_confusion(run.folder / "confusion_matrix.png", test.confusion, plan.dataset.classes, title)
    write_json(run.folder / "result.json", result)
    show_result(console, result, test.confusion, plan.dataset.classes, run.folder)
    return result
