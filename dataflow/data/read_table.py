"""Reading of a table from wherever it is: a file of whatever kind, standard input, a DataFrame, rows of Python."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from dataflow.data.raw_table import Choose, RawTable
from dataflow.data.readers.dialect import Dialect
from dataflow.data.readers.frames import is_frame, read_frame
from dataflow.data.readers.json_files import read_json
from dataflow.data.readers.opening import Origin
from dataflow.data.readers.rows import read_json_lines, read_rows
from dataflow.errors import DataError

Together = Callable[[], Collection[Sequence[str]]]
"""Once those are chosen, the columns that are best read into one array."""


def read_table(
    origin: Any,
    *,
    columns: Choose,
    kinds: Mapping[str, str],
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    percent: bool = False,
) -> RawTable:
    """The wanted columns of a table.

    ``origin`` is a path, "-" for standard input, a DataFrame, or an iterable of mappings, one for each row. ``kinds``
    says "number" or "text" of columns where that matters; else it is found from the cells. A column that should hold
    numbers and has a cell that is none comes as texts: whoever prepares it says which cells these are. The others
    are those of a ``Dialect``. ``DataError`` where the table itself cannot be read.
    """
    if is_frame(origin):
        return read_frame(origin, columns, kinds)
    if isinstance(origin, str | PathLike):
        return read_file(Origin.at(Path(origin)), columns, kinds, Dialect(separator, decimal, thousands, percent))
    if isinstance(origin, Iterable) and not isinstance(origin, Mapping | bytes):
        return read_rows(origin, columns, kinds, "the rows")
    raise DataError(f"a table is a file, a DataFrame or rows, each a mapping; {type(origin).__name__} found")


def read_file(
    origin: Origin, columns: Choose, kinds: Mapping[str, str], dialect: Dialect, together: Together = tuple
) -> RawTable:
    """The wanted columns of a table in a file."""
    from dataflow.data.readers.arrow import read_arrow, read_parquet  # only where there is a table
    from dataflow.data.readers.csv import read_csv

    kind = origin.format
    if kind == "csv":
        return read_csv(origin, columns, kinds, dialect, together=together)
    if kind == "jsonl":
        return read_json_lines(origin, columns, kinds)
    if kind == "parquet":
        return read_parquet(origin, columns, kinds)
    if kind == "arrow":
        return read_arrow(origin, columns, kinds)
    if kind == "json" and isinstance(content := read_json(origin), list):
        return read_rows(content, columns, kinds, origin.name)
    raise DataError("holds arrays, and no table with rows and columns", file=origin.name)
