"""`jaxcnn lr`: find a learning rate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from tyro.conf import Suppress, arg

from jaxcnn.commands.command import Command, Line, parse
from jaxcnn.commands.named import search_working_folder
from jaxcnn.commands.train import configured
from jaxcnn.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Lr(Command):
    """Find a learning rate: train some steps with ever larger ones.

    CONFIG and the fields below it are those of `jaxcnn train`. The rate grows by the same factor at each step, until
    the loss is four times its best; nothing is kept. Where the loss still falls fast is a good rate (Smith 2017).
    """

    computes = True

    config: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)
    """What is trained, on what, how."""
    steps: int = 200
    """How many at most."""
    low: float = 1e-6
    """The rate of the first step."""
    high: float = 1.0
    """The rate of the last step."""
    picture: Annotated[Path | None, arg(metavar="FILE.png", help_behavior_hint="(default: none is drawn)")] = None
    """Draw the loss over the rate into a file."""
    line: Suppress[Line] = Line("jaxcnn lr", ())

    @classmethod
    def parse(cls, line: Line) -> Self:
        """The command that a line asks for; the config, which comes first, says what the fields are by default."""
        config, rest = configured(line)
        return parse(cls, rest, default=cls(config=config, line=line))

    def run(self) -> int:
        """Train, print and draw."""
        from jaxcnn.charts.curves import draw_rates
        from jaxcnn.training.find_rate import find_rate

        search_working_folder(self.config.network)
        found = find_rate(self.config, self.steps, self.low, self.high)
        every = max(1, len(found.rates) // 12)
        print("    rate    loss  smoothed")
        for rate, loss, smooth in list(zip(found.rates, found.losses, found.smoothed, strict=True))[::every]:
            print(f"{rate:8.1e}  {loss:6.3f}  {smooth:8.3f}")
        print(
            f"the loss is least at {found.best:.1e}; a tenth of it is a good rate: --optimizer.lr {found.best / 10:.1e}"
        )
        if self.picture:
            draw_rates(self.picture, found.rates, found.losses, found.smoothed, found.best / 10)
            print(f"drawn: {self.picture}")
        return 0
