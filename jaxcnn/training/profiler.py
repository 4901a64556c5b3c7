"""Looking where the time of some training steps goes, while a run is on its way."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import jax

from jaxcnn.data.batches import Batch, epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.host.files import write_json
from jaxcnn.host.text import counted
from jaxcnn.training.progress import tell
from jaxcnn.training.run import Run
from jaxcnn.training.shares import Source, shares, sources, told
from jaxcnn.training.trace import read_trace, write_trace

if TYPE_CHECKING:
    from rich.console import Console

FOLDER = "profile"


class Profiler:
    """Traces some steps of a run, once, and says where their time went. It changes nothing of what is trained."""

    def __init__(self, steps: int, console: Console, *, kept: bool) -> None:
        """`kept`: write the trace into the run's folder, and do not only say what is in it."""
        if steps < 0:
            raise InputError(f"profile must be at least 1 step, or 0 for none, not {steps}")
        self._steps, self._console, self._kept = steps, console, kept

    def batches(self, run: Run, epoch: int, first: int) -> Generator[Batch]:
        """The batches of an epoch from its step number `first` on, for a caller who trains on each before the next.

        The first steps after the one that compiles are traced, as many as are wanted and the epoch has.
        """
        source = run.dispatches(epoch, first)
        compiling = 0 if run.warm else 1
        steps = min(self._steps, run.plan.steps_per_epoch - first - compiling)
        if steps < 1:
            yield from source
            return
        self._steps = 0
        yield from islice(source, compiling)
        with TemporaryDirectory() as place:
            tracing = self._start(place)
            try:
                for step in range(first + compiling + 1, first + compiling + steps + 1):
                    with jax.profiler.TraceAnnotation("next batch"):
                        batch = next(source)
                    with jax.profiler.StepTraceAnnotation("step", step_num=step):
                        yield batch
                jax.block_until_ready(run.sums)
                done = time.perf_counter()
            finally:
                if tracing:
                    tracing = self._stop()
            if tracing:
                with self._failures():
                    self._tell(Path(place), run, epoch, steps)
            run.watch.leave_out(time.perf_counter() - done)
        yield from source

    def ended(self) -> None:
        """Say so where the run is done and no step could be traced."""
        if self._steps:
            tell(self._console, "no step was traced: there was none after the one that compiles")

    def _start(self, place: str) -> bool:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # each call of a Python function would be slower, and in the way
        with self._failures():
            jax.profiler.start_trace(place, profiler_options=options)
            return True
        return False

    def _stop(self) -> bool:
        with self._failures():
            jax.profiler.stop_trace()
            return True
        return False

    def _tell(self, place: Path, run: Run, epoch: int, steps: int) -> None:
        events, recipe = read_trace(place), run.plan.recipe_at(epoch)
        given = next(run.batches(epoch, 0)), epoch_key(run.plan.config.seed, epoch), recipe
        program = run.steps.lower(run.state, run.sums, *given).compile().as_text() or ""
        name, found = sources(program, recipe.net, run.plan.facts.input)
        where = shares(events, name, found, steps)
        tell(
            self._console,
            told(where) if where else f"the trace of {counted(steps, 'step')} holds no operation of the training step",
        )
        if not self._kept:
            return
        folder = run.folder / FOLDER
        folder.mkdir(exist_ok=True)
        file = folder / "trace.json.gz"
        write_trace(file, events, {(name, operation): _label(operation, of) for operation, of in found.items()})
        if where:
            write_json(folder / "shares.json", where._asdict())
        tell(self._console, f"the trace of it, {file}, opens in https://ui.perfetto.dev")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """A trace that cannot be had is a line on the console: the training goes on."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            tell(self._console, f"the steps could not be traced: {type(error).__name__}: {reason}")


def _label(operation: str, source: Source) -> str:
    """An operation's name in the trace, after what it belongs to."""
    return f"{source.layer or source.kind}{' backward' if source.backward else ''}: {operation}"
