"""The run that teaches another one, as a config names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError, input_errors
from jaxcnn.layout import Shape, check_same_parameters, times
from jaxcnn.tasks import Classification
from jaxcnn.training.run_folder import fingerprint, read_run
from jaxcnn.training.teacher import Lessons, Teacher
from jaxcnn.training.trained import trained
from jaxcnn.zoo import NETWORKS


def lessons_of(
    config: TrainConfig, classes: tuple[str, ...], shape: Shape, others: Sequence[Shape] = ()
) -> Lessons | None:  # fmt: skip
    """The teacher that the config names, or none.

    Raises InputError where it cannot teach these classes on images of `shape`, (H, W, C), and of the `others`.
    """
    wanted = config.distill
    if wanted.teacher is None:
        return None
    folder = Path(wanted.teacher)
    was, facts = read_run(folder)
    teacher = f"the teacher {folder}"
    if not isinstance(was.task, Classification):
        raise InputError(f"{teacher} has learned {was.task.kind()}: one for distill.teacher has learned classification")
    if facts.classes != classes:
        raise InputError(
            f"{teacher} tells other classes apart than {config.data.source}: {_unlike(facts.classes, classes)}"
        )
    if facts.input != shape:
        raise InputError(
            f"{teacher} takes images of {times(facts.input)}, not of {times(shape)}: give it the same data.size"
        )
    if wanted.network not in (None, was.network):
        raise InputError(f"the network of {teacher} is {was.network}, not distill.network {wanted.network}")
    if was.network not in NETWORKS and was.network not in (wanted.network, config.network):
        raise InputError(
            f"the network of {teacher} is {was.network}, code that is not jaxcnn's and would be run: say "
            f"--distill.network {was.network} if you trust it"
        )
    run = trained(folder, trust=True)  # as the person has named what there is to trust
    for other in others:
        with input_errors(f"data.train_sizes: {teacher} cannot take images of {times(other)} too"):
            check_same_parameters(run.net, shape, other)
    arrays = run.params, run.batch_stats
    return Lessons(Teacher(run.net, facts.mean, facts.std, wanted), arrays, fingerprint(*arrays))


def knowing(config: TrainConfig) -> list[str]:
    """What is said of runs that this one builds upon, and that may have learned from the fold that is to judge it."""
    if not config.data.folds:
        return []
    cut = "source", "test_fraction", "train_fraction", "split_seed", "folds", "fold"  # what says where the fold is
    folders = [Path(run) for run in (config.distill.teacher, config.weights) if run]
    runs = {folder: read_run(folder)[0].data for folder in folders if (folder / "config.json").is_file()}
    return [
        f"{folder} may have learned from images of the fold, whose figures are then too good"
        for folder, data in runs.items()
        if any(getattr(data, name) != getattr(config.data, name) for name in cut)
    ]


def _unlike(there: tuple[str, ...], here: tuple[str, ...]) -> str:
    """In what two lists of classes differ first."""
    if len(there) != len(here):
        return f"{len(there)} there and {len(here)} here"
    number, *names = next((n, *pair) for n, pair in enumerate(zip(there, here, strict=True)) if pair[0] != pair[1])
    return f"number {number} is {names[0]!r} there and {names[1]!r} here"
