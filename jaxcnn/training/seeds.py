"""The same run with several seeds: their mean and spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.config import TrainConfig
from jaxcnn.host.errors import InputError
from jaxcnn.host.files import write_json
from jaxcnn.training.comparison import finished, spread
from jaxcnn.training.loop import fit
from jaxcnn.training.progress import tell

if TYPE_CHECKING:
    from rich.console import Console


def fit_seeds(
    config: TrainConfig, seeds: int, *, results: str | Path = "results", resume: bool = False,
    console: Console | None = None, **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Train with the seeds from `config.seed` on, each to a folder NAME_seedN, and write NAME_seeds.json beside them.

    Args:
      config: what to train, on what, how.
      seeds: how many, at least 2.
      results: the folder of all runs.
      resume: leave runs alone that are finished, and go on with that which is not.
      console: a `rich.console.Console`; by default one on standard output.
      options: others of `train`.

    Returns:
      What NAME_seeds.json says: for each figure of the test images its mean, its standard deviation, and all values.

    Raises what `train` raises.
    """
    from rich.console import Console

    if options.get("limit_steps"):
        raise InputError("limit_steps is for a dry run, which is one of one seed")
    if seeds < 2:
        raise InputError(f"a spread is that of two seeds or more, not of {seeds}")
    console, results = console or Console(highlight=False), Path(results)
    found = []
    for seed in range(config.seed, config.seed + seeds):
        run = replace(config, name=f"{config.name}_seed{seed}", seed=seed)
        folder = results / run.name
        tell(console, f"\nseed {seed}, {len(found) + 1} of {seeds}")
        if resume and (folder / "result.json").exists():
            found.append(finished(folder).result)
            tell(console, f"{folder} is finished")
            continue
        begun = resume and (folder / "config.json").exists()
        found.append(fit(run, results=results, resume=begun, console=console, **options))
    summary: dict[str, Any] = {"name": config.name, "seeds": [result["seed"] for result in found]}
    tell(console, f"\n{config.name}, {seeds} seeds, mean and standard deviation")
    for metric in (*config.task.metrics, config.task.loss):
        values = [result[f"test_{metric.key}"] for result in found if f"test_{metric.key}" in result]
        if values:
            mean, deviation, _ = spread(values)
            summary[f"test_{metric.key}"] = {"mean": mean, "deviation": deviation, "values": values}
            shown = f"{metric.text(mean)} ± {metric.text(deviation or 0.0)}"
            tell(console, f"test {metric.label}: {shown} ({', '.join(map(metric.text, values))})")
    write_json(results / f"{config.name}_seeds.json", summary)
    return summary
