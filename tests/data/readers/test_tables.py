"""Tables that are no CSV: JSON, JSON lines, Parquet, Arrow, DataFrames, rows of Python, standard input."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from later import Later
from raw_tables import cells

import dataflow
from dataflow.data.raw_table import RawTable
from dataflow.data.read_table import read_table
from dataflow.data.readers import arrow as arrow_reader
from dataflow.data.readers.parquet_pages import unpacked_size
from dataflow.errors import DataError
from dataflow.limits import Limits

pd = Later("pandas")
pl = Later("polars")
pa = Later("pyarrow")
pq = Later("pyarrow.parquet")

COLUMNS = {
    "first name": ["a", "b", None, "d"],
    "x": [1.5, None, 3.0, -2.0],
    "n": [1, 2, 3, 4],
    "big": [2**53 + 1, 1, 2, 3],
    "flag": [True, False, True, False],
    "some": [1, None, 3, 4],
}
ROWS = [dict(zip(COLUMNS, cells, strict=True)) for cells in zip(*COLUMNS.values(), strict=True)]


def read(origin: object, **options: object) -> RawTable:
    return read_table(origin, **({"columns": list, "kinds": {}} | options))


def json_lines(folder: Path) -> Path:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    return folder / "a.jsonl"


def json_rows(folder: Path) -> Path:
    (folder / "a.json").write_text(json.dumps(ROWS))
    return folder / "a.json"


def parquet(folder: Path) -> Path:
    pq.write_table(pa.table(COLUMNS), folder / "a.parquet", row_group_size=2)
    return folder / "a.parquet"


def arrow_file(folder: Path, compression: str | None = "zstd") -> Path:
    table = pa.table(COLUMNS)
    with pa.ipc.new_file(
        folder / "a.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)
    ) as f:
        f.write_table(table, max_chunksize=2)
    return folder / "a.arrow"


def arrow_stream(folder: Path) -> Path:
    table = pa.table(COLUMNS)
    table = table.set_column(0, "first name", table.column(0).dictionary_encode())
    with pa.ipc.new_stream(folder / "a.arrow", table.schema) as f:
        f.write_table(table)
    return folder / "a.arrow"


MAKERS = {
    "JSON lines": json_lines,
    "JSON": json_rows,
    "Parquet": parquet,
    "Arrow file": arrow_file,
    "Arrow stream": arrow_stream,
    "pandas": lambda folder: pd.DataFrame(COLUMNS),
    "pandas, nullable": lambda folder: pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas, categories": lambda folder: pd.DataFrame(COLUMNS).astype({"first name": "category"}),
    "polars": lambda folder: pl.DataFrame(COLUMNS),
    "pyarrow": lambda folder: pa.table(COLUMNS),
    "rows": lambda folder: ROWS,
    "a generator": lambda folder: (row for row in ROWS),
    "rows without what is missing": lambda folder: [
        {name: cell for name, cell in row.items() if cell is not None} for row in ROWS
    ],
}


@pytest.mark.parametrize("kind", MAKERS)
def test_all_give_the_same_table(tmp_path, kind):
    table = read(MAKERS[kind](tmp_path))
    assert {name: cells(table)[name] for name in COLUMNS} == COLUMNS
    dtypes = {name: column.cells.dtype for name, column in table.columns.items()}
    assert (dtypes["first name"], dtypes["x"], dtypes["big"]) == (object, np.float64, np.int64)
    assert (dtypes["flag"], dtypes["some"]) == (np.bool_, np.int64)
    assert table.columns["n"].missing is None


@pytest.mark.parametrize("kind", MAKERS)
def test_all_give_texts_where_these_are_asked_for(tmp_path, kind):
    table = read(
        MAKERS[kind](tmp_path), kinds={"n": "text", "flag": "text", "some": "text"}, columns=lambda names: ["n", "some"]
    )
    assert cells(table) == {"n": ["1", "2", "3", "4"], "some": ["1", None, "3", "4"]}


def test_places(tmp_path):
    (tmp_path / "a.jsonl").write_text('\n{"x": 1}\n\n{"x": 2}\n')
    table = read(tmp_path / "a.jsonl")
    assert (table.place(0), table.place(1), table.source) == ("line 2", "line 4", str(tmp_path / "a.jsonl"))
    table = read(pd.DataFrame({"x": [1, 2]}, index=[7, 8]))
    assert (table.place(1), table.source) == ("row 2", "the DataFrame")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2.5", "NA", ""], [1.0, 2.5, None, None]),  # as csv.DictReader gives them
        (["1", "two"], ["1", "two"]),
        ([1, "two", 3.0], ["1", "two", "3"]),
        ([Decimal("1.5"), None], [1.5, None]),
        ([Decimal(2**53 + 1), 1], [2**53 + 1, 1]),
        (["9007199254740993", "1.0"], [2**53 + 1, 1]),
        ([np.float32(0.5), np.int8(3)], [0.5, 3.0]),
        ([dt.date(2020, 1, 2)], ["2020-01-02"]),
        ([10**400, 1], [str(10**400), "1"]),
        ([float("nan"), 2], [None, 2]),
        ([True, 2], [1, 2]),
        ([" a ", "?"], ["a", None]),
    ],
)
def test_cells_of_python(values, expected):
    assert cells(read([{"x": value} for value in values]))["x"] == expected


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ([], "the rows: has no rows"),
        (pd.DataFrame({"x": []}), "the DataFrame: has no rows"),
        ([1], "the rows: row 1: a row is a mapping from names to cells, 1 found"),
        ([{"x": 1}, {2: 1}], "row 2: the name of a column is a text, not 2"),
        ([{"x": 1}, {"x": [1]}], r"row 2: column 'x': a number or a text is expected, \[1\] found"),
        ([{"x": 1j}], r"row 1: column 'x': a number or a text is expected, 1j found"),
        (pl.DataFrame({"x": [[1], [2]]}), "row 1: column 'x': a number or a text is expected"),
        (3, "a table is a file, a DataFrame or rows, each a mapping; int found"),
        ({"x": [1]}, "a table is a file, a DataFrame or rows, each a mapping; dict found"),
    ],
)
def test_what_is_no_table(origin, message):
    with pytest.raises(DataError, match=message):
        read(origin)


def _written(kind: str, columns: dict[str, list[int]], folder: Path) -> object:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if kind == "Parquet":
        pq.write_table(pa.table(columns), folder / "a.parquet")
        return folder / "a.parquet"
    if kind == "CSV":
        lines = [",".join(columns), *(",".join(map(str, row.values())) for row in rows)]
        (folder / "a.csv").write_text("\n".join(lines))
        return folder / "a.csv"
    if kind == "JSON lines":
        (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return folder / "a.jsonl"
    return {
        "rows": rows,
        "pandas": pd.DataFrame(columns),
        "polars": pl.DataFrame(columns),
        "pyarrow": pa.table(columns),
    }[kind]


@pytest.mark.parametrize("kind", ["CSV", "JSON lines", "Parquet", "pandas", "polars", "pyarrow", "rows"])
def test_names_have_no_spaces_around_them(tmp_path, kind):
    """So that a model means the same columns wherever a table comes from: pandas keeps the spaces of a CSV header."""
    table = read(_written(kind, {"x ": [1, 2], " a b": [3, 4]}, tmp_path), kinds={"x": "text"})
    assert cells(table) == {"x": ["1", "2"], "a b": [3, 4]}
    with pytest.raises(DataError, match="column 'x' stands there (2 times|twice)"):
        read(_written(kind, {"x": [1], "x ": [2]}, tmp_path))


def test_columns_of_one_name_in_a_frame():
    frame = pd.DataFrame([[1, 2, 3]], columns=["x", "x", "y"])
    assert cells(read(frame, columns=lambda names: ["y"])) == {"y": [3]}
    with pytest.raises(DataError, match="column 'x' stands there 2 times"):
        read(frame)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ('{"x": 1}\n{"x": }\n', r":2:7: is not JSON"),
        ('{"x": 1}\n\n[1]\n', r":3: a row is a mapping"),
        ('{"x": 1, "x": 2}\n', r":1: the key 'x' stands twice"),
        ('{"x": 1}\n{"x": {}}\n', r":2: column 'x': a number or a text is expected, \{\} found"),
        ('{"x": ' + "[" * 100_000, ":1: is nested too deep"),
    ],
)
def test_json_lines_that_are_none(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.jsonl")


def test_missing_cells_of_a_short_file_do_not_fill_the_memory(tmp_path):
    names = ", ".join(f'"c{i}": 1' for i in range(5000))
    (tmp_path / "a.jsonl").write_text(f"{{{names}}}\n" + "{}\n" * 100_000 + f"{{{names}}}\n")
    with pytest.raises(DataError, match="its missing cells would take"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("reading", [parquet, arrow_file])
def test_files_that_are_damaged(tmp_path, reading):
    path = reading(tmp_path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:-20], whole[:40], b"x" * 100, whole[:60] + b"\xff" * 60 + whole[120:], whole[8:]):
        path.write_bytes(damaged)
        try:
            read(path)
        except DataError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)


@pytest.mark.parametrize("writes", ["parquet", "arrow"])
def test_decimals_are_the_nearest_floats(tmp_path, writes):
    """As Python's own ``float(Decimal)`` rounds; 283289.269 is one that pyarrow's cast gives another last bit."""
    rng = np.random.default_rng(0)
    numbers = [
        Decimal("283289.269"),
        None,
        *(Decimal(int(n)).scaleb(-6) for n in rng.integers(-(10**17), 10**17, 2000)),
    ]
    whole = [Decimal(2**53 + 1), None, *(Decimal(int(n)) for n in rng.integers(-(10**17), 10**17, 2000))]
    table = pa.table({"x": pa.array(numbers), "n": pa.array(whole, pa.decimal128(18, 0))})
    path = tmp_path / f"a.{writes}"
    if writes == "parquet":
        pq.write_table(table, path, row_group_size=700)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=700)
    columns = read(path).columns
    assert columns["x"].cells.tolist()[2:] == [float(n) for n in numbers[2:]]
    assert columns["x"].cells[0] == 283289.269
    assert [int(n) for n in columns["n"].cells[2:]] == [int(n) for n in whole[2:]]
    assert int(columns["n"].cells[0]) == 2**53 + 1


def test_parquet_that_unpacks_to_very_much(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.zeros(5_000_000, np.int64)}), path)
    assert path.stat().st_size < 30_000
    with pytest.raises(DataError, match=r"a\.parquet: unpacks to more than 16 MiB .*LIMITS=unpacked="):
        read(path)
    with Limits(unpacked=10_000):
        assert read(path).rows == 5_000_000


def _varint(number: int) -> bytes:
    """As Thrift's compact protocol writes an integer."""
    number, data = number << 1, b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_whose_page_unpacks_to_more_than_the_file_says(tmp_path, version, monkeypatch):
    """The table of contents is right, and the headers of the pages are not: it is these that pyarrow believes."""
    path = tmp_path / "a.parquet"
    options = {"compression": "zstd", "use_dictionary": False, "data_page_version": version}
    pq.write_table(pa.table({"x": np.zeros(400_000, np.int64)}), path, **options)
    assert read(path).rows == 400_000
    data = path.read_bytes()
    sizes = {size for size in range(160_000, 160_100) if b"\x15" + _varint(size) in data}
    for size in sizes:  # of pages of 20,000 numbers
        data = data.replace(b"\x15" + _varint(size), b"\x15" + _varint(2**20 - 1))
    path.write_bytes(data)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(arrow_reader._Growing, "add", never)
    with pytest.raises(DataError, match=r"a\.parquet: unpacks to more than 16 MiB"):
        read(path)


@pytest.mark.parametrize("compression", ["NONE", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    "more", [{}, {"use_dictionary": False}, {"write_page_checksum": True, "write_statistics": False}]
)
def test_pages_of_all_kinds_are_added_up(tmp_path, compression, version, more):
    numbers = np.random.default_rng(0).normal(size=3000)
    table = pa.table(
        {"x": numbers, "k": [str(i % 7) for i in range(3000)], "n": [None if i % 3 else i for i in range(3000)]}
    )
    options = {"row_group_size": 1000, "data_page_size": 2000, "compression": compression, "data_page_version": version}
    pq.write_table(table, tmp_path / "a.parquet", **options, **more)
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    with open(tmp_path / "a.parquet", "rb") as file:
        for column in (metadata.row_group(i).column(j) for i in range(3) for j in range(3)):
            start = column.dictionary_page_offset or column.data_page_offset
            size, pages = unpacked_size(file, start, column.total_compressed_size)
            assert column.total_uncompressed_size - 200 * pages <= size < column.total_uncompressed_size
    assert read(tmp_path / "a.parquet").columns["x"].cells.tolist() == numbers.tolist()


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_arrow_that_unpacks_to_very_much(tmp_path, compression):
    path = tmp_path / "a.arrow"
    table = pa.table({"x": np.zeros(5_000_000, np.int64)})
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as file:
        file.write_table(table)
    with pytest.raises(DataError, match=r"a\.arrow: unpacks to more than 16 MiB"):
        read(path)


def test_arrow_that_unpacks_to_very_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = arrow_file(tmp_path)
    whole = path.read_bytes()
    # the length that a buffer has once it is unpacked stands before it
    place = whole.index(struct.pack("<q", 16))
    path.write_bytes(whole[:place] + struct.pack("<q", 2**40) + whole[place + 8 :])

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(arrow_reader._Growing, "add", never)
    with pytest.raises(DataError, match="unpacks to more than 16 MiB"):
        read(path)


def test_a_text_that_many_rows_share_is_read_once(tmp_path):
    text = "long" * 1000
    pq.write_table(pa.table({"k": [text] * 100_000}), tmp_path / "a.parquet")
    with Limits(unpacked=10_000):
        found = read(tmp_path / "a.parquet").columns["k"].cells
    assert len({id(cell) for cell in found}) == 1


def test_columns_of_other_types(tmp_path):
    pq.write_table(pa.table({"x": [[1], [2]], "y": [1, 2], "t": [dt.date(2020, 1, 1)] * 2}), tmp_path / "a.parquet")
    assert cells(read(tmp_path / "a.parquet", columns=lambda names: ["y", "t"])) == {
        "y": [1, 2],
        "t": ["2020-01-01"] * 2,
    }
    with pytest.raises(DataError, match=r"a\.parquet: column 'x': a column of numbers or texts is expected, list<"):
        read(tmp_path / "a.parquet")


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"install it with: pip install 'dataflow-autodiff\[data\]'"):
        read_table(str(tmp_path / "a.parquet"), columns=list, kinds={})


@pytest.mark.slow
def test_no_package_is_imported_for_a_frame():
    code = "import sys\nfrom dataflow.data.read_table import read_table\n"
    code += "read_table([{'x': 1}], columns=list, kinds={})\n"
    code += "assert not {'pandas', 'polars', 'pyarrow'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("make", [json_lines, json_rows, parquet, arrow_file, arrow_stream])
def test_standard_input(tmp_path, monkeypatch, make):
    data = make(tmp_path).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    table = read("-")
    assert (table.source, cells(table)) == ("standard input", COLUMNS)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_csv_from_standard_input(monkeypatch, pack):
    data = pack(b"\xef\xbb\xbfx;k\n1;a\n2;b\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cells(read("-")) == {"x": [1, 2], "k": ["a", "b"]}


@pytest.mark.parametrize("counts", [[0], [2, 0, 1], [0, 3], [3, 0]], ids=str)
def test_parquet_groups_of_no_rows(counts, tmp_path):
    """As pyarrow and pandas write them: of a column that is empty the place of its first page is 0."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path, rows = tmp_path / "t.parquet", [float(row) for row in range(sum(counts))]
    schema = pa.schema([("a", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for number, count in enumerate(counts):
            start = sum(counts[:number])
            writer.write_table(pa.table({"a": rows[start : start + count]}, schema=schema))
    graph = dataflow.Graph("g")
    graph.node("y", graph.input("a", ("n",)) * 2.0)
    model = dataflow.Model(graph, ["y"])
    for stream in (False, True):
        if not rows:
            with pytest.raises(DataError, match="has no rows"):
                list(model.predict(path, stream=True)) if stream else model.predict(path)
            continue
        found = list(model.predict(path, stream=True)) if stream else [model.predict(path)]
        assert [y for piece in found for y in piece["y"].tolist()] == [2 * row for row in rows]
