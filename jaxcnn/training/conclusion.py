"""The end of a run: its figures, its result, its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.charts.curves import Curve, draw_curves
from jaxcnn.data.augment.views import Views
from jaxcnn.data.streamed import Streamed
from jaxcnn.host.machine import machine, versions
from jaxcnn.ops.native.status import status
from jaxcnn.training import checkpoint, manifest
from jaxcnn.training.progress import drawing, show_result, tell
from jaxcnn.training.run import Run, of_split
from jaxcnn.training.run_folder import fingerprint, write_result

if TYPE_CHECKING:
    from rich.console import Console

HOW_IT_TRAINED = (Curve("gradient_norm", "gradient norm"), Curve("learning_rate", "learning rate"))
PACKAGES = ("jaxcnn", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def _native() -> dict[str, Any]:
    """Whether the C++ program computed, or why not, and what its bits depend on."""
    here = status()
    return {"used": here.used, "reason": here.reason, "compiler": here.version, "threads": here.threads}


def _take_best(run: Run, console: Console) -> dict[str, Any]:
    """Go back to the best epoch, if validation images have chosen one; what the result says of it."""
    best = run.best()
    if best is None:
        return {}
    step = run.rows[best - 1]["step"]
    place = checkpoint.folders(run.shared)[1] / str(step)
    if step != run.done:
        if fault := manifest.fault(place):
            tell(console, f"{place} is damaged ({fault}): the figures are those of the last epoch")
            return {}
        (params, batch_stats), _ = checkpoint.read(place, run.state.model)
        run.state = run.state.replace(params=params, batch_stats=batch_stats, average=None)  # type: ignore[attr-defined]
    return {"best_epoch": best}


def conclude(run: Run, command: str, console: Console, kept: bool) -> dict[str, Any]:
    """Measure a run that is done, write result.json, draw, and show it; returns what result.json says."""
    plan, config = run.plan, run.plan.config
    seconds, speed = run.seconds(), run.rows[-1]["images_per_second"] if run.rows else 0.0
    done, chosen = run.done, _take_best(run, console)
    learned, fetch_learned = plan.dataset.train, run.fetch_train
    if isinstance(learned.images, Streamed) and len(learned.labels) > len(plan.dataset.test.labels):
        learned = plan.dataset.limited(len(plan.dataset.test.labels)).train  # all would be read once more
        fetch_learned, chosen = run.steps.fetch(learned), chosen | {"train_images": len(learned.labels)}
    train = run.evaluate(learned, fetch_learned, views=Views())
    judged = run.evaluate(plan.dataset.judging[1], run.fetch_judging)
    test, fetch_test = judged, run.fetch_judging
    if plan.dataset.validation:
        chosen |= of_split("validation", judged.metrics)
        fetch_test = run.steps.fetch(plan.dataset.test)
        test = run.evaluate(plan.dataset.test, fetch_test)
    if config.views.count > 1:
        chosen |= {"views": config.views.count}
        chosen |= of_split("test_one_view", run.evaluate(plan.dataset.test, fetch_test, views=Views()).metrics)
    result = {
        "name": config.name, "network": config.network, "dataset": plan.dataset.name, "seed": config.seed,
        "epochs": config.epochs, "steps": done,
        **of_split("train", train.metrics), **chosen, **of_split("test", test.metrics),
        "params_sha256": fingerprint(*run.state.model),
        "seconds": round(seconds, 2), "images_per_second": round(speed, 1),
        "versions": versions(PACKAGES), "machine": machine(), "native": _native(), "command": command,
    }  # fmt: skip
    write_result(run.folder, result)  # results first: no drawing can lose a run
    task, classes, size = config.task, plan.dataset.classes, len(plan.dataset.test.labels)
    title = f"{config.network} on {plan.dataset.name}: {task.headline(test.metrics)} of {size:,} test images"
    drawn = [Curve(m.key, m.axis, m.scale) for m in (task.loss, *task.metrics[:1])]
    pictures: list[str] = []
    with drawing(console):
        draw_curves(run.folder / "curves.png", run.rows, [*drawn, *HOW_IT_TRAINED], title)
        pictures = ["curves.png", *task.draw(run.folder, test.sums, classes, title)]
    files = [str(run.folder), "result.json", "metrics.jsonl", *pictures, "checkpoints/"]
    show_result(console, task, result, task.text(test.sums, classes), files if kept else [])
    return result
