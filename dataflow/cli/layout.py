"""The options of commands that lay a graph out."""

from __future__ import annotations

import click

from dataflow.cli.common import F
from dataflow.draw.drawer import DIRECTIONS
from dataflow.draw.engines import TIME_LIMIT


def layout_options(function: F) -> F:
    """``--direction``, ``--engine`` and ``--time-limit``."""
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
        "--direction", type=click.Choice(DIRECTIONS), default="down", help="Top down (unless given), or to the right."
    )(function)
