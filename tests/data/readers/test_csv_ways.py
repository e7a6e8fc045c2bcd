"""The ways to read CSV give the same arrays, bit for bit: blocks by pyarrow, blocks by numpy, and row by row. What they
give is what Python's ``csv`` and ``float`` say."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflow.data.raw_table import RawTable
from dataflow.data.read_table import read_table
from dataflow.data.readers import csv as reader
from dataflow.data.readers.cell_values import MISSING
from dataflow.errors import DataError

NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.17f}".format),
    st.integers(-(2**70), 2**70).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=20).map(str),
    st.integers(-9, 99).map(str),
)
CELLS = st.one_of(
    NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "NA", "nan", "None", " 1", "2 ", "+3", "5.", ".5", "-0.0", "1e5"])
)
ODD_CELLS = st.sampled_from(["x", "1_0", "1e999", "true", "\u00e4", "0x1", "-nan", "1.2.3", "--1", "\u0663", "1,5"])


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """The rows of a table of a few columns, most of them of numbers."""
    width = draw(st.integers(1, 4))
    columns = [st.one_of(CELLS, ODD_CELLS) if draw(st.integers(0, 5)) == 5 else CELLS for _ in range(width)]
    rows = draw(st.lists(st.tuples(*columns).map(list), min_size=1, max_size=12))
    if draw(st.integers(0, 9)) == 9:
        rows[draw(st.integers(0, len(rows) - 1))].append("1")
    return rows


def read_in_way(path: Path, way: str) -> RawTable | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "is_arrow_worth", lambda origin: way == "pyarrow")
        for name in ("_BLOCK", "_SMALL"):
            patch.setattr(reader, name, 128)
        patch.setattr(reader, "_FIRST", 1)
        if way == "rows":
            patch.setattr(reader.PlainCells, "is_table", lambda self: False)
        try:
            return read_table(path, columns=list, kinds={}, separator=";", decimal=".")
        except DataError as error:
            return str(error)


@settings(max_examples=12)
@given(rows=tables(), blank=st.booleans())
def test_all_ways_give_the_same(rows, blank):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        header = ";".join(f"c{i}" for i in range(len(rows[0])))
        lines = [header, *(";".join(row) for row in rows), *[""] * blank, *(";".join(row) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        pyarrow, numpy, by_rows = (read_in_way(path, way) for way in ("pyarrow", "numpy", "rows"))
    if isinstance(by_rows, str):
        assert pyarrow == numpy == by_rows
        return
    for other in (pyarrow, numpy):
        assert isinstance(other, RawTable)
        assert [other.place(row) for row in range(other.rows)] == [by_rows.place(row) for row in range(by_rows.rows)]
        for name, column in by_rows.columns.items():
            cells, missing = other.columns[name].cells, other.columns[name].missing
            assert cells.dtype == column.cells.dtype
            assert (
                cells.tolist() == column.cells.tolist() if column.is_text else cells.tobytes() == column.cells.tobytes()
            )
            assert (None if missing is None else missing.tolist()) == (
                None if column.missing is None else column.missing.tolist()
            )
    kept = [row for row in csv.reader(lines[1:], delimiter=";") if row]
    for position, column in enumerate(by_rows.columns.values()):
        if column.cells.dtype == np.float64:
            said = [row[position].strip() for row in kept]
            expected = [0.0 if text.lower() in MISSING or float(text) != float(text) else float(text) for text in said]
            assert column.cells.tobytes() == np.array(expected).tobytes()
