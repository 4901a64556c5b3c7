"""`jaxcnn models`: print the table of networks, or draw it."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxcnn.analysis import screen_width
from jaxcnn.models_table import as_csv, as_json, as_markdown, as_text, models_table
from jaxcnn.models_table.chart import draw

_FORMATS = {"json": as_json, "csv": as_csv, "markdown": as_markdown}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `jaxcnn models`."""
    parser.description = "List the networks. In a narrow terminal the last columns are left out."
    formats = parser.add_mutually_exclusive_group()
    for name, what in {"json": "JSON", "csv": "comma-separated values", "markdown": "the README's table"}.items():
        formats.add_argument(f"--{name}", dest="format", action="store_const", const=name, help=f"print {what}")
    chart = "draw accuracy against operations, the size of a bubble being the parameters, to a PNG, SVG or PDF file"
    formats.add_argument("--chart", type=Path, metavar="FILE", help=chart)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    table = models_table()
    if arguments.chart:
        print(f"{draw(table, arguments.chart)} networks drawn to {arguments.chart}")
    elif arguments.format:
        print(_FORMATS[arguments.format](table))
    else:
        print(as_text(table, screen_width()))
    return 0
