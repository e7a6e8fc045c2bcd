"""``dataflow view``: a page in which a reader steps through a model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.layout_options import layout_options
from dataflow.cli.progress import show_progress
from dataflow.cli.terminal_text import clean
from dataflow.errors import DataflowError, counted
from dataflow.limits import allowance
from dataflow.viewer.pass_numbers import EXAMPLES_LIMIT, MOST_EXAMPLES
from dataflow.viewer.replay import FRAMES, Observer
from dataflow.viewer.server import Live, Server
from dataflow.viewer.settings import MOST_NODES
from dataflow.viewer.viewer import View, check_target, view


@click.command(
    "view",
    cls=Command,
    epilog=example_text(
        "dataflow view models/xor.toml -o xor.html                then open xor.html in a browser",
        "dataflow view models/composition.toml --of f -o composition.html",
        "dataflow view trained.msgpack -o trained.html            with the loss and the decision boundary",
        "dataflow view models/xor.toml --serve                    the page follows the file",
    ),
)
@common.model_argument
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write the page to FILE.html.")
@click.option("--serve", is_flag=True, help="Serve the page to this machine's browser; it follows the file.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port of --serve; any that is free unless given.",
)
@common.of_option
@common.names_option
@click.option(
    "--examples",
    type=click.IntRange(1, EXAMPLES_LIMIT),
    metavar="N",
    help=f"How many examples of the batch the page has; {MOST_EXAMPLES} unless given.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"At how many epochs the decision boundary is shown; {FRAMES} unless given. Training is repeated for them.",
)
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    default=MOST_NODES,
    metavar="N",
    help=f"Fold blocks, then layers, down to N nodes; {MOST_NODES} unless given.",
)
@click.option("--quiz", is_flag=True, help="Begin with a quiz: each number is asked for before it is shown.")
@common.notation_option
@layout_options
@common.data_options
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session, /, model_file: Path, output: Path | None, serve: bool, port: int, given: Given, **options: Any
) -> None:
    """Make a self-contained HTML page to step through MODEL: forward node by node, then back factor by factor, with
    every value, every cotangent and every local Jacobian.

    The page needs no network and can be sent by mail. It shows the derivative of the loss (or of --of) with respect to
    each parameter (or each --wrt), for some examples of the batch and for the batch as a whole. Of a trained model it
    shows the loss curve, and of one with two inputs the decision boundary over the epochs, for which the run is
    repeated from what the file keeps of it.
    """
    if (output is None) == (not serve):
        raise click.UsageError(
            f"say where the page goes: -o {model_file.stem}.html writes it, --serve shows it in a browser"
            if output is None
            else "take either -o or --serve"
        )
    if output is not None:
        check_target(output)
        common.check_outputs(output)

    def content_and_files() -> tuple[dict[str, Any], list[Path]]:
        page, files = _build(session, model_file, given, options)
        return page.content, files

    if output is None:
        here = copy_context()  # a server's threads have contexts of their own, without the options of this command
        _serve(session, Live(lambda: here.copy().run(content_and_files)), port)
    else:
        _write(session, _build(session, model_file, given, options)[0], output)


def _write(session: Session, page: View, output: Path) -> None:
    session.warn(*page.save(output))
    content = page.content
    steps, passes = len(content["forward"]) + len(content["factors"]), len(content["passes"])
    if session.as_json:
        sizes = {"bytes": len(page.html.encode()), "steps": steps, "passes": passes}
        session.print_json({"file": str(output), **sizes, "warnings": session.take()})
    else:
        session.say(f"Wrote a page of {counted(steps, 'step')} through '{content['title']}' to {clean(output)}.")


def _build(session: Session, model_file: Path, given: Given, options: Mapping[str, Any]) -> tuple[View, list[Path]]:
    """Make the page of the file as it is now; return it with the files that it was made from."""
    files = [model_file, *([] if given.file is None else [given.file])]
    with allowance("view"), about(model_file), show_progress(session) as progress:
        model = common.load_model(model_file)
        declared = None if model.data is None else model.data.path()
        files += [] if declared is None else [declared]
        inputs = gather(session, model, given, whole=True)
        options = {**options, "example": given.example, "direction": options["direction"] or "down"}
        return view(model, data=inputs, observer=Observer(progress.batch, progress.epoch), **options), files


def _serve(session: Session, live: Live, port: int) -> None:
    """Serve the page until Ctrl-C."""
    try:
        server = Server(live, port)
    except OSError as error:
        raise DataflowError(f"port {port} cannot be had ({error.strerror}); choose another with --port") from None
    session.flush()
    with server:
        if session.as_json:
            session.print_json({"address": server.address})
        else:
            click.echo(f"The page is at {clean(server.address)} and follows the file. Ctrl-C ends it.")
        sys.stdout.flush()
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            session.say("\nEnded.")
