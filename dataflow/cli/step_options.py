"""Options of pictures that are built up step by step."""

from __future__ import annotations

from pathlib import Path

import click

from dataflow.cli.command import refuse, together
from dataflow.cli.common import FILE
from dataflow.draw.step_frames import DELAY, FRAME_FORMATS, ONE_FILE

step_options = together(
    click.option(
        "--at-step",
        type=click.IntRange(min=0),
        metavar="K",
        help="The state after K steps: node by node forward, then backward. The rest is pale.",
    ),
    click.option(
        "--steps",
        "all_steps",
        is_flag=True,
        help="All steps in FILE: an .svg that plays, a .pdf with a page for each; a .gif needs no --steps.",
    ),
    click.option("--frames-to", type=FILE, metavar="DIR", help="Write each step: frame-000.svg and so on."),
    click.option(
        "--frame-format", type=click.Choice(FRAME_FORMATS), help="The format of these frames; svg unless given."
    ),
    click.option(
        "--frame-delay",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help=f"How long an .svg or .gif shows a step; {DELAY:g} unless given.",
    ),
)
"""``--at-step``, ``--steps``, ``--frames-to``, ``--frame-format`` and ``--frame-delay``."""


def check_steps(
    form: str | None,
    at_step: int | None,
    all_steps: bool,
    frames_to: Path | None,
    frame_format: str | None,
    frame_delay: float | None,
) -> None:
    """A ``UsageError`` for options that do not go with each other. ``form`` is the format of ``-o``."""
    plays = form == "gif" or (all_steps and form == "svg")
    refuse(
        (at_step is not None and all_steps, "take either --at-step or --steps"),
        (at_step is not None and frames_to is not None, "take either --at-step or --frames-to"),
        (at_step is not None and form == "gif", "a GIF holds all steps; leave --at-step out, or take another format"),
        (all_steps and form not in ONE_FILE.values(), f"--steps goes with -o FILE{', FILE'.join(ONE_FILE)}"),
        (frame_format is not None and frames_to is None, "--frame-format goes with --frames-to"),
        (frame_delay is not None and not plays, "--frame-delay goes with a GIF, or an SVG with --steps"),
    )
