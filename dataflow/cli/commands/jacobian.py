"""``dataflow jacobian``: the matrix of derivatives of a node."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, gather
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import clean, matrix_text
from dataflow.data.write_results import check_ending, labels, plain_numbers, write_matrix
from dataflow.errors import BackendError, DataError
from dataflow.model.model import Model
from dataflow.registry import registry
from dataflow.shapes import substitute

PRINTED = 600
"""The most entries that are printed as text."""
LIMIT = 2**33
"""The most bytes that a matrix may take."""


@click.command(
    "jacobian",
    cls=Command,
    epilog=example_text(
        "dataflow jacobian models/jacobian.toml --of f --wrt x",
        "dataflow jacobian models/xor.toml --of yhat --wrt W1,b1 --example 3 --json",
    ),
)
@common.model_argument
@click.option("--of", required=True, metavar="NODE", help="What is differentiated: any node.")
@common.wrt_option("With respect to these inputs, parameters or nodes", required=True)
@common.data_options
@parameters_option
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write the matrix to a file: .csv, .json or .npz.")
@common.backend_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    of: str,
    wrt: list[str],
    given: Given,
    output: Path | None,
    backend: str | None,
) -> None:
    """Print the Jacobian of a node of MODEL: a row for each of its entries, a column for each entry of --wrt.

    The names stand side by side in the order in which they are given. The entries of a matrix count row by row.
    """
    if output is not None:
        check_ending(output)
        common.check_outputs(output)
    if backend is not None and registry.backend(backend).name != "numpy":
        raise BackendError(f"Jacobians are computed by the backend 'numpy', not by '{backend}'; leave --backend out")
    with about(model_file):
        model = common.load_model(model_file)
        for name in (of, *wrt):
            model.graph.value(name)
        inputs = gather(session, model, given)
        notes = model.evaluate(of=of, wrt=wrt, data=inputs, kinks=True).warnings  # first, as it names a missing input
        shapes = _shapes(model, inputs, (of, *wrt))
        rows, columns = math.prod(shapes[of]), sum(math.prod(shapes[name]) for name in wrt)
        size = rows * columns * model.graph.node_of(of).dtype.itemsize
        if size > LIMIT:
            raise DataError(
                f"the Jacobian of '{of}' is {rows} x {columns}, which takes {size / 2**30:.0f} GiB; ask for one "
                "example with --example, or for fewer names with --wrt"
            )
        session.warn(*notes)
        matrix = model.jacobian(of=of, wrt=wrt, data=inputs)
    document = {"of": of, "wrt": wrt, "shape": [rows, columns]}
    down, across = labels(of, shapes[of]), [label for name in wrt for label in labels(name, shapes[name])]
    if output is not None:
        write_matrix(output, matrix, down, across, document)
    if session.as_json:
        session.print_json({**document, "jacobian": plain_numbers(matrix)})
        return
    session.say(f"Jacobian of {of} with respect to {', '.join(wrt)}: {rows} x {columns}")
    if 0 < matrix.size <= PRINTED:
        session.say("\n" + matrix_text(matrix, down, across))
    elif matrix.size and output is None:
        session.say("That is too large to print; --output FILE.csv, .json or .npz saves it, and --json prints it.")
    if output is not None:
        session.say(f"\nWrote it to {clean(output)}.")


def _shapes(model: Model, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    sizes = model.sizes_of(inputs)
    return {name: substitute(model.graph.node_of(name).shape, sizes) for name in names}
