"""Several runs of one kind: one after the other, their mean and their spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.host.files import write_json
from jaxcnn.training.comparison import finished, spread
from jaxcnn.training.loop import fit
from jaxcnn.training.progress import tell
from jaxcnn.training.run_folder import read_run

if TYPE_CHECKING:
    from rich.console import Console


def fit_several(
    config: TrainConfig, what: str, numbers: range, changed: Callable[[int], TrainConfig], *, judged: str = "test",
    results: str | Path = "results", resume: bool = False, console: Console | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Train runs that differ in one thing, each to a folder NAME_WHATN, and write NAME_WHATs.json beside them.

    Args:
      config: what they have in common.
      what: in what they differ, as a word: "seed".
      numbers: of the runs, at least two.
      changed: the config of the run of a number; its name comes by itself.
      judged: how the images are called that the figures are of.
      results: the folder of all runs.
      resume: leave runs alone that are finished, and go on with that which is not.
      console: a `rich.console.Console`; by default one on standard output.
      options: others of `train`.

    Returns:
      What the file says: for each figure of the test images its mean, its standard deviation, and all values.

    Raises what `train` raises.
    """
    from rich.console import Console

    if options.get("limit_steps"):
        raise InputError(f"limit_steps is for a dry run, which is one of one {what}")
    if len(numbers) < 2:
        raise InputError(f"a spread is that of two {what}s or more, not of {len(numbers)}")
    console, results = console or Console(highlight=False), Path(results)
    found = []
    for number in numbers:
        run = replace(changed(number), name=f"{config.name}_{what}{number}")
        folder = results / run.name
        tell(console, f"\n{what} {number}, {len(found) + 1} of {len(numbers)}")
        begun = resume and (folder / "config.json").exists()
        if begun and (folder / "result.json").exists() and read_run(folder)[0] == run:
            found.append(finished(folder).result)
            tell(console, f"{folder} is finished")
            continue
        found.append(fit(run, results=results, resume=begun, console=console, **options))
    summary: dict[str, Any] = {"name": config.name, f"{what}s": list(numbers)}
    tell(console, f"\n{config.name}, {len(numbers)} {what}s, mean and standard deviation")
    for metric in (*config.task.metrics, config.task.loss):
        values = [result[f"test_{metric.key}"] for result in found if f"test_{metric.key}" in result]
        if values:
            mean, deviation, _ = spread(values)
            summary[f"test_{metric.key}"] = {"mean": mean, "deviation": deviation, "values": values}
            shown = f"{metric.text(mean)} ± {metric.text(deviation or 0.0)}"
            tell(console, f"{judged} {metric.label}: {shown} ({', '.join(map(metric.text, values))})")
    write_json(results / f"{config.name}_{what}s.json", summary)
    return summary
