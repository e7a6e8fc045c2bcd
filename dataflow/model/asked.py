"""What a model is asked about: a table or arrays, prepared as its file says, and the way back to the table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.data.raw_table import RawColumn
from dataflow.data.source import DataSource
from dataflow.errors import DataError, MissingInputError, listed
from dataflow.execution.forward import missing_text
from dataflow.graph.graph import Graph
from dataflow.model.units import Units


@dataclass(frozen=True)
class Asked:
    """The arrays by input; where they come from a table its number of rows, which of them are in the arrays (all where
    that is None), and the columns that are carried over."""

    arrays: Mapping[str, Any]
    units: Units
    count: int | None = None
    rows: np.ndarray | None = None
    weights: np.ndarray | None = None
    carried: Mapping[str, np.ndarray] | None = None
    name: str | None = None
    """What messages call where they come from; nothing for arrays by input."""


@contextmanager
def about_data(name: str | None) -> Iterator[None]:
    """Name the data in errors about it that name no file."""
    try:
        yield
    except DataError as error:
        raise error.at(file=name) from None


def asked_of(source: DataSource, graph: Graph, inputs: Collection[str] | None, columns: Sequence[str]) -> Asked:
    """The examples of a source and the cells of these columns: with these ``inputs`` alone, and then missing cells may
    leave out every row, or with all."""
    table = source.table(graph, columns)
    if table is None:
        if columns:
            raise DataError("columns are carried over from a table, and the data is arrays by input")
        prepared = source.prepared(graph, inputs)
        return Asked(prepared.arrays, Units(source), weights=prepared.weights, name=prepared.name)
    carried = {column: carried_cells(table.columns[column]) for column in columns}
    prepared = source.prepared(graph, inputs, rows_needed=inputs is None)
    return Asked(prepared.arrays, Units(source), table.rows, prepared.rows, prepared.weights, carried, prepared.name)


def lacking(source: DataSource | None, name: str, missing: Sequence[str]) -> MissingInputError:
    """The error where a node needs inputs that are not given, with the columns that hold them."""
    columns = [] if source is None else source.columns_of(missing)
    where = f"; a table has {'it' if len(missing) == 1 else 'them'} as {listed(columns, 12)}" if columns else ""
    lacks = f"which {'is' if len(missing) == 1 else 'are'} not given"
    return MissingInputError(f"'{name}' needs {missing_text(missing)}, {lacks}{where}", node=name)


def check_no_row(source: DataSource | None, graph: Graph, given: Mapping[str, Any]) -> None:
    """A ``DataError`` where cells by column are given in the place of arrays by input."""
    if source is None or all(name in graph for name in given):
        return
    columns = {*given} & {*source.columns_of(source.columns)} - {*graph}
    if columns:
        raise DataError(
            f"a mapping holds arrays by input, and '{min(columns)}' is a column; a row goes in a list, as in [row]"
        )


def carried_cells(column: RawColumn, dtype: np.dtype | None = None) -> np.ndarray:
    """The cells, of this dtype if one is given, with None where one is missing."""
    cells = (column.cells if dtype is None else column.cells.astype(dtype)).astype(object)
    if column.missing is not None:
        cells[column.missing] = None
    return cells
