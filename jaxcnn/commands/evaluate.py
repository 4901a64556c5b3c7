"""`jaxcnn evaluate`: measure a trained network again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Annotated

from tyro.conf import arg

from jaxcnn.commands.command import Command
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.restored import Run, RunOptions, ViewOptions
from jaxcnn.host.errors import Failed, InputError, input_errors


@dataclass(frozen=True, kw_only=True)
class Evaluate(RunOptions, ViewOptions, Command):
    """Measure a trained network on its test images."""

    computes = True

    folder: Run
    """The folder of a run, such as results/digits, or its name."""
    source: Annotated[str | None, arg(help_behavior_hint="(default: the run's)")] = None
    """Other data than the run's: digits, idx:DIR, folder:PATH or tfds:NAME."""
    json: Flag = False
    """Print JSON."""

    def run(self) -> int:
        """Print accuracy, loss and confusion matrix."""
        import jax
        import optax
        from rich.console import Console

        from jaxcnn.data import load
        from jaxcnn.data.augment.views import Views
        from jaxcnn.layout import times
        from jaxcnn.tasks import Classification
        from jaxcnn.training.devices import compiled
        from jaxcnn.training.evaluation import Evaluation, evaluate
        from jaxcnn.training.steps import Recipe

        config, facts, net, params, batch_stats, checkpoint = self.restored(self.folder)
        dataset = load(replace(config.data, source=self.source) if self.source else config.data)
        images, size = dataset.test.images, len(dataset.test.labels)
        if images.shape[1:] != facts.input or dataset.classes != facts.classes:
            raise InputError(
                f"{dataset.name} has {len(dataset.classes)} classes of {times(images.shape[1:])} images, but "
                f"{self.folder} was trained on {times(facts.input)} in the {len(facts.classes)} classes "
                f"{', '.join(facts.classes[:20])}"
            )
        views = self.views()
        if views.count > 1 and not isinstance(config.task, Classification):
            raise InputError(
                f"{self.folder} has learned {config.task.kind()}: only classifiers are averaged over views"
            )

        def measured(views: Views) -> Evaluation:
            steps = compiled(Recipe(net, optax.identity(), facts.mean, facts.std, config.task, views=views))
            model = jax.device_put((params, batch_stats), steps.everywhere)
            batch_size = -(-config.batch_size // jax.device_count()) * jax.device_count()
            with input_errors():
                fetch = steps.fetch(dataset.test)
                return evaluate(steps.eval, config.task, model[0], model[1], size, batch_size, fetch)

        result = measured(views)
        if not math.isfinite(result.metrics["loss"]):
            raise Failed(
                f"the loss of {self.folder} on {size:,} test images is {result.metrics['loss']}: its network gives "
                "numbers that are not finite"
            )
        about = {"network": config.network, "checkpoint": checkpoint, "dataset": dataset.name, "images": size}
        about |= {"views": views.count}
        if self.json:
            tables = {name: value.tolist() for name, value in result.sums.items() if value.ndim}
            print(json.dumps(about | result.metrics | {"classes": dataset.classes} | tables, allow_nan=False))
            return 0
        console = Console(highlight=False, markup=False, soft_wrap=True)
        console.print(f"{config.network} ({checkpoint}) on {size:,} test images of {dataset.name}")
        console.print(config.task.told(result.metrics))
        if views.count > 1:
            console.print(f"the mean of {views.count} views; one alone: {config.task.told(measured(Views()).metrics)}")
        console.print()
        console.print(config.task.text(result.sums, dataset.classes))
        return 0
