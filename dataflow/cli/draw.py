"""``dataflow draw``: the picture of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.common import FILE, about, example_text, gather
from dataflow.cli.group import Session
from dataflow.cli.layout import layout_options
from dataflow.cli.text import counted
from dataflow.draw.build import MOST_NODES
from dataflow.draw.drawer import THEMES, draw
from dataflow.draw.drawing import form_of


@click.command(
    "draw",
    epilog=example_text(
        "dataflow draw models/xor.toml -o xor.svg",
        "dataflow draw models/xor.toml --both --values --example 3 -o xor.svg",
        "dataflow draw models/xor.toml --backward --wrt W1 --theme dark -o w1.png",
        "dataflow draw models/deep.toml --collapse residual --direction right -o deep.pdf",
    ),
)
@common.model_argument
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FILE", help="FILE.svg, .png, .pdf, .dot, .tex (TikZ) or .mmd."
)
@click.option("--backward", is_flag=True, help="The backward pass instead of the forward pass.")
@click.option("--both", is_flag=True, help="Both side by side, with the saved values between them.")
@click.option("--of", metavar="NODE", help="What is differentiated: any node; the loss unless given.")
@click.option(
    "--wrt",
    metavar="NAME,...",
    callback=common.split_names,
    help="Mark the path of these gradients, and what others share with it.",
)
@click.option("--values", is_flag=True, help="Put the numbers in.")
@click.option("--inner", is_flag=True, help="Show the nodes inside expressions, too.")
@click.option("--collapse", multiple=True, metavar="BLOCK", help="Fold a block, or one call of it; can be repeated.")
@click.option("--no-repeats", is_flag=True, help="Draw each repetition of a block, instead of one with ×12.")
@click.option(
    "--theme",
    type=click.Choice(THEMES),
    default="light",
    help="Light (unless given), dark, or as the page around an SVG.",
)
@click.option("--no-legend", is_flag=True, help="Without the explanation of the shapes.")
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Fold blocks, then layers, down to N nodes; {MOST_NODES} unless given, or what can be laid out soon.",
)
@layout_options
@common.data_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    output: Path,
    backward: bool,
    both: bool,
    of: str | None,
    wrt: list[str] | None,
    values: bool,
    inner: bool,
    collapse: tuple[str, ...],
    no_repeats: bool,
    direction: str,
    theme: str,
    no_legend: bool,
    max_nodes: int | None,
    engine: str | None,
    time_limit: float,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """The picture of MODEL: its forward pass, its backward pass, or both.

    Inputs, parameters, ops, losses and cotangents differ by their shapes, so that no colour is needed. The same file
    gives the same bytes. Pictures are laid out by Graphviz where it is installed, and by what comes with dataflow where
    it is not; PDF needs Graphviz or the extra [render].
    """
    if backward and both:
        raise click.UsageError("take either --backward or --both")
    form = form_of(output)
    with about(model_file):
        model = common.load_model(model_file)
        given = gather(session, model, data_file, settings, example) if values else None
        drawing = draw(
            model,
            backward=backward,
            both=both,
            of=of,
            wrt=wrt or (),
            values=values,
            inner=inner,
            collapse=collapse,
            fold_repeats=not no_repeats,
            direction=direction,
            theme=theme,
            legend=not no_legend,
            max_nodes=max_nodes,
            engine=engine,
            time_limit=time_limit,
            data=given,
        )
        session.warn(*drawing.save(output))
    nodes, edges = len(drawing.picture.nodes), len(drawing.picture.edges)
    if as_json:
        common.print_json(
            {"file": str(output), "format": form, "nodes": nodes, "edges": edges, "warnings": session.take()}
        )
    else:
        session.say(f"Wrote {counted(nodes, 'node')} and {counted(edges, 'edge')} of '{model.name}' to {output}.")
