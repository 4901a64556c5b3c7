"""`jaxcnn summary`: print a network's layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import create_mutex_group

from jaxcnn.charts.screen import screen_width
from jaxcnn.commands.command import Command
from jaxcnn.commands.flags import Flag
from jaxcnn.commands.named import NetworkName, NetworkOptions
from jaxcnn.host.errors import input_errors

FORMAT = create_mutex_group(required=False, title="formats")


@dataclass(frozen=True, kw_only=True)
class Summary(NetworkOptions, Command):
    """Print a network's layers, shapes, parameters and operations.

    In a narrow terminal the last columns are left out.
    """

    network: NetworkName
    """A name that `jaxcnn models` lists, or module:function."""
    json: Annotated[Flag, FORMAT] = False
    """Print JSON."""
    csv: Annotated[Flag, FORMAT] = False
    """Print comma-separated values."""
    dot: Annotated[Flag, FORMAT] = False
    """Print a graph for Graphviz's dot."""

    def run(self) -> int:
        """Print the table, or the format that is asked for."""
        from jaxcnn.layout import times
        from jaxcnn.readings.picture import dot
        from jaxcnn.readings.summary import summary, summary_csv, summary_json

        net, _, shape = self.named(self.network)
        with input_errors(f"network {self.network!r} cannot take images of {times(shape)}"):
            if self.json:
                text = summary_json(net, shape)
            elif self.csv:
                text = summary_csv(net, shape)
            elif self.dot:
                text = dot(net, shape)
            else:
                text = summary(net, shape, screen_width())
        print(text)
        return 0
