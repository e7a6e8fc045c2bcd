"""Options of the commands that lay out a graph."""

from __future__ import annotations

import click

from dataflow.cli.common import F
from dataflow.draw.drawer import DIRECTIONS
from dataflow.draw.layout.engines import TIME_LIMIT


def layout_options(function: F) -> F:
    """Add ``--direction``, ``--engine`` and ``--time-limit``."""
    function = click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"Stop a layout that takes longer; {TIME_LIMIT:g} unless given.",
    )(function)
    function = click.option(
        "--engine", metavar="NAME", help="What lays out: dot, pygraphviz, graphviz-pure, or a program's path."
    )(function)
    return click.option(
        "--direction", type=click.Choice(DIRECTIONS), help="Top down (unless given; --style lecture: to the right)."
    )(function)
