"""``dataflow check``: the file, the shapes, and the gradients against finite differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.analysis.gradient_check import (
    EXAMPLES,
    GradientReport,
    check_gradients,
    check_training,
    drawn_examples,
    some_examples,
)
from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text, refuse
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.gradient_report import (
    agreement,
    compared_together,
    fault_text,
    gradient_table,
    not_compared,
    report_document,
)
from dataflow.cli.group import Session
from dataflow.cli.learned_text import learned_text
from dataflow.cli.marking import check_report, mark
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.provenance_text import provenance, provenance_lines
from dataflow.cli.stream_options import check_stream_options, checked_stream, first_inputs, stream_options
from dataflow.cli.terminal_text import clean, left_out, missing_text, table
from dataflow.data.preparation.learned import Preparation
from dataflow.errors import DataError, DataflowError, counted
from dataflow.execution.forward import missing_inputs
from dataflow.files.msgpack.container import Report, verify_container
from dataflow.graph.node import INPUT
from dataflow.model.asked import lacking
from dataflow.model.digests import graph_digest, parameter_digest
from dataflow.model.model import Model
from dataflow.shapes import format_shape, substitute

ROWS = 300

DRAWN = "The model is checked on three examples of numbers that are drawn."


@click.command(
    "check",
    cls=Command,
    epilog=example_text(
        "dataflow check models/xor.toml",
        "dataflow check models/jacobian.toml --of f --wrt x",
        "dataflow check models/xor.toml --against mine.json    which mistake gives these gradients?",
    ),
)
@common.model_argument
@common.data_options
@stream_options
@parameters_option
@common.of_option
@common.names_option
@click.option(
    "--against",
    type=FILE,
    metavar="FILE|FOLDER",
    help="Your own gradients, or parameters (.json, .npz, .csv): are they right, and if not, which mistake gives them? "
    "Of a folder, each file is an answer.",
)
@click.option(
    "--after",
    type=click.IntRange(min=1),
    metavar="N",
    help="The file of --against holds parameters after N epochs of the training that the model declares.",
)
@click.option(
    "--report",
    "report_file",
    type=FILE,
    metavar="FILE.csv",
    help="Write a row for each answer of --against: who, how many are right and wrong, which mistake.",
)
@common.backend_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    given: Given,
    stream: bool | None,
    chunk_rows: int | None,
    on_error: str | None,
    of: str | None,
    wrt: list[str] | None,
    against: Path | None,
    after: int | None,
    report_file: Path | None,
    backend: str | None,
) -> None:
    """Check MODEL: that the file is sound, that shapes are what they should be, and that gradients are right.

    Checksums are verified if the format has them, and the run that made a trained file is printed, as is what the
    training rows teach of the data. The gradients of the loss (of each output, without a loss) with respect to every
    parameter (every input, without parameters) are compared with central finite differences in float64 and, with the
    extra [symbolic], with an evaluation of 50 digits that uses no derivative rule. Where ops have another body in
    training, such as dropout, the gradient of a minibatch in training is checked too. Entries at a kink are left out,
    because the derivative there is a convention. The exit status is 1 if a gradient is wrong.

    Faults of the data are all said in one error, and the model is checked all the same, on numbers that are drawn.
    With --stream the data, or a folder of it, is read piece by piece and need not fit into memory: the faults of all
    rows are counted, and gradients are checked on the first examples.

    Of a large model, gradients are compared one by one as far as the work allows, and all others together, along
    one direction that moves all of them; a warning says so.

    With --against, your own numbers are checked instead: each parameter's gradient, or each parameter after some
    epochs. Wrong numbers are compared with those that known mistakes of learners give; a mistake that gives exactly
    these numbers is named, and of a folder of answers there is a table.
    """
    chooses = of is not None or wrt is not None or backend is not None
    refuse(
        (after is not None and against is None, "--after needs the numbers: --against FILE"),
        (report_file is not None and against is None, "--report is of answers: --against FILE or FOLDER"),
        (
            against is not None and chooses,
            "--against checks the gradients of the loss; leave out --of, --wrt and --backend",
        ),
    )
    check_stream_options(stream, chunk_rows, on_error)
    refuse((bool(stream) and against is not None, "--against takes data in memory; leave out --stream"))
    if report_file is not None and against is not None:
        check_report(report_file, against)
        common.check_outputs(report_file)
    with about(model_file):
        model = common.load_model(model_file)
        container = verify_container(model_file) if model_file.suffix.lower() == ".msgpack" else None
        streamed, fault = None, None
        try:
            if stream:
                streamed = checked_stream(session, model, given, chunk_rows, on_error)
                inputs, fault = first_inputs(model, given, streamed)
            else:
                inputs = gather(session, model, given, whole=against is not None)
        except DataError as error:
            inputs, fault = _drawn(model, error), error
        if fault is not None and against is not None:
            raise fault
        if against is not None:
            mark(session, model, against, after, inputs, given.example, report_file)
            return
        result = model.evaluate(data=inputs)
        session.warn(*result.warnings)
        shapes = {
            name: result.values[name].shape if name in result.values else node.shape
            for name, node in model.graph.node_items()
        }
        examples = some_examples(model.graph, {name: result.values[name] for name in inputs})
        if any(examples[name].size < result.values[name].size for name in inputs):
            session.warn(f"gradients are checked on the first {EXAMPLES} examples")
        questions = _questions(session, model, of, wrt, result.values)
        reports = [check_gradients(model, target, names, examples, backend) for target, names in questions]
        session.warn(
            *(text for report in reports for text in report.kinks), *filter(None, map(compared_together, reports))
        )
        in_training = [check_training(model, names, examples) for target, names in questions if target == model.loss]
        reports += [report for report in in_training if report is not None]
        source = model.own_source() if given.file is None else model.data
        labels = {} if source is None else source.labels
        if streamed is not None:
            source, labels = streamed.source, streamed.labels
            shapes = {name: node.shape for name, node in model.graph.node_items()}
        learned = None if source is None else source.learned
    if fault is not None:
        session.say(f"The data cannot be used, as is said below. {DRAWN}\n")
    if session.as_json:
        session.print_json(_document(session, model, model_file, shapes, container, learned, reports))
    else:
        session.say(f"{_heading(model, model_file)}\n\n{_shape_table(model, shapes)}")
        if learned:
            session.say(f"\n{learned_text(learned, labels)}")
        for report in reports:
            session.say(f"\n{gradient_table(report)}")
        if reports and all(report.ok for report in reports):
            session.say(agreement(reports))
        session.say(f"\n{_identity(model, container)}")
    for report in reports:
        if not report.ok:
            session.end(f"{model_file}: {fault_text(report)}")
    if fault is not None:
        raise fault


def _drawn(model: Model, fault: DataError) -> dict[str, np.ndarray]:
    """Numbers that are drawn, in the place of data that has a fault. The fault itself where that is not of a file of
    data, or the model cannot take such numbers."""
    if fault.file is None:
        raise fault
    drawn = drawn_examples(model.graph)
    try:
        model.evaluate(data=drawn)
    except DataflowError:  # its parameters have widths of the data, or an op takes other numbers
        raise fault from None
    return drawn


def _questions(
    session: Session, model: Model, of: str | None, wrt: list[str] | None, values: Mapping[str, Any]
) -> list[tuple[str, list[str]]]:
    """Choose the gradients to check. Those that lack an input are left out with a warning, unless asked for."""
    graph = model.graph
    if of is not None:
        asked = [graph.value(of).name]
    else:
        asked = [model.loss] if model.loss is not None else [x for x in model.outputs if graph.spec(x).is_float]
    names = wrt if wrt is not None else list(model.parameters)
    if not names:
        names = [name for name in graph.names(INPUT) if graph.spec(name).is_float and name in values]
    questions = []
    for target in asked:
        missing = missing_inputs(graph, graph.schedule([target]), values).get(target, [])
        if missing and of is not None:
            raise lacking(model.data, target, missing)
        if missing:
            session.warn(f"the gradient of '{target}' was not checked: '{target}' is {missing_text(missing)}")
        elif names:
            questions.append((target, names))
    if not asked:
        session.warn("no gradient was checked: the model has neither a loss nor outputs; say of which node with --of")
    elif not names and not session.warnings:
        session.warn("no gradient was checked: the model has no parameter, and no input of floats is given")
    return questions


def _heading(model: Model, path: Path) -> str:
    scalars = sum(math.prod(substitute(model.graph.node_of(name).shape, {})) for name in model.parameters)
    counts = f"{counted(len(model.graph), 'node')}, {counted(scalars, 'scalar parameter')}"
    return f"{clean(path)}: '{model.name}', {counts}, {model.graph.dtype}"


def _identity(model: Model, container: Report | None) -> str:
    """What the file is, and which run made it: for whoever compares files, below all else."""
    lines = []
    if container is not None:
        tensors = counted(len(container.tensors), "tensor")
        size = counted(container.size, "byte")
        lines.append(f"container   version {container.version}, {size}, {tensors}: checksums are right")
    if (manifest := provenance(model)) is not None:
        lines += provenance_lines(manifest)
    lines.append(f"graph       {graph_digest(model)}")
    lines.append(f"parameters  {parameter_digest(model)}")
    return "\n".join(lines)


def _shape_table(model: Model, shapes: Mapping[str, Any]) -> str:
    nodes = list(model.graph.node_items())
    rows = [(name, node.op or node.kind, format_shape(shapes[name]), node.dtype.name) for name, node in nodes[:ROWS]]
    return table(("node", "op", "shape", "dtype"), rows) + left_out(len(nodes) - ROWS, "node")


def _document(
    session: Session,
    model: Model,
    path: Path,
    shapes: Mapping[str, Any],
    container: Report | None,
    learned: Preparation | None,
    reports: list[GradientReport],
) -> dict[str, Any]:
    return {
        "model": str(path),
        "ok": all(report.ok for report in reports),
        "graph_sha256": graph_digest(model),
        "parameters_sha256": parameter_digest(model),
        "training": provenance(model),
        "learned": None if learned is None else learned.plain(),
        "container": None if container is None else asdict(container),
        "nodes": {
            name: {
                "op": node.op or node.kind,
                "shape": [size if isinstance(size, int) else str(size) for size in shapes[name]],
                "dtype": node.dtype.name,
            }
            for name, node in model.graph.node_items()
        },
        "gradients": [report_document(report) for report in reports],
        "not_compared": not_compared(reports),
        "warnings": session.take(),
    }
