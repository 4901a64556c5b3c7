"""Going back to where numbers ceased to be finite, and seeing it happen again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxcnn.data.batches import epoch_key
from jaxcnn.host.errors import InputError
from jaxcnn.training import checkpoint
from jaxcnn.training.diagnosis import all_finite, first_not_finite
from jaxcnn.training.plan import prepare
from jaxcnn.training.resuming import Start, check_same
from jaxcnn.training.run import DIVERGED, UPDATED, Run
from jaxcnn.training.run_folder import read_record
from jaxcnn.training.steps import empty_sums


class Replayed(NamedTuple):
    """What happened when the steps up to that one were trained again."""

    step: int
    from_step: int  # that of the checkpoint, or 0
    where: str  # in what the first number that is not finite was; empty where all are
    before: str  # what the file says of that


def replay(file: Path) -> Replayed:
    """Train again from the last checkpoint before a divergence up to its step, changing nothing on the disk.

    Args:
      file: `diverged.json` in the folder of a run, or that folder.

    Raises InputError where there is none, or the data are not those of the run.
    """
    file = file / DIVERGED if file.is_dir() else file
    told = _read(file)
    folder, bad = file.parent, int(told["step"])
    record = read_record(folder)
    place, _ = checkpoint.newest(checkpoint.folders(folder), bad)
    plan = prepare(record.config, start=place is None, schedule_from=record.schedule_from)
    check_same(Start(record, place), plan.facts, plan.teacher)
    run = Run(plan, folder)
    if place:
        run.restore(place)
    begun = run.done
    return Replayed(bad, begun, _trained(run, bad), str(told["where"]))


def _read(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_bytes())
        return {"step": int(told["step"]), "where": told["where"]}
    except FileNotFoundError:
        raise InputError(f"there is no {file}: a run whose numbers were not finite leaves it in its folder") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def _trained(run: Run, bad: int) -> str:
    """Train up to the end of a step; in what a number is not finite then, or nothing."""
    plan = run.plan
    for epoch in range(run.done // plan.steps_per_epoch, bad // plan.steps_per_epoch + 1):
        first, key, recipe = (
            run.done - epoch * plan.steps_per_epoch,
            epoch_key(plan.config.seed, epoch),
            plan.recipe_at(epoch),
        )
        run.lower_rate(epoch)
        if first == 0:
            run.sums = jax.device_put(empty_sums(plan.recipe), run.steps.everywhere)
        for batch in run.batches(epoch, first):
            run.state, run.sums = run.steps.train(run.state, run.sums, batch, key, recipe)
            if int(run.sums.bad_step) >= 0:  # and the state is that before the step
                return first_not_finite(recipe, run.state, batch, key, run.teacher)
            if run.done > bad:
                break
    if not all_finite((run.state.params, run.state.batch_stats)):
        return UPDATED
    judged = run.done % plan.steps_per_epoch == 0 and not math.isfinite(run.judged()[f"{run.judge}_loss"])
    return f"the loss of the {run.judge} images" if judged else ""
