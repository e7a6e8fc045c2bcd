"""``dataflow draw``: the picture of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.layout_options import layout_options
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.picture_files import check_targets, file_options, find_targets, is_stale, make_folder, stale_error
from dataflow.cli.step_options import check_steps, step_options
from dataflow.cli.terminal_text import clean
from dataflow.draw.build_picture import MOST_NODES
from dataflow.draw.drawer import THEMES, draw
from dataflow.draw.drawing import form_of
from dataflow.draw.option_conflicts import find_complaint
from dataflow.draw.picture.specs import LABELS, VALUES
from dataflow.draw.picture_styles import STYLES
from dataflow.draw.step_frames import DELAY
from dataflow.errors import counted


@click.command(
    "draw",
    cls=Command,
    epilog=example_text(
        "dataflow draw models/xor.toml -o xor.svg",
        "dataflow draw models/xor.toml --both --values --example 3 -o xor.svg",
        "dataflow draw models/xor.toml --style lecture --both --wrt W1 -o lecture.svg",
        "dataflow draw models/xor.toml --backward --wrt W1 --theme dark -o w1.png",
        "dataflow draw models/deep.toml --collapse residual --direction right -o deep.pdf",
        "dataflow draw models/xor.toml --both --values --frames-to slides",
        "dataflow draw models/*.toml --output-dir pictures --engine graphviz-pure --check",
    ),
)
@click.argument("model_files", metavar="MODEL...", type=FILE, nargs=-1, required=True)
@file_options
@click.option(
    "--style",
    type=click.Choice(list(STYLES)),
    help="The graph; or in a row, with both passes on the same nodes, as --both is drawn where it fits; or neurons.",
)
@click.option(
    "--neurons",
    is_flag=True,
    help="A circle for each unit of a chain of dense layers: --style neurons.",
)
@click.option("--backward", is_flag=True, help="The backward pass instead of the forward pass.")
@click.option("--both", is_flag=True, help="Both passes.")
@common.of_any_option
@common.wrt_option("Mark the path of these gradients, and what others share with it")
@click.option("--only", is_flag=True, help="Nothing but this path.")
@click.option(
    "--labels",
    type=click.Choice(LABELS),
    help="Shapes (of a graph unless given; dtypes only where they are mixed), both, numbers, or nothing.",
)
@click.option("--values", is_flag=True, help="Put the numbers in: --labels values.")
@click.option("--inner", is_flag=True, help="Show the nodes inside expressions, too.")
@click.option("--collapse", multiple=True, metavar="BLOCK", help="Fold a block, or one call of it.")
@click.option("--no-repeats", is_flag=True, help="Draw each repetition of a block and each node of a wide fan.")
@click.option(
    "--theme",
    type=click.Choice(THEMES),
    default="light",
    help="Light (unless given), dark, or as the page around an SVG.",
)
@common.notation_option
@click.option("--no-legend", is_flag=True, help="Without the explanation of the shapes.")
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Fold blocks, then layers, down to N nodes; {MOST_NODES} unless given, or what can be laid out soon.",
)
@click.option("--width", metavar="LENGTH", help="Make the picture no wider: 830px, 450pt, 16cm, 160mm or 6in.")
@click.option(
    "--min-font",
    metavar="LENGTH",
    help="Turn, break and fold the picture until no text is smaller at --width; in pt unless it has a unit.",
)
@step_options
@layout_options
@common.data_options
@parameters_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    /,
    model_files: tuple[Path, ...],
    neurons: bool,
    output: Path | None,
    output_dir: Path | None,
    ending: str | None,
    check: bool,
    no_repeats: bool,
    no_legend: bool,
    at_step: int | None,
    all_steps: bool,
    frames_to: Path | None,
    frame_format: str | None,
    frame_delay: float | None,
    given: Given,
    **chosen: Any,
) -> None:
    """Draw each MODEL: its forward pass, its backward pass, or both.

    Inputs, parameters, ops, losses and cotangents differ by their shapes, so that no colour is needed. The same file
    gives the same bytes. Graphviz lays pictures out if it is installed; otherwise a layout engine that
    comes with dataflow does. PDF needs Graphviz or the extra [render].
    """
    if neurons and chosen["style"] not in (None, "neurons"):
        raise click.UsageError(f"take either --neurons or --style {chosen['style']}")
    chosen["style"] = "neurons" if neurons else chosen["style"]
    complaint = find_complaint({**chosen, "no_repeats": no_repeats}, on_command_line=True)
    if complaint is not None:
        raise click.UsageError(complaint)
    targets = find_targets(model_files, output, output_dir, ending, frames_to, check)
    first = next(iter(targets.values()))
    form = None if first is None else form_of(first)
    check_steps(form, at_step, all_steps, frames_to, frame_format, frame_delay)
    if not check:
        check_targets(list(targets.values()))
    answers: list[dict[str, Any]] = []
    stale = []
    chosen = {**chosen, "wrt": chosen["wrt"] or (), "fold_repeats": not no_repeats, "legend": not no_legend}
    for model_file, target in targets.items():
        with about(model_file):
            model = common.load_model(model_file)
            has_data = chosen["values"] or chosen["labels"] == VALUES or given.file is not None or bool(given.settings)
            inputs = gather(session, model, given, whole=True) if has_data else None
            drawing = draw(model, **chosen, example=given.example, data=inputs)
            if at_step is not None:
                drawing = drawing.at_step(at_step)
            frames, delay = drawing.frames(), DELAY if frame_delay is None else frame_delay
            written = [] if frames_to is None else frames.save_to(frames_to, frame_format or "svg")
            plays = all_steps or form == "gif"
            if check and target is not None and form is not None:
                if is_stale(target, frames.render(form, delay=delay) if plays else drawing.render(form)):
                    stale.append(target)
            elif target is not None:
                make_folder(target)
                session.warn(*(frames.save(target, delay=delay) if plays else drawing.save(target)))
        nodes, edges = len(drawing.picture.nodes), len(drawing.picture.edges)
        answer = {"file": None if target is None else str(target), "format": form, "nodes": nodes, "edges": edges}
        answers.append(answer | ({} if frames_to is None else {"frames": [str(path) for path in written]}))
        what = f"{counted(nodes, 'node')} and {counted(edges, 'edge')} of '{model.name}'"
        if frames_to is not None:
            session.say(f"Wrote {counted(len(written), 'frame')} of {what} to {clean(frames_to)}.")
        if target is not None and not check:
            session.say(f"Wrote {what} to {clean(target)}.")
    if session.as_json:
        document = answers[0] if output_dir is None else {"pictures": answers}
        document |= {"out_of_date": [str(path) for path in stale]} if check else {}
        session.print_json({**document, "warnings": session.take()})
    if stale:
        raise stale_error(stale)
    if check:
        count = len(answers)
        session.say("The picture is up to date." if count == 1 else f"All {count} pictures are up to date.")
