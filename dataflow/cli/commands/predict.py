"""``dataflow predict``: the outputs for each row of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.command import Command, example_text
from dataflow.cli.common import FILE, Given, about
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.terminal_text import clean, table
from dataflow.data.write_results import check_table_ending, table_rows, write_table
from dataflow.errors import counted
from dataflow.support.number_texts import number_text, without_negligible
from dataflow.support.texts import shorten

ROWS = 20
"""So many rows are printed."""


def _split_columns(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """Split the values of ``--columns`` at their commas."""
    return list(dict.fromkeys(name.strip() for text in values for name in text.split(",") if name.strip()))


@click.command(
    "predict",
    cls=Command,
    epilog=example_text(
        "dataflow predict houses.msgpack --data new.csv -o predictions.csv",
        "dataflow predict houses.msgpack --data new.csv --columns id,street",
        "dataflow predict digits.msgpack --data digits.csv.gz --json",
    ),
)
@common.model_argument
@common.table_options
@parameters_option
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write the rows: .csv, .json or .parquet; or arrays: .npz."
)
@click.option(
    "--columns",
    multiple=True,
    metavar="COLUMN,...",
    callback=_split_columns,
    help="Columns of the table that are carried over.",
)
@common.backend_option
@common.number_options
@common.output_options
@click.pass_obj
def command(
    session: Session,
    model_file: Path,
    given: Given,
    output: Path | None,
    columns: list[str],
    backend: str | None,
) -> None:
    """Predict with MODEL: its outputs for each row of the table, in the table's units.

    Standardized numbers are put back into the unit of the table that trained the model; where an output predicts
    classes, there is the class by name, and the probability of each. What is predicted need not be in the table. A row
    that missing = "drop" leaves out is empty. Without --data, the rows are those of the model's own data.
    """
    if output is not None:
        check_table_ending(output)
        common.check_outputs(output)
    with about(model_file):
        model = common.load_model(model_file)
        predictions = model.predict(given.file, columns=columns, backend=backend or "numpy", **given.settings)
        cells, arrays = predictions.columns(), predictions.arrays()
    if output is not None:
        write_table(output, cells, arrays)
    if session.as_json:
        session.print_json({"count": predictions.count, "rows": table_rows(cells), "warnings": session.take()})
        return
    if output is None:
        columns_of_text = [_texts(column) for column in cells.values()]
        session.say(table(tuple(cells), list(zip(*columns_of_text, strict=True))))
        if predictions.count > ROWS:
            session.say(f"... and {counted(predictions.count - ROWS, 'more row')}; -o FILE.csv or --json has all")
    else:
        session.say(f"Wrote {counted(predictions.count, 'row')} of {', '.join(map(clean, cells))} to {clean(output)}.")


def _texts(column: np.ndarray) -> list[str]:
    """The first cells of a column."""
    numbers = without_negligible(np.array([cell if isinstance(cell, float) else 0.0 for cell in column]))
    return [_text(cell, number) for cell, number in zip(column[:ROWS], numbers.tolist(), strict=False)]


def _text(cell: Any, number: float) -> str:
    return "" if cell is None else number_text(number) if isinstance(cell, float) else clean(shorten(str(cell), 40))
