"""``dataflow explain``: the chain rule, factor by factor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.common import FILE, about, example_text, gather
from dataflow.cli.group import Session
from dataflow.errors import DataError
from dataflow.explain.document import document
from dataflow.explain.explainer import explain
from dataflow.explain.explanation import Explanation
from dataflow.explain.latex import latex
from dataflow.explain.page import page
from dataflow.explain.symbolic import derive
from dataflow.explain.text import frames, text
from dataflow.files.atomic import replace_file
from dataflow.results import dump

FORMATS = ("text", "json", "latex", "html")


@click.command(
    "explain",
    epilog=example_text(
        "dataflow explain models/xor.toml --wrt W1 --example 3",
        "dataflow explain models/xor.toml --example 3               every parameter, and what they share",
        "dataflow explain models/xor.toml --wrt W1 --format html --output w1.html",
        "dataflow explain models/xor-scalars.toml --wrt w1 --symbolic",
    ),
)
@common.model_argument
@click.option("--of", metavar="NODE", help="What is differentiated: any node; the loss unless given.")
@click.option(
    "--wrt",
    metavar="NAME,...",
    callback=common.split_names,
    help="With respect to these inputs, parameters or nodes; every parameter unless given.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="The form; text unless given.")
@click.option("--inner", is_flag=True, help="A factor for each node inside an expression, too.")
@click.option("--step", is_flag=True, help="Factor by factor: Enter shows the next.")
@click.option(
    "--dense",
    is_flag=True,
    help="Explain matrices of over 16 MiB, and write those of over a million entries in JSON, too.",
)
@click.option(
    "--order",
    metavar="NAME,...",
    callback=common.split_names,
    help="Accumulate by eliminating the inner nodes in this order, and compare what that costs.",
)
@click.option("--symbolic", is_flag=True, help="The derivation in symbols, as LaTeX (extra [symbolic]).")
@click.option("--output", type=FILE, metavar="FILE", help="Write it to a file instead of printing it.")
@common.data_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    of: str | None,
    wrt: list[str] | None,
    form: str,
    inner: bool,
    step: bool,
    dense: bool,
    order: list[str] | None,
    symbolic: bool,
    output: Path | None,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Why a gradient of MODEL is what it is: each factor of the chain rule with op, shape, structure and values, the
    products from the left as back-propagation takes them, the gradient, and what it costs.

    Of a batch the gradient is summed over the examples; --example takes one.
    """
    form = "json" if as_json else form
    with about(model_file):
        model = common.load_model(model_file)
        given = gather(session, model, data_file, settings, None)
        if symbolic:
            if wrt is None or len(wrt) != 1:
                raise DataError("a derivation in symbols is with respect to one name; say which with --wrt")
            derivation = derive(model, of=of, wrt=wrt[0], example=example or 0, data=given)
            written = derivation.to_latex()
            if form == "json":
                written = dump({"of": derivation.of, "wrt": derivation.wrt, "latex": written}) + "\n"
            _give(session, written, output)
            return
        found = explain(model, of=of, wrt=wrt, example=example, inner=inner, order=order, dense=dense, data=given)
        if form == "json":
            written = dump(document(found, dense=dense)) + "\n"
        elif form == "latex":
            written = latex(found)
        elif form == "html":
            written = page(found)
        else:
            written = text(found)
    if form == "text" and step and output is None and not quiet:
        _walk(session, found)
        return
    if form == "text" and output is None:
        _show(session, written)
        return
    _give(session, written, output)


def _give(session: Session, written: str, output: Path | None) -> None:
    if output is None:
        click.echo(written, nl=False)
        return
    replace_file(output, [written.encode()])
    session.say(f"Wrote it to {output}.")


def _walk(session: Session, found: Explanation) -> None:
    """One frame after the other; where nobody can press a key, all at once."""
    for number, frame in enumerate(frames(found)):
        if number and sys.stdin.isatty() and sys.stdout.isatty():
            click.pause("")
        _show(session, frame + "\n\n")


def _show(session: Session, written: str) -> None:
    """On a terminal, with headings and derivatives in colour; plain where the output goes elsewhere."""
    if session.quiet:
        return
    if not sys.stdout.isatty():
        click.echo(written, nl=False)
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text(written, end="")
    shown.highlight_regex(r"∂[^\s·=]+/∂[^\s·=]+", "cyan")
    shown.highlight_regex(r"(?m)^(── .*|(Factor|Path) \d+ of \d+|Gradient of .*|Multiplications.*|Note:)", "bold")
    Console(highlight=False).print(shown, soft_wrap=True, end="")
