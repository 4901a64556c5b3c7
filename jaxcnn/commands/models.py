"""`jaxcnn models`: print the table of networks, or draw it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg, create_mutex_group

from jaxcnn.charts.screen import screen_width
from jaxcnn.commands.command import Command
from jaxcnn.commands.flags import Flag

FORMAT = create_mutex_group(required=False, title="formats")


@dataclass(frozen=True, kw_only=True)
class Models(Command):
    """List the networks, with what is known of them.

    In a narrow terminal the last columns are left out.
    """

    json: Annotated[Flag, FORMAT] = False
    """Print JSON."""
    csv: Annotated[Flag, FORMAT] = False
    """Print comma-separated values."""
    markdown: Annotated[Flag, FORMAT] = False
    """Print the README's table."""
    chart: Annotated[Path | None, FORMAT, arg(metavar="FILE")] = None
    """Draw accuracy against operations, the size of a bubble being the parameters, to a PNG, SVG or PDF file."""

    def run(self) -> int:
        """Print or draw what is asked for."""
        from jaxcnn.readings.models_table import as_csv, as_json, as_markdown, as_text, models_table
        from jaxcnn.readings.models_table.chart import draw

        table = models_table()
        if self.chart:
            print(f"{draw(table, self.chart)} networks drawn to {self.chart}")
        elif self.json:
            print(as_json(table))
        elif self.csv:
            print(as_csv(table))
        elif self.markdown:
            print(as_markdown(table))
        else:
            print(as_text(table, screen_width()))
        return 0
