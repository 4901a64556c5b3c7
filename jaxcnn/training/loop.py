"""`fit`, the training loop: from a config to a trained network and the folder that documents it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn.config import TrainConfig
from jaxcnn.data.batches import Batch, epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.host.interrupts import Interrupted, Stop, stop_requests, stoppable
from jaxcnn.layout import times
from jaxcnn.training import checkpoint, processes
from jaxcnn.training.conclusion import conclude
from jaxcnn.training.opening import check_folder, held, open_run
from jaxcnn.training.plan import Plan, prepare
from jaxcnn.training.profiler import Profiler
from jaxcnn.training.progress import Reporter, reporting, tell
from jaxcnn.training.resuming import Start, check_same, settle, starting_point
from jaxcnn.training.run import Diverged, Run, of_split
from jaxcnn.training.run_folder import Record, write_metrics
from jaxcnn.training.steps import Recipe, TrainState, empty_sums, eval_step, train_step
from jaxcnn.training.stops import Stops
from jaxcnn.training.writer import Writer, writer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Diverged", "Interrupted", "Plan", "Recipe", "TrainState", "eval_step", "fit", "prepare", "train", "train_step",
]  # fmt: skip


def fit(
    config: TrainConfig, *, on_epoch: Callable[[dict[str, Any]], object] | None = None, **options: Any
) -> dict[str, Any]:  # fmt: skip
    """Train a network as a config says, and document the run in `results/<name>/`.

    Args:
      config: what to train, on what, how.
      on_epoch: called after each epoch with its figures, a row of metrics.jsonl. Training ends where it returns True.
      options: those of `train`.

    Returns:
      What result.json says.

    Raises what `train` raises.
    """
    epochs = train(config, **options)
    enough = None
    while True:
        try:
            row = epochs.send(enough)
        except StopIteration as end:
            return end.value
        enough = on_epoch is not None and on_epoch(row) is True


def train(
    config: TrainConfig, *, results: str | Path = "results", resume: bool = False, overwrite: bool = False,
    restart_schedule: bool = False, limit_steps: int = 0, profile: int = 0, stop_at: float = math.inf,
    command: str = "", console: Console | None = None,
) -> Generator[dict[str, Any], bool | None, dict[str, Any]]:  # fmt: skip
    """`fit`, epoch by epoch: an iterator over the rows of metrics.jsonl, each when its checkpoint is being written.

    The folder holds config.json, metrics.jsonl (one line an epoch), result.json, curves.png, confusion_matrix.png and
    checkpoints/last; README.md beside this file tells in what order. With `data.validation_fraction` there is
    checkpoints/best too, the best epoch by the validation images, and the figures of result.json are its; with
    `keep_epochs`, checkpoints/epochs. A resumed run ends in the same bits as an unbroken one. A loop that is left by
    `break` leaves a run that can be resumed.

    Args:
      config: what to train, on what, how.
      results: the folder of all runs.
      resume: continue the run in the folder, from its newest sound checkpoint. `config` is what it was, but may have
        more epochs, and its data may lie elsewhere.
      overwrite: discard the run in the folder.
      restart_schedule: for a run that is resumed for more epochs: its learning rate's schedule begins anew for those
        that are left. Otherwise it is stretched over all epochs.
      limit_steps: a dry run: one epoch of so many steps, an evaluation of as many batches, and nothing is kept.
      profile: how many steps, after the one that compiles, are traced into the folder; a sentence says where their time
        goes.
      stop_at: a time by time.monotonic(), after which the run is saved and stops.
      command: recorded in result.json.
      console: a `rich.console.Console`; by default one on standard output.

    Returns:
      What result.json says, as the value of StopIteration.

    Raises:
      InputError: the config, the data or the folder cannot work, or another process trains there; nothing was written.
      Failed: the disk is full, or cannot be written for another reason.
      Diverged: a loss or gradient was not finite.
      Interrupted: Ctrl-C or SIGTERM came, or `stop_at`, and the run was saved.
      Stop: the same, before there was anything to save; it is a KeyboardInterrupt.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    if limit_steps < 0 or (limit_steps and (resume or overwrite)):
        raise InputError("limit_steps is for a dry run, which is not kept: without resume and overwrite, at least 1")
    if profile and config.steps_per_dispatch > 1:
        raise InputError("profile looks at single steps: leave steps_per_dispatch out")
    profiler = Profiler(profile, console, kept=not limit_steps)
    with stoppable(), ExitStack() as stack:
        shared = Path(stack.enter_context(TemporaryDirectory()) if limit_steps else results) / config.name
        if config.distill.teacher and Path(config.distill.teacher).resolve() == shared.resolve():
            raise InputError(f"{shared} cannot teach itself: choose another --name for what it teaches")
        folder, writes = shared, processes.first()
        if not writes:  # but for checkpoints, what the others write is thrown away
            folder = Path(stack.enter_context(TemporaryDirectory())) / config.name
            console = Console(quiet=True)
        with processes.together():
            existed = folder.is_dir()
            if writes:
                check_folder(folder, resume, overwrite)  # before minutes go into reading data
            if existed:
                stack.enter_context(held(folder))
            start = starting_point(shared, config, restart_schedule) if resume else None
            schedule_from = start.record.schedule_from if start else 0
            plan = prepare(
                config, start=not (start and start.place), schedule_from=schedule_from, limit_steps=limit_steps
            )
            if not existed:
                stack.enter_context(held(folder))
        processes.agree("config", repr(config))
        processes.agree("data", repr(plan.facts))
        with processes.together():
            run = _begin(plan, folder, shared, start or Record(config, plan.facts, teacher=plan.teacher), overwrite)
        epochs = 1 if limit_steps else config.epochs
        _introduce(console, plan, start, epochs)
        with stop_requests() as stops:
            yield from _train(run, Stops(stops, stop_at), epochs, console, profiler)
        profiler.ended()
        try:
            return conclude(run, command, console, kept=not limit_steps)
        except Stop as stop:
            raise Stops([stop.number]).interrupted(run.done, run.shared) from None


def _begin(plan: Plan, folder: Path, shared: Path, start: Start | Record, overwrite: bool) -> Run:
    """The run in its folder, which is made ready; nothing in it changes before all that can be wrong is checked."""
    if isinstance(start, Record):
        open_run(folder, start, overwrite)
        return Run(plan, folder, shared)
    start = check_same(start, plan.facts, plan.teacher)
    run = Run(plan, folder, shared)
    if start.place:
        run.resume(start.place)
    if folder == shared:
        settle(folder, start)
    return run


def _train(
    run: Run, stops: Stops, epochs: int, console: Console, profiler: Profiler
) -> Generator[dict[str, Any], bool | None]:  # fmt: skip
    total = epochs * run.plan.steps_per_epoch
    config, (last_folder, best_folder) = run.plan.config, checkpoint.folders(run.shared)
    with (
        writer(last_folder, keep=2) as last,
        writer(best_folder, keep=1) if run.plan.dataset.validation else nullcontext() as best,
        writer(checkpoint.epochs(run.shared), len(config.keep_epochs)) if config.keep_epochs else nullcontext() as kept,
        reporting(console, config.task, epochs, total, run.done, run.judge) as report,
    ):
        if run.done:
            run.save(last, last)  # if it goes on from its best checkpoint, as none of the last is sound
        for epoch in range(run.done // run.plan.steps_per_epoch, epochs):
            if run.done == epoch * run.plan.steps_per_epoch and not run.patient():
                break
            with closing(profiler.batches(run, epoch, run.done - epoch * run.plan.steps_per_epoch)) as batches:
                _train_epoch(run, epoch, batches, stops, last, report)
            _finish_epoch(run, epoch, last, best, kept, report)
            enough = yield run.rows[-1]
            if stops.agreed():
                raise stops.interrupted(run.done, run.shared)
            if processes.any_of(bool(enough)):
                break


def _introduce(console: Console, plan: Plan, start: Start | None, epochs: int) -> None:
    for note in start.notes if start else ():
        tell(console, note)
    dataset, config = plan.dataset, plan.config
    train, test = len(dataset.train.labels), len(dataset.test.labels)
    kept = f", {len(dataset.validation.labels):,} validation" if dataset.validation else ""
    shape = times(plan.facts.input)
    tell(
        console,
        f"{config.network} on {dataset.name}: {train:,} training{kept} and {test:,} test images "
        f"of {shape}, {len(dataset.classes)} classes; epochs: {epochs} of {plan.steps_per_epoch:,} steps",
    )
    if config.distill.teacher:
        told = f"{config.distill.share:.0%} of the loss, at temperature {config.distill.temperature:g}"
        tell(console, f"taught by {config.distill.teacher}: {told}")
    for note in dataset.notes:
        tell(console, f"note: {note}")
    if baseline := config.task.baseline(dataset.test.labels, dataset.classes):
        tell(console, baseline)


def _train_epoch(
    run: Run, epoch: int, batches: Iterable[Batch], stops: Stops, last: Writer, report: Reporter
) -> None:  # fmt: skip
    config, per_epoch = run.plan.config, run.plan.steps_per_epoch
    first = run.done - epoch * per_epoch
    run.lower_rate(epoch)
    if first == 0:
        run.sums = jax.device_put(empty_sums(run.plan.recipe), run.steps.everywhere)
    key, recipe = epoch_key(config.seed, epoch), run.plan.recipe_at(epoch)
    shown, seen, every = 0.0, run.examples, config.log_every
    logged = jax.device_get(run.sums.sums) if every else {}
    index = first
    run.watch.start()
    for batch in batches:
        before = run.sums
        at_once = len(batch.ids) if batch.ids.ndim == 2 else 1
        index += at_once
        cold = (recipe, at_once) not in run.warm
        trained, begun = run.examples if cold else 0, time.perf_counter()
        run.state, run.sums = run.steps.train(run.state, run.sums, batch, key, recipe)
        jax.block_until_ready(before)  # one step ahead of the device, not a whole epoch
        now = time.perf_counter()
        if cold:  # it was compiled: neither the time nor the images count
            run.warm.add((recipe, at_once))
            seen += run.examples - trained
            run.watch.leave_out(time.perf_counter() - begun)
        elif now - shown > 0.25 or index == per_epoch:
            run.check_finite(last)
            speed = run.watch.speed(run.examples - seen)
            report.step(epoch + 1, epoch * per_epoch + index, run.metrics(), speed)
            shown = now
        if every and index % every == 0:
            run.check_finite(last)
            logged = run.log_steps(logged, min(every, index - first))
        if stops.agreed(index, per_epoch):
            run.check_finite(last)
            if index < per_epoch:
                run.save(last, last)
                raise stops.interrupted(run.done, run.shared)
        if config.checkpoint_every and index % config.checkpoint_every == 0 and index < per_epoch:
            run.check_finite(last)
            run.save(last, last)
    run.check_finite(last)
    run.watch.stop(run.examples - seen)


def _finish_epoch(
    run: Run, epoch: int, last: Writer, best: Writer | None, kept: Writer | None, report: Reporter
) -> None:  # fmt: skip
    config = run.plan.config
    row: dict[str, Any] = {"epoch": epoch + 1, "step": run.done} | of_split("train", run.metrics())
    run.require_finite(last)
    if (epoch + 1) % config.evaluate_every == 0 or epoch + 1 == config.epochs:
        row |= run.judged()
        if not math.isfinite(row[f"{run.judge}_loss"]):
            raise run.diverged(run.done - 1, f"the loss of the {run.judge} images", last)
    row |= {"learning_rate": run.rate(), "gradient_norm": run.gradient_norm()}
    row |= {"images_per_second": run.watch.speed(), "seconds": run.seconds()}
    run.rows.append(row)
    last.wait_until_finished()  # figures of two epochs say that a checkpoint was whole
    write_metrics(run.folder, run.rows)
    run.log(row)
    if kept and epoch + 1 in config.keep_epochs:
        run.save(kept, last)  # first: what is stopped in between does this epoch again
    run.save(last, last)
    if best and run.best() == epoch + 1:
        run.save(best, last)
    report.epoch(row)
