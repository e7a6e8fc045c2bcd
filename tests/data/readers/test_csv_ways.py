"""The ways to read CSV give the same arrays, bit for bit: blocks by pyarrow, blocks by numpy, and row by row. What they
give is what Python's ``csv`` and ``float`` say."""

from __future__ import annotations

import csv
import gzip
import tempfile
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflow.data.raw_table import RawTable
from dataflow.data.read_table import read_file
from dataflow.data.readers import csv as reader
from dataflow.data.readers.arrow_csv import ArrowNumbers, far_apart
from dataflow.data.readers.cell_values import MISSING
from dataflow.data.readers.cut_lines import Scratch
from dataflow.data.readers.dialect import Dialect
from dataflow.data.readers.opening import Origin
from dataflow.data.readers.text_lines import TextLines
from dataflow.data.source import DataSource
from dataflow.errors import DataError
from dataflow.graph.graph import Graph

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
            names: list[str] = []

            def choose(header: Sequence[str]) -> list[str]:
                names[:] = header
                return names

            return read_file(Origin(path), choose, {}, Dialect(";", "."), lambda: [names[:2], names[1:], names[2:]])
        except DataError as error:
            return str(error)


def assert_arrays(table: RawTable) -> None:
    """The columns of an array are what they are without it, and nobody writes there."""
    for names, array in table.arrays.items():
        assert (array.flags.writeable, array.flags.c_contiguous) == (False, True)
        assert [column.tobytes() for column in array.T] == [table.columns[name].cells.tobytes() for name in names]


@given(cells=st.lists(st.integers(0, 24), max_size=60))
def test_separators_that_are_far_apart(cells):
    ends = np.zeros(sum(cells) + len(cells), np.bool_)
    ends[np.cumsum(np.array(cells, np.intp) + 1) - 1] = True
    assert far_apart(ends).tolist() == [i for i, is_end in enumerate(ends.tolist()) if is_end]


@pytest.mark.parametrize("chosen", [["a", "b", "c"], ["b", "c"], ["c", "a"], ["b"]])
def test_numbers_are_written_side_by_side(chosen):
    """Which columns, and in which order; 40 lines of 3 cells."""
    rows = [[i + 0.5, -i - 0.25, 1e-3 * i] for i in range(40)]
    block = "".join(",".join(map(repr, row)) + "\n" for row in rows).encode()
    cells = ArrowNumbers(block, ",", 3, Scratch())
    positions = ["abc".index(name) for name in chosen]
    cells.numbers(sorted(positions))
    place = np.empty((40, len(chosen)))
    cells.write(positions, place)
    assert place.tolist() == [[row[position] for position in positions] for row in rows]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b""])
@pytest.mark.parametrize("size", [1, 7, 10, 64])
def test_blocks_of_whole_lines(tmp_path, end, size):
    """Whatever the blocks are, they are the text, and each line has its number, as ``splitlines`` says."""
    lines = [b"a" * length for length in (1, 9, 3, 10, 2, 0, 30, 5, 10, 10)]
    data = (end or b"\n").join(lines) + end
    (tmp_path / "a.csv").write_bytes(data)
    read = TextLines(Origin(tmp_path / "a.csv"), line_limit=32, limit=2**10, instead="")
    found = [(read.number + i, line) for block in read.blocks(size) for i, line in enumerate(block.splitlines())]
    assert found == list(enumerate(data.splitlines(), 1))


DISTURBED = {
    "plain": [],
    "blank": [""],
    "two blank": ["", ""],
    "odd": [" 1.5,+2,1e3,-0.0,5."],
    "whole": ["1,2,3,4,5"],
    "large": ["12345678901234567890.5,9007199254740993.5,1e-320,0.000000000000000000000001,1e22"],
    "quoted": ['"1.5",2.5,3.5,4.5,"5.5"'],
    "long": ["1.5,2.5,3.5,4.5,5." + 3000 * "5"],
}


@pytest.mark.parametrize("way", ["pyarrow", "numpy"])
@pytest.mark.parametrize("lines", DISTURBED.values(), ids=DISTURBED)
def test_arrays_of_inputs(tmp_path, monkeypatch, way, lines):
    """Numbers that are read where the input has them, also behind lines that are not as the others: expected is what
    ``float`` says."""
    rows = np.random.default_rng(1).normal(size=(500, 5)) * 10.0 ** np.arange(-2, 3)
    texts = [",".join(map(repr, row)) for row in rows.tolist()]
    texts[300:300] = lines
    (tmp_path / "a.csv").write_text("\n".join(["a,b,c,d,e", *texts]), encoding="utf-8")
    monkeypatch.setattr(reader, "is_arrow_worth", lambda origin: way == "pyarrow")
    for name in ("_BLOCK", "_SMALL", "_FIRST"):
        monkeypatch.setattr(reader, name, 2**11)
    graph = Graph("g")
    graph.input("x", ["n", 3])
    graph.input("y", ["n", 2])
    source = DataSource(columns={"x": "b:d", "y": ["e", "a"]}).at(tmp_path / "a.csv")
    table = source.table(graph)
    arrays = source.load(graph)
    expected = np.array([[float(cell.strip('"')) for cell in text.split(",")] for text in texts if text])
    assert arrays["x"].tobytes() == expected[:, 1:4].tobytes()
    assert arrays["y"].tobytes() == expected[:, [4, 0]].tobytes()
    assert all(np.shares_memory(arrays["x"], table.columns[name].cells) for name in "bcd")
    assert_arrays(table)


def test_a_file_that_takes_less_than_its_text(tmp_path):
    """UTF-16 has two bytes for what UTF-8 has three."""
    lines = [f"{i}.5\t中中中中中中中中中中中中中中中中中中中中\n" for i in range(300)]
    (tmp_path / "a.tsv").write_text("".join(["x\tname\n", *lines]), encoding="utf-16")
    graph = Graph("g")
    graph.input("x", ["n", 1])
    assert DataSource().at(tmp_path / "a.tsv").load(graph)["x"].ravel().tolist() == [i + 0.5 for i in range(300)]


@pytest.fixture
def rows_of_numbers(tmp_path, monkeypatch):
    """Write a table of 600 rows and 3 columns, some of its lines as given; return what is in the file, by cells. It is
    read in blocks of 1 KiB or so by three threads."""
    monkeypatch.setenv("DATAFLOW_THREADS", "3")
    monkeypatch.setattr(reader, "is_arrow_worth", lambda origin: True)
    monkeypatch.setattr(reader, "_BLOCK", 2**10)
    monkeypatch.setattr(reader, "_FIRST", 2**9)

    def write(lines=None, end="\n", name="a.csv", encoding="utf-8"):
        texts = [",".join(map(repr, row)) for row in np.random.default_rng(2).normal(size=(600, 3)).tolist()]
        for row, line in (lines or {}).items():
            texts[row] = line
        data = end.join(["a,b,c", *texts, ""]).encode(encoding)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return [text.split(",") for text in texts]

    return write


def read_together(path: Path, chosen: str = "abc") -> RawTable:
    return read_file(Origin(path), lambda header: list(chosen), {}, Dialect(",", "."), lambda: [chosen[:2]])


@pytest.mark.parametrize("chosen", ["abc", "ab", "c"])
@pytest.mark.parametrize("row", [290, 400, 598, 599])
@pytest.mark.parametrize("line", ["1.5,2.5,", "1.5,2.5,x", '1.5,2.5,"3.5"', "1.5,2.5,\u00e4", "1.5,2.5, 3.5"])
def test_a_line_that_holds_more_than_numbers(tmp_path, rows_of_numbers, chosen, row, line):
    """Where it stands among blocks that threads read for themselves, and whether its cell is asked for."""
    expected = rows_of_numbers({row: line})
    table = read_together(tmp_path / "a.csv", chosen)
    assert [table.place(i) for i in range(600)] == [f"line {i}" for i in range(2, 602)]
    for name in chosen:
        cells = [one["abc".index(name)].strip('" ') for one in expected]
        column = table.columns[name]
        if column.cells.dtype == np.float64:
            missing = np.zeros(600, np.bool_) if column.missing is None else column.missing
            assert missing.tolist() == [cell == "" for cell in cells]
            assert column.cells.tobytes() == np.array([float(cell or 0) for cell in cells]).tobytes()
        else:
            assert column.cells.tolist() == cells
    assert_arrays(table)


def test_text_in_a_column_that_nobody_asks_for(tmp_path, rows_of_numbers):
    """A quoted line feed is in one row there, too, and a byte that is not UTF-8 an error."""
    rows_of_numbers({500: '1.5,2.5,"x\n7,8,9"'})
    table = read_together(tmp_path / "a.csv", "ab")
    assert table.rows == 600
    assert [table.place(500), table.place(501)] == ["line 503", "line 504"]
    data = (tmp_path / "a.csv").read_bytes()
    (tmp_path / "a.csv").write_bytes(data.replace(b'"x\n7,8,9"', b"\xff"))
    with pytest.raises(DataError, match=r"a.csv:502: is not UTF-8 text \(byte 0xff"):
        read_together(tmp_path / "a.csv", "ab")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_numbers_in_any_file(tmp_path, rows_of_numbers, end, name, encoding):
    expected = rows_of_numbers(end=end, name=name, encoding=encoding)
    table = read_together(tmp_path / name)
    for i, column in enumerate(table.columns.values()):
        assert column.cells.tobytes() == np.array([float(row[i]) for row in expected]).tobytes()
    assert_arrays(table)


def test_threads_read_the_numbers(tmp_path, rows_of_numbers, monkeypatch):
    """None of the blocks after the first is cut once more, or looked at for other text."""
    rows_of_numbers()
    monkeypatch.setattr(
        reader._Table, "_cut", lambda self, lines, cut=reader._Table._cut: seen.append(1) or cut(self, lines)
    )
    seen: list[int] = []
    assert len(read_together(tmp_path / "a.csv").columns["c"].cells) == 600
    assert len(seen) == 1


def test_more_rows_than_the_first_let_expect(tmp_path, rows_of_numbers):
    """Long lines first, short ones then: there is no room for all."""
    lines = {row: ",".join(3 * ["1." + 40 * "5"]) for row in range(300)} | dict.fromkeys(range(300, 600), "1,2,3")
    expected = rows_of_numbers(lines)
    table = read_together(tmp_path / "a.csv")
    assert table.columns["b"].cells.tolist() == [float(row[1]) for row in expected]


@pytest.mark.parametrize("error", [DataError("cannot be read"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("at", [1, 2, 9])
def test_an_exception_ends_all_threads(tmp_path, rows_of_numbers, monkeypatch, error, at):
    rows_of_numbers()
    calls = count(1)

    def cut(self, *given, begin=ArrowNumbers.__init__):
        begin(self, *given)
        if next(calls) == at:
            raise error

    monkeypatch.setattr(ArrowNumbers, "__init__", cut)
    before = {*threading.enumerate()}
    with pytest.raises(type(error)):
        read_together(tmp_path / "a.csv")
    assert {*threading.enumerate()} <= before


@pytest.mark.parametrize("way", ["pyarrow", "numpy"])
@pytest.mark.parametrize("cell", ["", "x", "1e999", "inf"])
def test_faults_behind_plain_numbers(tmp_path, monkeypatch, way, cell):
    """One bad cell far down is named with its line."""
    lines = [f"{i}.5,{i}.25" for i in range(500)]
    lines[400] = f"{cell},1"
    (tmp_path / "a.csv").write_text("\n".join(["x,y", *lines]), encoding="utf-8")
    monkeypatch.setattr(reader, "is_arrow_worth", lambda origin: way == "pyarrow")
    for name in ("_BLOCK", "_SMALL", "_FIRST"):
        monkeypatch.setattr(reader, name, 2**9)
    graph = Graph("g")
    graph.input("x", ["n", 1])
    with pytest.raises(DataError, match=r"a\.csv:402: column 'x': .*(missing|expected|too large|finite)"):
        DataSource().at(tmp_path / "a.csv").load(graph)


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
        assert_arrays(other)
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
