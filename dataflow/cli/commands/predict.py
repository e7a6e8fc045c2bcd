"""``dataflow predict``: the outputs for each row of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from dataflow.cli import common
from dataflow.cli.about import about
from dataflow.cli.command import Command, example_text, refuse
from dataflow.cli.common import FILE, Given
from dataflow.cli.group import Session
from dataflow.cli.parameters_option import parameters_option
from dataflow.cli.progress import show_chunks
from dataflow.cli.stream_options import check_stream_options, stream_options
from dataflow.cli.terminal_text import clean, left_out, table
from dataflow.data.write_results import check_stream_ending, check_table_ending, table_rows, write_pieces, write_table
from dataflow.errors import counted
from dataflow.model.model import Model
from dataflow.support.number_texts import number_text, without_negligible
from dataflow.support.texts import shorten

ROWS = 20
"""So many rows are printed."""


@click.command(
    "predict",
    cls=Command,
    epilog=example_text(
        "dataflow predict houses.msgpack --data new.csv -o predictions.csv",
        "dataflow predict houses.msgpack --data new.csv --columns id,street",
        "dataflow predict clicks.msgpack --data clicks/ --stream -o predictions.parquet",
        "dataflow predict digits.msgpack --data digits.csv.gz --json",
    ),
)
@common.model_argument
@common.table_options
@stream_options
@parameters_option
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write the rows: .csv, .json or .parquet; or arrays: .npz."
)
@click.option(
    "--columns",
    multiple=True,
    metavar="COLUMN,...",
    callback=common.split_names,
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
    stream: bool | None,
    chunk_rows: int | None,
    on_error: str | None,
    output: Path | None,
    columns: list[str] | None,
    backend: str | None,
) -> None:
    """Predict with MODEL: its outputs for each row of the table, in the table's units.

    Standardized numbers are put back into the unit of the table that trained the model; where an output predicts
    classes, there is the class by name, and the probability of each. What is predicted need not be in the table. A row
    that missing = "drop" leaves out is empty. Without --data, the rows are those of the model's own data.

    With --stream the table, or a folder of tables, is read piece by piece and need not fit into memory. The file with
    the predictions is there when all are written. With --on-error skip, a row with a cell that cannot be used is empty.
    """
    check_stream_options(stream, chunk_rows, on_error)
    if output is not None:
        (check_stream_ending if stream else check_table_ending)(output)
        common.check_outputs(output)
    carried = list(dict.fromkeys(columns or ()))
    with about(model_file):
        model = common.load_model(model_file)
        if stream:
            how = {"chunk_rows": chunk_rows, "on_error": on_error, "backend": backend or "numpy", **given.settings}
            _predict_stream(session, model, given.file, output, carried, how)
            return
        predictions = model.predict(given.file, columns=carried, backend=backend or "numpy", **given.settings)
        cells, arrays, types = predictions.columns(), predictions.arrays(), predictions.types()
    if output is not None:
        write_table(output, cells, arrays, types)
    if session.as_json:
        session.print_json({"count": predictions.count, "rows": table_rows(cells), "warnings": session.take()})
        return
    _say(session, cells, predictions.count, output, "-o FILE.csv or --json has all")


def _predict_stream(
    session: Session, model: Model, data: Any, output: Path | None, columns: list[str], how: dict[str, Any]
) -> None:
    """Predict piece by piece; of the predictions, the first rows alone stay."""
    refuse((session.as_json and output is None, "--json would hold all rows of a stream; write them: -o FILE"))
    first: dict[str, np.ndarray] = {}
    count = 0
    with show_chunks(session, "predicting") as on_chunk:
        pieces = model.predict(data, columns=columns, stream=True, on_chunk=on_chunk, **how)
        types: dict[str, np.dtype] = {}

        def cells() -> Iterator[dict[str, np.ndarray]]:
            nonlocal count
            for piece in pieces:
                found = piece.columns()
                if not first:
                    types.update({**piece.types(), **pieces.types})
                if count < ROWS:
                    for name, column in found.items():
                        first[name] = np.concatenate([first.get(name, column[:0]), column[: ROWS - count]])
                count += piece.count
                yield found

        if output is None:
            for _ in cells():
                pass
        else:
            write_pieces(output, cells(), types)
    if session.as_json:
        session.print_json({"count": count, "file": str(output), "warnings": session.take()})
    else:
        _say(session, first, count, output, "-o FILE.csv has all")


def _say(session: Session, cells: Mapping[str, np.ndarray], count: int, output: Path | None, advice: str) -> None:
    """Print the first rows, or what was written."""
    if output is None:
        columns_of_text = [_texts(column) for column in cells.values()]
        rows = list(zip(*columns_of_text, strict=True))
        session.say(table(tuple(cells), rows) + left_out(count - ROWS, "row", advice))
    else:
        session.say(f"Wrote {counted(count, 'row')} of {', '.join(map(clean, cells))} to {clean(output)}.")


def _texts(column: np.ndarray) -> list[str]:
    """The first cells of a column."""
    numbers = without_negligible(np.array([cell if isinstance(cell, float) else 0.0 for cell in column]))
    return [_text(cell, number) for cell, number in zip(column[:ROWS], numbers.tolist(), strict=False)]


def _text(cell: Any, number: float) -> str:
    return "" if cell is None else number_text(number) if isinstance(cell, float) else clean(shorten(str(cell), 40))
