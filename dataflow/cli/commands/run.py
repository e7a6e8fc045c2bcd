"""``dataflow run``: the value of every node, the gradients, the loss."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather, targets
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import array_text, clean, left_out, missing_text, named_text, room, table
from dataflow.data.write_results import check_ending, plain_numbers, write_outputs
from dataflow.errors import DataError, counted, listed
from dataflow.execution.forward import missing_inputs, non_finite_warnings
from dataflow.graph.node import CONSTANT, INPUT, OP, PARAMETER
from dataflow.model.asked import lacking
from dataflow.model.model import Evaluation, Model
from dataflow.shapes import format_shape

ROWS = 300
"""The most nodes and gradients that are printed."""


@click.command(
    "run",
    cls=Command,
    epilog=example_text(
        "dataflow run models/xor.toml",
        "dataflow run models/xor.toml --set 'x=[[1, 1]]' --json",
        "dataflow run models/perspectives.toml --of f --wrt x,y",
    ),
)
@common.model_argument
@common.data_options
@parameters_option
@common.of_option
@common.names_option
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write the outputs, a row per example: .csv, .json or .npz."
)
@common.backend_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    given: Given,
    of: str | None,
    wrt: list[str] | None,
    output: Path | None,
    backend: str | None,
) -> None:
    """Run MODEL: print the value of every node whose inputs are given, and the gradients.

    Gradients are those of the loss with respect to every parameter, or of the sum of --of with respect to --wrt. What
    lacks an input is "not computed". Where the derivative has a kink, a warning says which convention decides.
    """
    if output is not None:
        check_ending(output)
        common.check_outputs(output)
    with about(model_file):
        model = common.load_model(model_file)
        inputs = gather(session, model, given)
        result = evaluate(model, inputs, of, wrt, backend)
        session.warn(*result.warnings)
        loss = None if model.loss is None else result.values.get(model.loss)
        missing = {name: lacking for name, lacking in result.not_computed.items() if lacking}
        if model.loss in missing and not of:
            session.warn(f"the loss '{model.loss}' and its gradients are {missing_text(missing[model.loss])}")
        if output is not None:
            rows = _write(model, result, output)
    if session.as_json:
        order = [name for name in _order_nodes(model) if name in result.values]
        texts = {
            name: model.graph.as_texts(name, result.values[name]).tolist()
            for name in order
            if model.graph.has_texts(name)
        }
        session.print_json(
            {
                "values": {name: plain_numbers(result.values[name]) for name in order},
                **({"texts": texts} if texts else {}),
                "gradients": {name: plain_numbers(gradient) for name, gradient in result.gradients.items()},
                "loss": None if loss is None else plain_numbers(loss),
                "warnings": [*session.take(), *_list_missing(model, result)],
            }
        )
        return
    session.say(_node_table(model, result))
    if result.gradients:
        session.say(f"\n{_gradient_table(model, result)}")
    if model.loss is not None:
        name = "loss" if model.loss == "loss" else f"loss '{model.loss}'"
        value = f": {missing_text(missing[model.loss])}" if loss is None else f" = {array_text(loss, 0)}"
        session.say(f"\n{name}{value}")
    if output is not None:
        session.say(f"\nWrote {counted(rows, 'row')} of {listed(model.outputs)} to {clean(output)}.")


def evaluate(
    model: Model, inputs: Mapping[str, Any], of: str | None, wrt: list[str] | None, backend: str | None
) -> Evaluation:
    """Compute all values that can be computed, and the gradients of the loss, or of ``of`` with respect to ``wrt``."""
    asked = of is not None or wrt is not None
    target, names = targets(model, of, wrt)
    result = model.evaluate(of=target, wrt=names, data=inputs, kinks=True, everything=True)
    if target in result.not_computed:
        if asked:
            model.evaluate(of=target, wrt=names, data=inputs)  # says what is missing
        target, names = None, []
    return result if backend is None else _compute_with(backend, model, inputs, result, target, names)


def _compute_with(
    backend: str, model: Model, inputs: Mapping[str, Any], plain: Evaluation, of: str | None, wrt: list[str]
) -> Evaluation:
    """Compute the same values and gradients with another backend."""
    nodes = [name for name in plain.values if model.graph.node_of(name).kind == OP]
    values, gradients = model.compile(values=nodes, gradients=wrt, of=of, backend=backend)(data=inputs)
    together = {**plain.values, **values}
    non_finite = non_finite_warnings(model.graph, model.graph.schedule(), together)
    notes = list(dict.fromkeys([*non_finite, *plain.warnings]))
    return Evaluation(together, plain.not_computed, of, gradients, {}, plain.no_path, notes)


def _write(model: Model, result: Evaluation, output: Path) -> int:
    if not model.outputs:
        raise DataError('the model declares no outputs to write; name some, as outputs = ["NODE"] under [model]')
    for name in model.outputs:
        if name not in result.values:
            raise lacking(
                model.data, name, missing_inputs(model.graph, model.graph.schedule([name]), result.values)[name]
            )
    return write_outputs(output, {name: result.values[name] for name in model.outputs}, model.graph)


def _list_missing(model: Model, result: Evaluation) -> list[str]:
    """Write a line for each op that was not computed; the loss has one already."""
    return [
        f"'{name}' is {missing_text(inputs)}"
        for name, inputs in result.not_computed.items()
        if name != model.loss and model.graph.node_of(name).kind == OP
    ]


def _order_nodes(model: Model) -> list[str]:
    """Inputs, parameters, constants, then ops in the order in which they are computed."""
    graph = model.graph
    declared = [name for kind in (INPUT, PARAMETER, CONSTANT) for name in graph.names(kind)]
    return [*declared, *(name for name in graph.schedule() if graph.node_of(name).kind == OP)]


def _node_table(model: Model, result: Evaluation) -> str:
    graph = model.graph
    headers = ("node", "op", "shape", "dtype", "value")
    names = _order_nodes(model)
    cells = []
    for name in names[:ROWS]:
        node = graph.node_of(name)
        value = result.values.get(name)
        shape = format_shape(node.shape if value is None else value.shape)
        cells.append((name, node.op or node.kind, shape, node.dtype.name, ""))
    columns = room(headers, cells)
    rows = []
    for name, cell in zip(names, cells, strict=False):
        value = result.values.get(name)
        if value is not None:
            text = array_text(value, columns)
            if graph.has_texts(name):
                named = named_text(value, partial(graph.text_of, name), columns)
                text += f"\n{named}" if "\n" in text + named else f"  {named}"
        elif graph.node_of(name).kind == OP:
            text = missing_text(result.not_computed.get(name, []))
        else:
            text = "not given"
        rows.append((*cell[:4], text))
    return table(headers, rows) + left_out(len(names) - ROWS, "node")


def _gradient_table(model: Model, result: Evaluation) -> str:
    headers = (f"gradient of {_title_of(model, result)}", "shape", "value")
    names = list(result.gradients)
    cells = [(name, format_shape(result.gradients[name].shape), "") for name in names[:ROWS]]
    columns = room(headers, cells)
    rows = [(name, shape, _gradient_text(result, name, columns)) for name, shape, _ in cells]
    return table(headers, rows) + left_out(len(names) - ROWS, "gradient")


def _gradient_text(result: Evaluation, name: str, columns: int) -> str:
    text = array_text(result.gradients[name], columns)
    return f"{text}  (no path)" if name in result.no_path else text


def _title_of(model: Model, result: Evaluation) -> str:
    """``loss``, or ``sum(h)`` where what is differentiated has several entries."""
    of = str(result.of)
    single = np.size(result.values.get(of, np.zeros(()))) == 1
    return f"{of} wrt" if single else f"sum({of}) wrt"
