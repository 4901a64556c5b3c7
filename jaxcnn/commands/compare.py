"""`jaxcnn compare`: runs beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from jaxcnn.commands.command import Command
from jaxcnn.commands.restored import found
from jaxcnn.host.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Compare(Command):
    """Compare runs: in what they differ, which is better, and by how much of the spread.

    Runs that differ in nothing but their seeds, or the folds that they are tested on, are taken together.
    """

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """The folders of runs, or their names: results/a results/b"""
    picture: Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="(default: none is drawn)")] = None
    """Draw the first figure of all runs over the epochs into a file."""

    def run(self) -> int:
        """Print tables, and draw."""
        from rich.console import Console
        from rich.table import Table

        from jaxcnn.charts.curves import draw_together
        from jaxcnn.training.comparison import apart, differences, finished, kinds, spread

        if len(self.runs) < 2:
            raise InputError("compare takes two runs or more, such as results/a results/b")
        runs = [finished(found(run)) for run in self.runs]
        groups, task = kinds(runs), runs[0].task
        if any(type(run.task) is not type(task) for run in runs):
            raise InputError("these runs learn different things, so that their figures cannot be compared")
        console = Console(highlight=False)
        settings = Table("", *(group.name for group in groups), title="in what they differ", title_justify="left")
        for name, values in differences(groups).items():
            settings.add_row(name, *("" if value is None else str(value) for value in values))
        if settings.row_count:
            console.print(settings)
        else:
            console.print(f"they differ in their {'folds' if runs[0].settings['data.folds'] else 'seeds'} alone")
        figures = Table("", *(group.name for group in groups), title="what came of it", title_justify="left")
        figures.add_row("runs", *(str(len(group.runs)) for group in groups))
        first = (*task.metrics, task.loss)[0]
        for metric in (*task.metrics, task.loss):
            for split in "validation", "test":
                values = [group.values(f"{split}_{metric.key}") for group in groups]
                if any(values):
                    cells = [_told(spread(each), metric) if each else "" for each in values]
                    figures.add_row(f"{split} {metric.label}", *cells)
        for name, form in ("seconds", "{:,.1f}"), ("images_per_second", "{:,.0f}"), ("steps", "{:,.0f}"):
            figures.add_row(name.replace("_", " "), *(form.format(spread(group.values(name)).mean) for group in groups))
        console.print(figures)
        sign = 1 if (first.key, 1) == task.best else -1
        if len(groups) > 1:
            spreads = {group.name: spread(group.values(f"test_{first.key}")) for group in groups}
            (best, one), (second, other), *_ = sorted(spreads.items(), key=lambda item: -sign * item[1].mean)
            distance = apart(one, other)
            how = "one run each, so that no spread is known" if distance is None else f"{distance:.1f} of the spread"
            gap = first.text(abs(one.mean - other.mean))
            console.print(f"{best} is better than {second} by {gap} of test {first.label}: {how}", soft_wrap=True)
        if self.picture:
            key = f"validation_{first.key}" if "best_epoch" in runs[0].result else f"test_{first.key}"
            lines = [(group.name, [run.rows for run in group.runs]) for group in groups]
            draw_together(self.picture, lines, key, f"{key.split('_')[0]} {first.axis}", first.scale)
            console.print(f"drawn: {self.picture}")
        return 0


def _told(figures, metric) -> str:
    mean = metric.text(figures.mean)
    return mean if figures.deviation is None else f"{mean} ± {metric.text(figures.deviation)}"
