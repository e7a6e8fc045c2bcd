"""Chunks of text files are whole rows, as many as they say, wherever lines end and quotes stand: together they are the
table that the reader of whole files gives, with the same lines."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataflow.data.source import DataSource
from dataflow.data.streams import csv_shards, file_lines
from dataflow.data.streams.stream import Stream
from dataflow.errors import DataError
from dataflow.graph.graph import Graph

END = st.sampled_from(["\n", "\r\n", "\r"])
TEXTS = st.sampled_from(
    [
        "a",
        "",
        '5" pipe',
        'x"',
        'a""b',
        '""',
        '"q""q"',
        '""""',
        '"a,b"',
        '"x\ny"',
        '"x\r\ny"',
        '"\n\n"',
        '",\n"',
        "\u4e2d",
    ]
)
NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(repr), st.sampled_from(["1", '"2"', " 3 "]))


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    rows = draw(st.lists(st.tuples(NUMBERS, TEXTS, NUMBERS).map(",".join), min_size=1, max_size=30))
    for _ in range(draw(st.integers(0, 3))):
        rows.insert(draw(st.integers(0, len(rows))), "")
    header = draw(st.sampled_from([["x0,t,x1"], ["", "x0,t,x1"], ['x0,"t\n,",x1']]))
    end = draw(END)
    text = end.join([*header, *rows]) + draw(st.sampled_from(["", end, end + end]))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))


@st.composite
def json_files(draw: st.DrawFn) -> bytes:
    texts = st.sampled_from(["a", "\u2028", "\x85", '"', "\n"])
    made = st.tuples(st.floats(-9, 9), st.booleans(), texts)
    rows = [
        json.dumps({"x0": x, "t": t, "x1": 1}, ensure_ascii=is_ascii)
        for x, is_ascii, t in draw(st.lists(made, min_size=1, max_size=20))
    ]
    for _ in range(draw(st.integers(0, 3))):
        rows.insert(draw(st.integers(0, len(rows))), draw(st.sampled_from(["", " \t"])))
    text = draw(END).join(rows) + draw(st.sampled_from(["", "\n"]))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig"])))


def graph() -> Graph:
    shapes = Graph("g")
    shapes.input("x", ("n", 2))
    return shapes


def assert_the_whole_table(name: str, data: bytes, chunk_rows: int, block: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / name
        path.write_bytes(data)
        patch.setattr(file_lines, "_BLOCK", block)
        source = DataSource(columns={"x": ["x0", "x1"]}).at(path)
        stream = Stream(source, graph(), chunk_rows, skip=False)
        found = [(content.table, prepared.arrays["x"]) for _, content, prepared in stream.chunks()]
        assert stream.shards.sizes() == [len(array) for _, array in found]
        assert all(len(array) == chunk_rows for _, array in found[:-1])
        whole, pieces = source.load(graph())["x"], np.concatenate([array for _, array in found])
        # beside whole numbers beyond 2^53 a column is one of integers, which have no -0
        assert (pieces + 0.0).tobytes() == (whole + 0.0).tobytes()
        places = [line for table, _ in found if table is not None for line in table.places or ()]
        assert places == list(source.table(graph()).places or ())


@settings(max_examples=60)
@example(data=b'x0,t,x1\n1,5" pipe,2\n3,"a\nb",4\n5,c,6\n', chunk_rows=1, block=2**22)
@example(data=b"x0,t,x1\r\n1,a,2\r\n\r\n\r\n", chunk_rows=1, block=1)
@example(data=b"x0,t,x1\r1,a,2\r3,b,4", chunk_rows=1, block=9)
@given(data=csv_files(), chunk_rows=st.integers(1, 9), block=st.sampled_from([1, 7, 64, 2**22]))
def test_csv(data: bytes, chunk_rows: int, block: int) -> None:
    assert_the_whole_table("a.csv", data, chunk_rows, block)


@settings(max_examples=30)
@example(data=b'{"x0": 1, "x1": 2}\r{"x0": 3, "x1": 4}', chunk_rows=1, block=8)
@example(data=b'\xef\xbb\xbf\n{"x0": 1, "x1": 2}', chunk_rows=1, block=2**22)
@given(data=json_files(), chunk_rows=st.integers(1, 9), block=st.sampled_from([1, 7, 64, 2**22]))
def test_json_lines(data: bytes, chunk_rows: int, block: int) -> None:
    assert_the_whole_table("a.jsonl", data, chunk_rows, block)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv: is empty; a CSV file begins with a row that names its columns"),
        ("\n\n", "a.csv: is empty; a CSV file begins with a row that names its columns"),
        ("x0,x1\n", "a.csv: has a header and no rows"),
        ("x0,x1\n\n\n", "a.csv: has a header and no rows"),
        ('"x0,x1\n1,2\n', "a.csv:1: a quote is opened here and not closed; close it"),
        ('x0,x1\n1,2\n3,"4\n5,6\n', "a.csv:3: a quote is opened here and not closed; close it"),
        ('x0,x1\n1,2\n3,"4"5\n5,6\n', "a.csv:3: this is no row of a CSV file"),
        ("x0,x1\n1,2\n\n3\n", "a.csv:4: the row has 1 cells, the header 2; leave missing cells empty"),
        ("x0;x1\n1,500;2\n", "a.csv: '1,500' may be 1500 or 1.500; declare decimal"),
    ],
)
def test_what_is_no_table_is_told_as_of_a_file_that_is_read_at_once(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    source = DataSource(columns={"x": ["x0", "x1"]}).at(path)
    with pytest.raises(DataError, match=re.escape(message)):
        source.load(graph())
    with pytest.raises(DataError, match=re.escape(message)):
        list(Stream(source, graph(), 1, skip=False).chunks())


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much is read as tells that the cell is too long, in the line where the quote stands, of a file of 10 MB."""
    path = tmp_path / "a.csv"
    path.write_text('x0,x1\n1,2\n3,"4\n' + "5,6\n" * 2_500_000)
    monkeypatch.setattr(file_lines, "_BLOCK", 2**16)
    monkeypatch.setattr(csv_shards, "_LONGEST", 5 * 2**20)
    read: list[int] = []
    original = csv_shards.Piece

    def piece(path: None, data: bytes, before: int, whole: str) -> csv_shards.Piece:
        read.append(len(data))
        return original(path, data, before, whole)

    monkeypatch.setattr(csv_shards, "Piece", piece)
    source = DataSource(columns={"x": ["x0", "x1"]}).at(path)
    with pytest.raises(DataError, match=r"a\.csv:3: a cell is longer than 131072 characters; a quote is opened here"):
        list(Stream(source, graph(), 1000, skip=False).chunks())
    assert max(read) < 6 * 2**20
