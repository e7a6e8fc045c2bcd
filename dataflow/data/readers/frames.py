"""DataFrames of pandas and polars, and tables of pyarrow, as raw tables; none of these packages is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataflow.data.raw_table import Choose, RawColumn, RawTable
from dataflow.data.readers.cell_values import array_column, value_column
from dataflow.data.readers.opening import chosen_of
from dataflow.errors import DataError
from dataflow.support.texts import shorten


def is_frame(value: Any) -> bool:
    """Whether this is a table of pandas, polars or pyarrow."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return (package in ("pandas", "polars") and kind.__name__ == "DataFrame") or (
        package == "pyarrow" and kind.__name__ in ("Table", "RecordBatch")
    )


def read_frame(frame: Any, choose: Choose, kinds: Mapping[str, str]) -> RawTable:
    """The columns that ``choose`` picks, by name."""
    arrow = type(frame).__module__.startswith("pyarrow")
    names = list(frame.column_names if arrow else frame.columns)
    source = "the table" if arrow else "the DataFrame"
    if not len(frame) if not arrow else not frame.num_rows:
        raise DataError("has no rows", file=source)
    labels = [str(name).strip() for name in names]  # as in CSV; pandas names columns with numbers, too
    chosen = chosen_of(choose, labels, source)
    columns = {}
    for i, label in enumerate(labels):
        if label not in chosen:
            continue
        series = frame.iloc[:, i] if hasattr(frame, "iloc") else frame.column(i) if arrow else frame[names[i]]
        try:
            columns[label] = read_series(series, kinds.get(label))
        except ValueError as error:
            row, message = error.args
            raise DataError(f"row {row + 1}: column '{shorten(label)}': {message}", file=source) from None
    return RawTable(columns, None, source)


def read_series(series: Any, kind: str | None) -> RawColumn:
    """A column of pandas, polars or pyarrow. A ``ValueError`` with the number of a cell and a message where it is
    neither a number, a text nor missing."""
    if kind != "text" and (numbers := _plain_numbers(series)) is not None:
        return numbers
    cells = series.to_pylist() if hasattr(series, "to_pylist") else series.to_list()
    return value_column(cells, kind)


def _plain_numbers(series: Any) -> RawColumn | None:
    """The column, where it holds numbers as numpy does and none is missing but as NaN."""
    if getattr(series, "null_count", None) is not None:  # polars has a method, pyarrow a number
        gaps = series.null_count() if callable(series.null_count) else series.null_count
        if gaps:
            return None
    elif not isinstance(series.dtype, np.dtype):
        return None
    array = np.asarray(series)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        return None
    return array_column(array.copy() if array.dtype == np.float32 else array, None)  # its owner may change it
