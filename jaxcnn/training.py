"""`fit`: from a config to a trained network and the folder that documents it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn import checkpoint, optimizer
from jaxcnn.config import TrainConfig
from jaxcnn.data import Dataset, Split, load
from jaxcnn.data.augment import channel_statistics
from jaxcnn.data.batches import Batch, epoch_key, epoch_order, gather, padded
from jaxcnn.errors import InputError, input_errors
from jaxcnn.layout import abstract, output_shape
from jaxcnn.progress import Reporter, Stopwatch, reporting, show_result
from jaxcnn.results import (
    Facts,
    draw_confusion,
    draw_curves,
    fingerprint,
    machine,
    open_run,
    read_metrics,
    versions,
    write_json,
    write_metrics,
)
from jaxcnn.steps import (
    Evaluation,
    Sums,
    Task,
    TrainState,
    empty_sums,
    eval_step,
    evaluate,
    first_not_finite,
    guarded_step,
    init_state,
    train_step,
)
from jaxcnn.zoo import create

__all__ = [
    "Diverged",
    "Interrupted",
    "Plan",
    "Task",
    "TrainState",
    "eval_step",
    "fit",
    "prepare",
    "train_step",
]


class Diverged(RuntimeError):
    """The loss or a gradient was not finite. The last good checkpoint is kept."""


class Interrupted(RuntimeError):
    """The run was asked to stop, and saved what it needs to go on. `code` is the exit status that says so."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Plan(NamedTuple):
    """A config with its data read and its network built: all that can be wrong has been checked."""

    config: TrainConfig
    dataset: Dataset
    facts: Facts
    task: Task
    steps_per_epoch: int


def prepare(config: TrainConfig) -> Plan:
    """Read the data, build the network and check that they fit. Writes nothing.

    Raises InputError: the data cannot be read, the network does not exist or cannot take the images.
    """
    if "classes" in config.network_options:
        raise InputError("network_options takes no classes: their number comes from the data")
    dataset = load(config.data)
    shape = dataset.train.images.shape[1:]
    with input_errors():
        net = create(config.network, classes=len(dataset.classes), **config.network_options)
    with input_errors(f"network {config.network!r} cannot take images of {'x'.join(map(str, shape))}"):
        abstract(net, shape)
        if output_shape(net, shape) != (len(dataset.classes),):
            raise ValueError(
                f"its output is {output_shape(net, shape)}, not one number for each of {len(dataset.classes)} classes"
            )
    size = len(dataset.train.labels)
    if config.batch_size > size:
        raise InputError(
            f"batch_size {config.batch_size} is larger than the {size} training images of {config.data.source}"
        )
    if config.batch_size % jax.device_count():
        raise InputError(
            f"batch_size {config.batch_size} must be a multiple of the {jax.device_count()} devices it is spread over"
        )
    mean, std = channel_statistics(dataset.train.images)
    mean, std = config.data.mean or mean, config.data.std or std
    if {len(mean), len(std)} != {shape[-1]}:
        raise InputError(
            f"data.mean and data.std need one number for each of {shape[-1]} channels, not {mean} and {std}"
        )
    steps_per_epoch = -(-size // config.batch_size)
    task = Task(
        net, optimizer.make(config.optimizer, steps_per_epoch, config.epochs), mean, std, config.loss,
        config.data.crop_padding, config.data.flip,
    )  # fmt: skip
    return Plan(config, dataset, Facts(dataset.classes, shape, mean, std), task, steps_per_epoch)


class _Compiled(NamedTuple):
    """The jitted steps, and the data on the device: one compilation for training and one for evaluation."""

    train: Callable[..., tuple[TrainState, Sums]]
    eval: Callable[..., Any]
    fetch: Callable[[Split], Callable[[np.ndarray, np.ndarray], Batch]]
    everywhere: NamedSharding


def compiled(task: Task) -> _Compiled:
    """Jit the steps of a task over all devices: batches are split along the `data` axis, the rest is copied."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    everywhere, split_up = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
    take = jax.jit(gather, out_shardings=split_up)

    def fetch(split: Split) -> Callable[[np.ndarray, np.ndarray], Batch]:
        return partial(take, *jax.device_put((split.images, split.labels), everywhere))

    train = jax.jit(partial(guarded_step, task=task), donate_argnums=(0,), out_shardings=everywhere)
    return _Compiled(train, jax.jit(partial(eval_step, task=task), out_shardings=everywhere), fetch, everywhere)


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """A list to which Ctrl-C and SIGTERM append their number; a second Ctrl-C stops at once."""
    received: list[int] = []

    def note(number: int, _: Any) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """The mutable part of `fit`: where the run is and what it has seen."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.steps = compiled(plan.task)
        self.fetch_train = self.steps.fetch(plan.dataset.train)
        self.fetch_test = self.steps.fetch(plan.dataset.test)
        state = init_state(plan.task, jax.random.fold_in(jax.random.key(plan.config.seed), 0), plan.facts.input)
        self.state, self.sums = jax.device_put((state, empty_sums()), self.steps.everywhere)
        self.rows: list[dict[str, Any]] = []
        self.watch = Stopwatch()
        self.before = 0.0

    @property
    def done(self) -> int:
        return int(self.state.step)

    def resume(self) -> None:
        state, sums = self.state, self.sums
        model = (state.params, state.batch_stats)
        (params, stats), (opt_state, step, sums) = checkpoint.restore(
            self.folder / "checkpoints" / "last", model, (state.opt_state, state.step, sums)
        )
        self.state, self.sums = TrainState(params, stats, opt_state, step), sums
        self.rows = read_metrics(self.folder, self.done)
        self.before = self.rows[-1]["seconds"] if self.rows else 0.0

    def save(self, checkpoints: Any) -> None:
        state = self.state
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
        return evaluate(self.steps.eval, self.state, len(split.labels), self.plan.config.batch_size, fetch)

    def check_finite(self, last: Any) -> None:
        """Raise Diverged if a step since the last check gave numbers that are not finite."""
        bad = int(self.sums.bad_step)
        if bad < 0:
            return
        epoch, within = divmod(bad, self.plan.steps_per_epoch)
        config, size = self.plan.config, len(self.plan.dataset.train.labels)
        ids, mask = next(padded(epoch_order(config.seed, epoch, size), config.batch_size, within))
        where = first_not_finite(self.plan.task, self.state, self.fetch_train(ids, mask), epoch_key(config.seed, epoch))
        last.wait_until_finished()
        kept = f"{self.folder}/checkpoints/last/{last.latest_step()}"
        none = last.latest_step() is None
        advice = "no checkpoint had been written yet" if none else f"the last good checkpoint is kept in {kept}"
        raise Diverged(
            f"step {bad} (epoch {epoch + 1}) gave numbers that are not finite, first in {where}; {advice}. "
            "A lower --optimizer.lr often helps."
        )


def fit(
    config: TrainConfig, *, results: str | Path = "results", resume: bool = False, overwrite: bool = False,
    command: str = "", console: Any = None,
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
    plan, folder = prepare(config), Path(results) / config.name
    open_run(folder, config, plan.facts, resume, overwrite)
    run = _Run(plan, folder)
    if resume:
        run.resume()
    _introduce(console, plan)
    total = config.epochs * plan.steps_per_epoch
    with (
        _stop_requests() as stops,
        checkpoint.manager(folder / "checkpoints" / "last") as last,
        checkpoint.manager(folder / "checkpoints" / "best") as best,
        reporting(console, config.epochs, total, run.done) as report,
    ):
        for epoch in range(run.done // plan.steps_per_epoch, config.epochs):
            _train_epoch(run, epoch, stops, last, report)
            _finish_epoch(run, epoch, last, best, report)
            if stops and run.done < total:
                raise _interrupted(run, stops)
    return _conclude(run, command, console)


def _introduce(console: Any, plan: Plan) -> None:
    dataset, config = plan.dataset, plan.config
    train, test = len(dataset.train.labels), len(dataset.test.labels)
    shape = "x".join(map(str, plan.facts.input))
    console.print(
        f"{config.network} on {dataset.name}: {train:,} training and {test:,} test images "
        f"of {shape}, {len(dataset.classes)} classes; {config.epochs} epochs of {plan.steps_per_epoch:,} steps",
        soft_wrap=True, markup=False,
    )  # fmt: skip


def _train_epoch(run: _Run, epoch: int, stops: list[int], last: Any, report: Reporter) -> None:
    config, per_epoch = run.plan.config, run.plan.steps_per_epoch
    first = run.done - epoch * per_epoch
    if first == 0:
        run.sums = jax.device_put(empty_sums(), run.steps.everywhere)
    order = epoch_order(config.seed, epoch, len(run.plan.dataset.train.labels))
    key = epoch_key(config.seed, epoch)
    shown, seen, compiling = 0.0, int(run.sums.examples), run.watch.images == 0
    if not compiling:
        run.watch.start()
    for index, (ids, mask) in enumerate(padded(order, config.batch_size, first), start=first + 1):
        before = run.sums
        run.state, run.sums = run.steps.train(run.state, run.sums, run.fetch_train(ids, mask), key)
        jax.block_until_ready(before)  # one step ahead of the device, not a whole epoch
        now = time.perf_counter()
        if compiling and index == first + 1:
            seen = int(run.sums.examples)
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
                run.save(last)
                raise _interrupted(run, stops)
        if config.checkpoint_every and index % config.checkpoint_every == 0 and index < per_epoch:
            run.check_finite(last)
            run.save(last)
    run.check_finite(last)
    run.watch.stop(int(run.sums.examples) - seen)


def _interrupted(run: _Run, stops: list[int]) -> Interrupted:
    name = signal.Signals(stops[0]).name
    return Interrupted(f"{name}: stopped and saved at step {run.done} in {run.folder}", 128 + stops[0])


def _finish_epoch(run: _Run, epoch: int, last: Any, best: Any, report: Reporter) -> None:
    config, count = run.plan.config, int(run.sums.examples)
    row: dict[str, Any] = {
        "epoch": epoch + 1,
        "step": run.done,
        "train_loss": float(run.sums.loss) / count,
        "train_accuracy": int(run.sums.correct) / count,
    }
    record = max((r["test_accuracy"] for r in run.rows if "test_accuracy" in r), default=-1.0)
    if (epoch + 1) % config.evaluate_every == 0 or epoch + 1 == config.epochs:
        test = run.evaluate(run.plan.dataset.test, run.fetch_test)
        row |= {"test_loss": test.loss, "test_accuracy": test.accuracy, "test_top5": test.top5}
    row |= {"images_per_second": run.watch.speed(), "seconds": run.seconds()}
    run.rows.append(row)
    write_metrics(run.folder, run.rows)
    run.save(last)
    if row.get("test_accuracy", -1.0) > record:
        run.save(best)
    report.epoch(row)


def _conclude(run: _Run, command: str, console: Any) -> dict[str, Any]:
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
        "versions": versions(), "machine": machine(), "command": command,
    }  # fmt: skip
    title = (
        f"{config.network} on {plan.dataset.name}: {test.accuracy:.2%} of {len(plan.dataset.test.labels):,} test images"
    )
    draw_curves(run.folder / "curves.png", run.rows, title)
    draw_confusion(run.folder / "confusion_matrix.png", test.confusion, plan.dataset.classes, title)
    write_json(run.folder / "result.json", result)
    show_result(console, result, test.confusion, plan.dataset.classes, run.folder)
    return result
