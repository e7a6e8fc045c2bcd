"""``dataflow check``: the file, the shapes, and the gradients against finite differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dataflow.check import (
    EXAMPLES,
    Fault,
    GradientCheck,
    GradientReport,
    check_gradients,
    some_examples,
)
from dataflow.cli import common
from dataflow.cli.against import compare
from dataflow.cli.common import FILE, about, example_text, gather
from dataflow.cli.group import Session
from dataflow.cli.provenance import provenance, provenance_lines
from dataflow.cli.text import counted, listed, missing_text, table
from dataflow.digests import graph_digest, parameter_digest
from dataflow.errors import DataError
from dataflow.evaluate import missing_inputs
from dataflow.files.container import Report, verify_container
from dataflow.graph import INPUT
from dataflow.model import Model
from dataflow.results import plain_numbers
from dataflow.shapes import format_shape

ROWS = 300


@click.command(
    "check",
    epilog=example_text(
        "dataflow check models/xor.toml",
        "dataflow check models/jacobian.toml --of f --wrt x",
        "dataflow check models/xor.toml --against mine.json    which mistake gives these gradients?",
    ),
)
@common.model_argument
@common.data_options
@common.of_option
@common.names_option
@click.option(
    "--against",
    type=FILE,
    metavar="FILE",
    help="Your own gradients, or parameters (.json, .npz, .csv): are they right, and if not, which mistake gives them?",
)
@click.option(
    "--after",
    type=click.IntRange(min=1),
    metavar="N",
    help="What --against names are parameters after N epochs, as the model's training is declared.",
)
@common.backend_option
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    data_file: Path | None,
    settings: Mapping[str, Any],
    example: int | None,
    of: str | None,
    wrt: list[str] | None,
    against: Path | None,
    after: int | None,
    backend: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check MODEL: that the file is sound, that shapes are what they should be, and that gradients are right.

    Checksums are verified where the format has them, and what a trained file says of where it comes from is
    printed. Gradients are those of the loss (of each output where there
    is none) with respect to every parameter (every input where there is none), compared with central finite
    differences in float64 and, with the extra [symbolic], with an evaluation of 50 digits that uses no derivative
    rule. Entries at which a kink is touched are left out: what the derivative is there is a convention. The exit
    status is 1 if a gradient is wrong.

    With --against, numbers that you worked out yourself are checked instead: each parameter's gradient, or each
    parameter after some epochs. Wrong ones are held against a catalogue of the mistakes that learners make; one that
    gives exactly these numbers is named.
    """
    if after is not None and against is None:
        raise click.UsageError("--after needs the numbers: --against FILE")
    if against is not None and (of is not None or wrt is not None or backend is not None):
        raise click.UsageError("--against checks the gradients of the loss; leave out --of, --wrt and --backend")
    with about(model_file):
        model = common.load_model(model_file)
        container = verify_container(model_file) if model_file.suffix.lower() == ".msgpack" else None
        given = gather(session, model, data_file, settings, example)
        if against is not None:
            compare(session, model, against, after, given, as_json)
            return
        result = model.evaluate(data=given)
        session.warn(*result.warnings)
        shapes = {
            name: result.values[name].shape if name in result.values else data["shape"]
            for name, data in model.graph.nodes(data=True)
        }
        examples = some_examples(model.graph, {name: result.values[name] for name in given})
        if any(examples[name].size < result.values[name].size for name in given):
            session.warn(f"gradients are checked on the first {EXAMPLES} examples")
        reports = [
            check_gradients(model, target, names, examples, backend)
            for target, names in _questions(session, model, of, wrt, result.values)
        ]
        session.warn(*(text for report in reports for text in report.kinks))
    if as_json:
        common.print_json(_document(session, model, model_file, shapes, container, reports))
    else:
        session.say(_summary(model, model_file, container))
        session.say(f"\n{_shape_table(model, shapes)}")
        for report in reports:
            session.say(f"\n{_gradient_table(report)}")
        if reports and all(report.ok for report in reports):
            session.say(_agreement(reports))
    for report in reports:
        if not report.ok:
            session.fail(f"{model_file}: {_fault_text(report)}")
            raise click.exceptions.Exit(1)


def _questions(
    session: Session, model: Model, of: str | None, wrt: list[str] | None, values: Mapping[str, Any]
) -> list[tuple[str, list[str]]]:
    """Which gradients to check; those that lack an input are left out with a warning, unless they were asked for."""
    graph = model.graph
    if of is not None:
        asked = [graph.value(of).name]
    else:
        asked = [model.loss] if model.loss is not None else [x for x in model.outputs if graph.spec(x).is_float]
    names = wrt if wrt is not None else list(model.parameters)
    if not names:
        names = [name for name in graph.names(INPUT) if graph.spec(name).is_float and name in values]
    found = []
    for target in asked:
        missing = missing_inputs(graph, target, values) if target not in values else []
        if missing and of is not None:
            raise DataError(f"'{target}' is {missing_text(missing)}; give it with --data or --set", node=target)
        if missing:
            session.warn(f"the gradient of '{target}' was not checked: '{target}' is {missing_text(missing)}")
        elif names:
            found.append((target, names))
    if not asked:
        session.warn("no gradient was checked: the model has neither a loss nor outputs; say of which node with --of")
    elif not names and not session.warnings:
        session.warn("no gradient was checked: there is neither a parameter nor an input of floats that is given")
    return found


def _summary(model: Model, path: Path, container: Report | None) -> str:
    scalars = sum(math.prod(map(int, model.graph.nodes[name]["shape"])) for name in model.parameters)
    counts = f"{counted(len(model.graph), 'node')}, {counted(scalars, 'scalar parameter')}"
    lines = [f"{path}: '{model.name}', {counts}, {model.graph.dtype}"]
    if container is not None:
        tensors = counted(len(container.tensors), "tensor")
        lines.append(
            f"container   version {container.version}, {container.size:,} bytes, {tensors}: checksums are right"
        )
    lines.append(f"graph       sha256 {graph_digest(model)}")
    lines.append(f"parameters  sha256 {parameter_digest(model)}")
    if (found := provenance(model)) is not None:
        lines += provenance_lines(found)
    return "\n".join(lines)


def _shape_table(model: Model, shapes: Mapping[str, Any]) -> str:
    nodes = list(model.graph.nodes(data=True))
    rows = [
        (name, str(data.get("op", data["kind"])), format_shape(shapes[name]), data["dtype"].name)
        for name, data in nodes[:ROWS]
    ]
    more = len(nodes) - len(rows)
    return table(("node", "op", "shape", "dtype"), rows) + (
        f"\n... and {counted(more, 'more node')}" if more > 0 else ""
    )


def _gradient_table(report: GradientReport) -> str:
    rows = []
    for check in report.checks:
        notes = [f"{check.kinks} at a kink"] if check.kinks else []
        notes += [f"{check.undecided} undecided"] if check.undecided else []
        notes += ["WRONG"] if check.faults else []
        digits = "" if not check.checked else "all" if math.isinf(check.digits) else f"{check.digits:.1f}"
        error = f"{check.error:.1e}" if check.checked else ""
        exact = check.precise_digits
        precise = "" if exact is None else "all" if math.isinf(exact) else f"{exact:.1f}"
        rows.append((check.wrt, f"{check.checked} of {check.size}", digits, error, precise, ", ".join(notes)))
    headers = (f"gradient of {report.of} wrt", "checked", "digits", "largest error", "with 50 digits", "")
    if not any(row[4] for row in rows):  # mpmath is not installed, or there is no such number
        return table((*headers[:4], ""), [(*row[:4], row[5]) for row in rows])
    return table(headers, rows)


def _agreement(reports: list[GradientReport]) -> str:
    checks = [check for report in reports for check in report.checks]
    if not any(check.checked for check in checks):
        return ""
    undecided = sum(check.undecided for check in checks)
    return "\nAll gradients agree" + (
        f", as far as they could be compared: {undecided:,} undecided." if undecided else "."
    )


def _fault_text(report: GradientReport) -> str:
    check = next(check for check in report.checks if check.faults)
    fault = max(check.faults, key=lambda fault: (fault.place is not None, _size(fault)))
    if fault.place is None:
        place = " along a direction"
    else:
        place = f" at {list(fault.place)}" if fault.place else ""
    others = [other.wrt for other in report.checks if other.faults and other is not check]
    also = f"; wrong too: {listed(others)}" if others else ""
    blame = (
        f"; the derivative rule of op '{report.blamed[1]}' at node '{report.blamed[0]}' is wrong"
        if report.blamed
        else ""
    )
    return (
        f"the gradient of '{report.of}' with respect to '{check.wrt}' is wrong{place}: {fault.expected:.9g} expected "
        f"(finite differences, give or take {fault.uncertainty:.0e}), {fault.found:.9g} found{blame}{also}"
    )


def _size(fault: Fault) -> float:
    difference = abs(fault.expected - fault.found)
    return difference if math.isfinite(difference) else math.inf


def _document(
    session: Session,
    model: Model,
    path: Path,
    shapes: Mapping[str, Any],
    container: Report | None,
    reports: list[GradientReport],
) -> dict[str, Any]:
    return {
        "model": str(path),
        "ok": all(report.ok for report in reports),
        "graph_sha256": graph_digest(model),
        "parameters_sha256": parameter_digest(model),
        "training": provenance(model),
        "container": None if container is None else asdict(container),
        "nodes": {
            name: {
                "op": data.get("op", data["kind"]),
                "shape": [size if isinstance(size, int) else str(size) for size in shapes[name]],
                "dtype": data["dtype"].name,
            }
            for name, data in model.graph.nodes(data=True)
        },
        "gradients": [
            {"of": report.of, "wrt": {check.wrt: _check_document(check) for check in report.checks}}
            for report in reports
        ],
        "warnings": session.take(),
    }


def _check_document(check: GradientCheck) -> dict[str, Any]:
    document = asdict(check)
    document.pop("wrt")
    document["digits"] = None if math.isinf(check.digits) else check.digits
    document["precise_digits"] = plain_numbers(check.precise_digits)
    document["error"] = plain_numbers(check.error)
    document["faults"] = [
        {
            "place": None if fault.place is None else list(fault.place),
            "expected": plain_numbers(fault.expected),
            "uncertainty": plain_numbers(fault.uncertainty),
            "found": plain_numbers(fault.found),
        }
        for fault in check.faults
    ]
    return document
