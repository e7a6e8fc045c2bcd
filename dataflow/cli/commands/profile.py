"""``dataflow profile``: what a step costs, before it runs and after."""

from __future__ import annotations

from pathlib import Path

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.progress import show_chunks
from dataflow.cli.terminal_text import clean
from dataflow.cli.train_options import declared_option
from dataflow.profiling import profile
from dataflow.profiling.profiler import ROUNDS
from dataflow.profiling.text import passes_text, profile_text
from dataflow.support.figures import check_plot


@click.command(
    "profile",
    cls=Command,
    epilog=example_text(
        "dataflow profile models/digits.toml",
        "dataflow profile models/xor.toml --no-run --passes",
        "dataflow profile models/digits.toml --roofline",
        "dataflow profile models/digits.toml --by op --batch-size 256 --plot digits.svg",
        "dataflow profile models/shakespeare/shakespeare.toml --cut 4 --no-run",
    ),
)
@common.model_argument
@declared_option("batch_size", "The first N examples; the file's unless given.")
@click.option("--forward", is_flag=True, help="The outputs alone: no loss, no backward pass, no update.")
@common.of_option
@common.names_option
@click.option("--by", type=click.Choice(["instruction", "node", "op"]), default="instruction", help="What is a row.")
@click.option("--no-run", is_flag=True, help="Only what is known before running.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=ROUNDS, metavar="N", help=f"Measure N times; {ROUNDS} unless given."
)
@click.option("--passes", is_flag=True, help="How the plan is made: what each pass does, the plan before and after.")
@click.option(
    "--roofline",
    is_flag=True,
    help="Measure what the machine reaches, too: what limits each row, compute or memory, and the share reached.",
)
@click.option(
    "--cut",
    type=click.IntRange(min=1),
    metavar="K",
    help="Cut the graph into K parts of consecutive nodes for workers in a row: the heaviest as light as possible, "
    "then as little traffic as possible.",
)
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
    roofline: bool,
    cut: int | None,
    plot: Path | None,
    backend: str | None,
    memory_limit: str | None,
    threads: int | None,
    given: Given,
) -> None:
    """Measure what one step of training MODEL costs: forward pass, backward pass, update; or what the gradient of --of
    with respect to --wrt costs.

    Multiplications, other operations, bytes and memory are exact, and known before anything runs; then the step is
    timed, whole and op by op. A product, quotient, sum, comparison or function of entries is one operation; bytes are
    those read and written.
    """
    if plot is not None:
        check_plot(plot, "drawing a profile")
        common.check_outputs(plot)
    with about(model_file):
        model = common.load_model(model_file)
        inputs = gather(session, model, given)
        with show_chunks(session, "measuring") as progress:
            costs = profile(
                model,
                data=inputs if inputs or model.data is not None else None,
                batch_size=batch_size,
                forward=forward,
                of=of,
                wrt=wrt,
                backend=backend or "numpy",
                threads=threads,
                memory_limit=memory_limit,
                run=not no_run,
                rounds=rounds,
                roofline=roofline,
                cut=cut,
                progress=progress,
            )
    if plot is not None:
        costs.plot(plot)
    if session.as_json:
        session.print_json(costs.plain() | {"warnings": session.take()})
        return
    session.say(profile_text(costs, by))
    if passes:
        session.say(f"\n{passes_text(costs)}")
    if plot is not None:
        session.say(f"\nWrote {clean(plot)}.")
