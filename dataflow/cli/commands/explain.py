"""``dataflow explain``: the chain rule, factor by factor."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text, refuse
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import clean, clean_lines
from dataflow.data.write_results import dump
from dataflow.errors import DataError
from dataflow.explain import derivation_forms as forms
from dataflow.explain import latex
from dataflow.explain.explainer import explain
from dataflow.explain.explanation import Explanation
from dataflow.explain.html_page import page
from dataflow.explain.json_document import document
from dataflow.explain.latex_lines import LINE
from dataflow.explain.markdown import markdown
from dataflow.explain.symbolic import Derivation, derive
from dataflow.explain.text import frames, text
from dataflow.support.atomic import replace_file
from dataflow.support.lengths import parse_length
from dataflow.support.text_tables import fit_lines, line_width, lines_within
from dataflow.support.texts import shorten

SHORTEST = 80
"""The shortest line in points."""
FORMATS = ("text", "markdown", "json", "latex", "html")


def _parse_width(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Read a width such as ``140pt`` or ``5.4cm``, in points."""
    if value is None:
        return None
    try:
        points = parse_length(value).points
    except DataError as error:
        raise click.BadParameter(str(error), ctx, option) from None
    if points < SHORTEST:
        raise click.BadParameter(f"{shorten(value)} is too short for a line; give at least {SHORTEST}pt", ctx, option)
    return points


@click.command(
    "explain",
    cls=Command,
    epilog=example_text(
        "dataflow explain models/xor.toml --wrt W1 --example 3",
        "dataflow explain models/xor.toml --example 3               every parameter, and what they share",
        "dataflow explain models/xor.toml --wrt W1 --format html --output w1.html",
        "dataflow explain models/xor-scalars.toml --wrt w1 --symbolic",
    ),
)
@common.model_argument
@common.of_any_option
@common.wrt_option("With respect to these inputs, parameters or nodes; every parameter unless given")
@click.option("--format", "form", type=click.Choice(FORMATS), help="The form; text unless given.")
@click.option("--standalone", is_flag=True, help="A LaTeX document, instead of a snippet for one that loads amsmath.")
@click.option(
    "--width",
    metavar="LENGTH",
    callback=_parse_width,
    help=f"Break lines of LaTeX and Markdown at this width, such as 140pt or 5.4cm; {LINE:g}pt unless given.",
)
@click.option("--inner", is_flag=True, help="A factor for each node inside an expression, too.")
@click.option("--step", is_flag=True, help="Factor by factor: Enter shows the next.")
@click.option(
    "--dense",
    is_flag=True,
    help="Explain matrices of over 16 MiB, and write those of over a million entries in JSON, too.",
)
@click.option(
    "--order",
    multiple=True,
    metavar="NAME,...",
    callback=common.split_names,
    help="Accumulate by eliminating the inner nodes in this order, and compare what that costs.",
)
@common.notation_option
@click.option("--symbolic", is_flag=True, help="The derivation in symbols; LaTeX unless --format is given.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write it to a file instead of printing it.")
@common.data_options
@parameters_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    of: str | None,
    wrt: list[str] | None,
    form: str | None,
    standalone: bool,
    width: float | None,
    inner: bool,
    step: bool,
    dense: bool,
    order: list[str] | None,
    notation: str,
    symbolic: bool,
    output: Path | None,
    given: Given,
) -> None:
    """Explain a gradient of MODEL: each factor of the chain rule with op, shape, structure and values, the products
    from the left as back-propagation takes them, the gradient, and what it costs.

    Of a batch the gradient is summed over the examples; --example takes one.
    """
    numeric = {"--inner": inner, "--dense": dense, "--order": order, "--step": step}
    form = _form(form, session.as_json, standalone, width, [name for name, value in numeric.items() if value], symbolic)
    line = LINE if width is None else width
    common.check_outputs(output)
    with about(model_file):
        model = common.load_model(model_file)
        inputs = gather(session, model, given, whole=True)
        if symbolic:
            if wrt is None or len(wrt) != 1:
                raise DataError("a derivation in symbols is with respect to one name; say which with --wrt")
            asked: dict[str, Any] = {"of": of, "wrt": wrt[0], "example": given.example, "notation": notation}
            written = _symbolic(derive(model, data=inputs, **asked), form, line)
            _give(session, latex.document(written) if standalone else written, form, output)
            return
        options: dict[str, Any] = {"example": given.example, "inner": inner, "order": order, "dense": dense}
        explanation = explain(model, of=of, wrt=wrt, data=inputs, notation=notation, **options)
        if form == "json":
            written = dump(document(explanation, dense=dense)) + "\n"
        elif form == "latex":
            written = latex.latex(explanation, standalone=standalone, line=line)
        elif form == "markdown":
            written = markdown(explanation, line)
        elif form == "html":
            written = page(explanation)
        else:
            with lines_within(line_width() if output is None else sys.maxsize):
                written = text(explanation)
    if form == "text" and step and output is None and not session.quiet:
        _walk(session, explanation)
        return
    if form == "text" and output is None:
        _show(session, written)
        return
    _give(session, written, form, output)


def _form(
    form: str | None, as_json: bool, standalone: bool, width: float | None, numeric: Sequence[str], symbolic: bool
) -> str:
    """The format; a ``UsageError`` where an option does not go with it. ``numeric`` are the options that were given for
    an explanation in numbers."""
    form = "json" if as_json else form or ("latex" if symbolic or standalone else "text")
    has_lines = form in ("latex", "markdown") and not standalone
    refuse(
        (
            standalone and form != "latex",
            f"--standalone makes a LaTeX document; it goes with --format latex, not with {form}",
        ),
        (
            width is not None and not has_lines,
            "--width is for lines of --format latex (without --standalone) and --format markdown",
        ),
        ("--step" in numeric and form != "text", f"--step goes with --format text, not with {form}"),
        (symbolic and form == "html", "--symbolic writes latex, markdown, text or json, not html"),
        *((symbolic, f"{name} is for an explanation in numbers; leave it out with --symbolic") for name in numeric),
    )
    return form


def _symbolic(derivation: Derivation, form: str, line: float) -> str:
    if form == "json":
        return dump(forms.derivation_document(derivation)) + "\n"
    if form == "markdown":
        return forms.derivation_markdown(derivation, line)
    if form == "text":
        return forms.derivation_text(derivation)
    return f"% {forms.where(derivation)}\n{forms.derivation_latex(derivation, line)}"


def _give(session: Session, written: str, form: str, output: Path | None) -> None:
    if output is None:
        written = clean_lines(written)
        click.echo(fit_lines(written) if form == "text" else written, nl=False)
        return
    replace_file(output, [written.encode()])
    session.say(f"Wrote it to {clean(output)}.")


def _walk(session: Session, explanation: Explanation) -> None:
    """Print one frame after each key; all at once if no terminal is there."""
    for number, frame in enumerate(frames(explanation)):
        if number and sys.stdin.isatty() and sys.stdout.isatty():
            click.pause("")
        _show(session, frame + "\n\n")


def _show(session: Session, written: str) -> None:
    """Print with headings and derivatives in colour on a terminal, plain elsewhere."""
    if session.quiet:
        return
    written = fit_lines(clean_lines(written))
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        click.echo(written, nl=False)
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text(written, end="")
    shown.highlight_regex(r"∂[^\s·=]+/∂[^\s·=]+", "cyan")
    shown.highlight_regex(r"(?m)^(── .*|(Factor|Path) \d+ of \d+|Gradient of .*|Multiplications.*|Note:)", "bold")
    Console(highlight=False).print(shown, soft_wrap=True, end="")
