"""Options of the commands that lay out a graph."""

from __future__ import annotations

import click

from dataflow.cli.command import together
from dataflow.draw.drawer import DIRECTIONS
from dataflow.draw.layout.engines import TIME_LIMIT

layout_options = together(
    click.option(
        "--direction", type=click.Choice(DIRECTIONS), help="Top down (unless given; --style lecture: to the right)."
    ),
    click.option(
        "--engine", metavar="NAME", help="What lays out: dot, pygraphviz, graphviz-pure, or a program's path."
    ),
    click.option(
        "--time-limit",
        type=click.FloatRange(min=0, min_open=True),
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"Stop a layout that takes longer; {TIME_LIMIT:g} unless given.",
    ),
)
