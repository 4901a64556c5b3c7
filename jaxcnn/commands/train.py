"""`jaxcnn train`: train a network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from tyro.conf import Suppress, arg

from jaxcnn.commands.command import Command, Line, parse
from jaxcnn.commands.configs import find_config, read_config
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.named import search_working_folder
from jaxcnn.config import TrainConfig
from jaxcnn.host.durations import seconds
from jaxcnn.host.errors import InputError

BARE = Line("jaxcnn train", ())


@dataclass(frozen=True, kw_only=True)
class Train(Command):
    """Train a network, and write what came of it to RESULTS/NAME/.

    CONFIG is a Python file as those in configs/, or the name of one of them: `jaxcnn train fmnist_cnn`. The fields
    below change what it says. Without it, LeNet-5 learns scikit-learn's handwritten digits.
    """

    computes = lasting = True

    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)
    """What is trained, on what, how."""
    results: Path = Path("results")
    """The folder of all runs; this one goes to RESULTS/NAME/."""
    resume: Flag = False
    """Continue the run in that folder, to the same bits as if it had not been stopped."""
    restart_schedule: Flag = False
    """With --resume for more --epochs: the learning rate's schedule begins anew for those, and is not stretched."""
    overwrite: Flag = False
    """Discard the run in that folder."""
    seeds: int = 1
    """Train with so many seeds, from --seed on, to NAME_seed0, NAME_seed1, ..., and say their mean and spread."""
    folds: int = 0
    """Cross-validate: cut the training images into so many folds, the same share of every class in each, and train to
    NAME_fold1, NAME_fold2, ..., each tested on a fold that it has not learned from; say their mean and spread."""
    limit_steps: int = 0
    """A dry run: one epoch of so many steps, an evaluation of as many batches, and nothing is kept."""
    profile: int = 0
    """After the step that compiles, trace so many steps to RESULTS/NAME/profile/, and say where the time goes."""
    distributed: Flag = False
    """This is one of several processes that train together, each started with the same words: as Slurm, MPI, Kubernetes
    or a TPU pod say, or $JAX_COORDINATOR_ADDRESS, $JAX_NUM_PROCESSES and $JAX_PROCESS_ID."""
    stop_after: Annotated[str, arg(metavar="TIME")] = ""
    """Save the run and stop, with status 0, after so long, as 3h or 1h30m: for batch systems; --resume goes on."""
    report: Flag = False
    """At the end, write report.html, a page that tells the run, into its folder: as `jaxcnn report` does."""
    line: Suppress[Line] = BARE

    @classmethod
    def parse(cls, line: Line) -> Self:
        """The command that a line asks for; the config, which comes first, says what the fields are by default."""
        config, rest = configured(line)
        return parse(cls, rest, default=cls(config=config, line=line))

    def begin(self) -> None:
        """Join the other processes. Raises InputError where they do not find each other."""
        if self.distributed:
            from jaxcnn.training import processes

            if self.seeds != 1 or self.folds or self.profile or self.limit_steps:
                raise InputError(
                    "--distributed trains one run that is kept: leave out --seeds, --folds, --profile, --limit-steps"
                )
            processes.start()

    def run(self) -> int:
        """Train. Raises Failed where it cannot go on, Interrupted where it was stopped and saved."""
        from jaxcnn.training.loop import Diverged, Interrupted
        from jaxcnn.training.processes import first

        self._check_report()
        search_working_folder(self.config.network)
        search_working_folder(self.config.distill.network or "")
        try:
            done = self._fit()(
                self.config, results=self.results, resume=self.resume, overwrite=self.overwrite,
                restart_schedule=self.restart_schedule, limit_steps=self.limit_steps, profile=self.profile,
                stop_at=time.monotonic() + seconds(self.stop_after) if self.stop_after else math.inf,
                command=str(self.line),
            )  # fmt: skip
        except Diverged as error:
            if self.limit_steps:
                raise
            raise Diverged(f"{error} `jaxcnn replay {self.results / self.config.name}` lets it happen again.") from None
        except Interrupted as error:
            again = [word for word in self.line.arguments if word not in ("--overwrite", "--resume")]
            go_on = Line(self.line.program, (*again, "--resume"))
            raise Interrupted(f"{error}; go on with: {go_on}", error.code) from None
        if self.report and first():
            from jaxcnn.commands.report import write_report

            for name in _names(done):
                write_report(self.results / name / "report.html", self.results / name)
        return 0

    def _check_report(self) -> None:
        """Raise InputError, before hours of training, where there could be no report of it."""
        if not self.report:
            return
        from jaxcnn.report import check_template
        from jaxcnn.tasks import Classification

        check_template()
        if self.limit_steps:
            raise InputError("--limit-steps is a dry run, of which nothing is kept: leave out --report")
        if not isinstance(self.config.task, Classification):
            raise InputError(f"--report is of a network that tells classes, not of {self.config.task.kind()}")

    def _fit(self) -> Callable[..., Any]:
        """What trains as often as the options say."""
        from jaxcnn.training.folds import fit_folds
        from jaxcnn.training.loop import fit
        from jaxcnn.training.seeds import fit_seeds

        if self.folds and self.seeds != 1:
            raise InputError("--folds trains all folds with one seed: leave out --seeds, or give --seed N each time")
        if self.folds:
            return partial(fit_folds, folds=self.folds)
        return partial(fit_seeds, seeds=self.seeds) if self.seeds != 1 else fit


def _names(done: dict[str, Any]) -> list[str]:
    """The runs that training has ended with: one, or those of all seeds or folds."""
    for what in "seed", "fold":
        if numbers := done.get(f"{what}s"):
            return [f"{done['name']}_{what}{number}" for number in numbers]
    return [done["name"]]


def configured(line: Line) -> tuple[TrainConfig, Line]:
    """The config that a line begins with, or the default one, and the rest of the line. Raises InputError."""
    words = line.arguments
    if words and words[0].startswith("-") and any(word.endswith(".py") for word in words):
        raise InputError(f"the config comes first: {line.program} CONFIG --epochs 3")
    given = bool(words) and not words[0].startswith("-")
    config = read_config(find_config(words[0])) if given else TrainConfig()
    return config, Line(f"{line.program} [CONFIG]", words[given:])
