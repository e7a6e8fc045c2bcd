"""``dataflow profile``: what a step costs, before it runs and after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.common import FILE, about, example_text, gather
from dataflow.cli.group import Session
from dataflow.plot import check_plot
from dataflow.profiling import profile
from dataflow.profiling.profiler import ROUNDS
from dataflow.profiling.text import passes_text, profile_text


@click.command(
    "profile",
    epilog=example_text(
        "dataflow profile models/digits.toml",
        "dataflow profile models/xor.toml --no-run --passes",
        "dataflow profile models/digits.toml --by op --batch-size 256 --plot digits.svg",
    ),
)
@common.model_argument
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="The first N examples; the file's unless given."
)
@click.option("--forward", is_flag=True, help="The outputs alone: no loss, no backward pass, no update.")
@common.of_option
@common.names_option
@click.option("--by", type=click.Choice(["instruction", "node", "op"]), default="instruction", help="What is a row.")
@click.option("--no-run", is_flag=True, help="Only what is known before running.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=ROUNDS, metavar="N", help=f"Measure N times; {ROUNDS} unless given."
)
@click.option("--passes", is_flag=True, help="How the plan is made: what each pass does, the plan before and after.")
@click.option("--plot", type=FILE, metavar="FILE", help="A flame graph: FILE.svg, .png or .pdf.")
@common.backend_option
@common.resource_options
@common.data_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    batch_size: int | None,
    forward: bool,
    of: str | None,
    wrt: list[str] | None,
    by: str,
    no_run: bool,
    rounds: int,
    passes: bool,
    plot: Path | None,
    backend: str | None,
    memory_limit: str | None,
    threads: int | None,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """What one step of training MODEL costs: forward pass, backward pass, update; or the gradient of --of with respect
    to --wrt.

    Multiplications, other operations, bytes and memory are exact, and known before anything runs; then the step is
    timed, whole and op by op. A product, quotient, sum, comparison or function of entries is one operation; bytes are
    those read and written.
    """
    if plot is not None:
        check_plot(plot, "drawing a profile")
    with about(model_file):
        model = common.load_model(model_file)
        given = gather(session, model, data_file, settings, example)
        with _bar(quiet or no_run or not sys.stderr.isatty()) as progress:
            found = profile(
                model,
                data=given if given or model.data is not None else None,
                batch_size=batch_size,
                forward=forward,
                of=of,
                wrt=wrt,
                backend=backend or "numpy",
                threads=threads,
                memory_limit=memory_limit,
                run=not no_run,
                rounds=rounds,
                progress=progress,
            )
    if plot is not None:
        found.plot(plot)
    if as_json:
        common.print_json(found.plain() | {"warnings": session.take()})
        return
    session.say(profile_text(found, by))
    if passes:
        session.say(f"\n{passes_text(found)}")
    if plot is not None:
        session.say(f"\nWrote {plot}.")


@contextmanager
def _bar(silent: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error over the rounds."""
    if silent:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
