"""CSV as people have it: separators, decimal signs, encodings, line ends, quotes; and exact numbers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
from raw_tables import cells

from dataflow.data.raw_table import RawTable
from dataflow.data.read_table import read_table
from dataflow.data.readers import csv as reader
from dataflow.data.readers import opening, text_lines
from dataflow.data.readers.decimals import PlainCells
from dataflow.errors import DataError
from dataflow.limits import Limits


def read(path: Path, content: str | bytes = b"", **options: object) -> RawTable:
    if content:
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    options = {"columns": list, "kinds": {}} | options
    return read_table(path, **options)


@pytest.fixture(params=["numpy", "pyarrow", "quoted"], autouse=True)
def way(request, monkeypatch):
    """Each of the three ways that read the same: whole arrays, pyarrow, and Python's csv, as after a quote."""
    monkeypatch.setattr(reader, "is_arrow_worth", lambda origin: request.param == "pyarrow")
    monkeypatch.setattr(reader, "_FIRST", 1)  # pyarrow reads from the second row on
    if request.param == "quoted":

        def all_quoted(table, numbered):
            line, _, block = next(numbered)
            table.quoted = line, block + b"".join(lines.text for lines in numbered)
            return iter(())

        monkeypatch.setattr(reader._Table, "_plain", all_quoted)
    return request.param


HOUSES = {"id": [1, 2, 3], "area": [50.5, None, 70.25], "kind": ["old", "new", "old"], "sold": [True, False, True]}


def houses(separator: str = ",", decimal: str = ".", end: str = "\n") -> str:
    rows = [["id", "area", "kind", "sold"], ["1", "50.5", "old", "True"], ["2", "NA", "new", "False"]]
    rows.append(["3", "70.25", "old", "true"])
    return "".join(separator.join(cell.replace(".", decimal) for cell in row) + end for row in rows)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("header", ["id {} living area", "id {} living area {} year {} sold"])
def test_a_header_that_lacks_a_cell_or_has_one_too_many(tmp_path, separator, header):
    """The separator is found all the same, and the error says what is wrong, not that there is but one column."""
    cells = header.count("{}") + 1
    text = header.replace("{}", separator) + "\n" + f"1{separator}50,5{separator}1990\n" * 5
    with pytest.raises(DataError, match=rf"5 rows have another number of cells than the header, which has {cells} "):
        read(tmp_path / "a.csv", text)


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", "."), (";", ","), ("\t", ","), ("|", ".")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separator_and_decimal_sign_are_found(tmp_path, separator, decimal, end):
    table = read(tmp_path / "a.csv", houses(separator, decimal, end))
    assert cells(table) == HOUSES
    assert [table.place(row) for row in range(3)] == ["line 2", "line 3", "line 4"]
    assert [column.cells.dtype for column in table.columns.values()] == [np.int64, np.float64, object, np.bool_]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz"])
def test_endings(tmp_path, name):
    assert cells(read(tmp_path / name, houses("\t" if "tsv" in name else ","))) == HOUSES


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_encodings_with_a_mark(tmp_path, encoding):
    marked = encoding in ("utf-8-sig", "utf-16", "utf-32")
    text = "größe,x\nä,1\n" * 1
    data = text.encode(encoding) if marked else "\ufeff".encode(encoding) + text.encode(encoding)
    assert cells(read(tmp_path / "a.csv", data)) == {"größe": ["ä"], "x": [1]}


def test_encodings_without_a_mark(tmp_path):
    for encoding, named in (("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32-le", "UTF-32")):
        with pytest.raises(DataError, match=rf":1: is {named} text without a byte order mark; save it as UTF-8"):
            read(tmp_path / "a.csv", houses().encode(encoding))
    with pytest.raises(DataError, match=r":3: is not UTF-8 text \(byte 0xe4 in this line\)"):
        read(tmp_path / "a.csv", "x\n1\nä\n".encode("latin-1"))
    for half in (b"\xff\xfex\0\n\0\0\xd8\n\0", b"\xff\xfex\0\n"):
        with pytest.raises(DataError, match="begins as UTF-16 text does and is none"):
            read(tmp_path / "a.csv", half)


def test_a_comma_that_may_stand_for_thousands_is_asked_about(tmp_path):
    with pytest.raises(DataError, match=r"'1,234' may be 1234 or 1\.234; declare decimal = \",\""):
        read(tmp_path / "a.csv", "a;b\n1,234;2\n")
    assert cells(read(tmp_path / "a.csv", decimal=",")) == {"a": [1.234], "b": [2]}
    assert cells(read(tmp_path / "a.csv", decimal=".")) == {"a": ["1,234"], "b": [2]}
    # with decimal commas a point parts thousands, if it is anything
    assert cells(read(tmp_path / "a.csv", "a;b\n1,5;1.000\n")) == {"a": ["1,5"], "b": [1]}
    assert cells(read(tmp_path / "a.csv", decimal=",")) == {"a": [1.5], "b": ["1.000"]}
    assert cells(read(tmp_path / "a.csv", thousands=".")) == {"a": [1.5], "b": [1000]}


STYLES = [
    (",", False, ["1,234.5", "-12,345,678", "999", "0.25"], [1234.5, -12345678, 999, 0.25]),
    (".", False, ["1.234,5", "-12.345.678", "999", "0,25"], [1234.5, -12345678, 999, 0.25]),
    (" ", True, ["1 234.5%", "1\u00a0234 %", "1\u202f234", "7%"], [1234.5, 1234, 1234, 7]),
    ("'", False, ["1'234", "1\u2019234.5", ""], [1234, 1234.5, None]),
    (",", False, ["1,234", "1,23"], ["1,234", "1,23"]),
    (",", False, ["1,234", "12345,678"], ["1,234", "12345,678"]),
    (",", False, ["9,007,199,254,740,993", "1"], [2**53 + 1, 1]),
    (None, True, ["5%", "%"], ["5%", "%"]),
    (None, True, ["5%", "6%%"], ["5%", "6%%"]),
]


@pytest.mark.parametrize(("thousands", "percent", "texts", "expected"), STYLES)
def test_declared_thousands_and_signs_of_percent(tmp_path, thousands, percent, texts, expected):
    for separator, quote in ((";", ""), (",", '"')):
        lines = [f"a{separator}b", *(f"{quote}{text}{quote}{separator}0" for text in texts)]
        table = read(tmp_path / "a.csv", "\n".join(lines) + "\n", thousands=thousands, percent=percent)
        if separator == ";" or thousands != ".":  # a decimal comma needs another separator
            assert cells(table)["a"] == expected


def test_thousands_that_are_none(tmp_path):
    for declared, message in (
        ({"thousands": "_"}, "a comma, a point, a space or an apostrophe"),
        ({"thousands": ".", "decimal": "."}, "both '.'"),
    ):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.csv", "a\n1\n", **declared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ";;"}, "separator is one character"),
        ({"separator": "1"}, "separator is one character"),
        ({"decimal": "x"}, "decimal is . or a comma"),
        ({"separator": ",", "decimal": ","}, "the separator and the decimal sign are both ','"),
    ],
)
def test_declared_signs_that_cannot_be(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.csv", houses(), **options)


def test_what_is_missing(tmp_path):
    text = "x,k\n" + "".join(f"{cell},{cell}\n" for cell in ["", "NaN", "NA", "n/a", "null", "None", "?", " "])
    found = cells(read(tmp_path / "a.csv", text + "1,a\n"))
    assert found["x"] == [None] * 8 + [1]
    assert found["k"] == [None] * 5 + ["None", None, None, "a"]  # "none" may be a category


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "rows", "DataFrame"])
def test_a_dash_is_no_number_and_may_be_a_category(tmp_path, kind):
    columns = {"x": ["1", "-", "\u2013", "\u2014", "-2"], "k": ["a", "-", "\u2013", "\u2014", "b"]}
    rows = [dict(zip(columns, pair, strict=True)) for pair in zip(*columns.values(), strict=True)]
    if kind in ("csv", "tsv"):
        separator = "\t" if kind == "tsv" else ","
        text = "".join(separator.join(pair) + "\n" for pair in [("x", "k"), *zip(*columns.values(), strict=True)])
        table = read(tmp_path / f"a.{kind}", text)
    elif kind == "jsonl":
        table = read(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        origin = pytest.importorskip("pandas").DataFrame(columns) if kind == "DataFrame" else rows
        table = read_table(origin, columns=list, kinds={})
    assert cells(table) == {"x": [1, None, None, None, -2], "k": columns["k"]}


def test_texts_have_no_spaces_around_them(tmp_path):
    assert cells(read(tmp_path / "a.csv", "x, k \n 1 , old house \n2,b\n")) == {"x": [1, 2], "k": ["old house", "b"]}


def test_kinds_that_are_asked_for(tmp_path):
    text = "zip,x,t\n01234,1,true\n00007,two,false\n"
    assert cells(read(tmp_path / "a.csv", text)) == {"zip": [1234, 7], "x": ["1", "two"], "t": [True, False]}
    found = cells(read(tmp_path / "a.csv", kinds={"zip": "text", "x": "number", "t": "text"}))
    assert found == {"zip": ["01234", "00007"], "x": ["1", "two"], "t": ["true", "false"]}


def test_a_column_may_turn_out_to_hold_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 64)
    rows = [f"{i},{i}" for i in range(100)]
    found = cells(read(tmp_path / "a.csv", "x,k\n" + "\n".join([*rows, "100,hundred", "101,"]) + "\n"))
    assert found == {"x": list(range(102)), "k": [str(i) for i in range(100)] + ["hundred", None]}


@pytest.mark.parametrize(
    ("text", "dtype", "values"),
    [
        ("9007199254740993\n2.0\n", np.int64, [9007199254740993, 2]),
        ("9007199254740993.0\n1\n", np.int64, [9007199254740993, 1]),
        ("9.007199254740993e15\n-1\n", np.int64, [9007199254740993, -1]),
        ("9007199254740993.5\n1\n", np.int64, [9007199254740994, 1]),
        ("18446744073709551615\n1\n", np.uint64, [18446744073709551615, 1]),
        ("-9223372036854775808\n\n1e3\n", np.int64, [-9223372036854775808, 1000]),
        ("9007199254740993\n0.5\n", np.float64, [9007199254740992.0, 0.5]),
        ("1e300\n2\n", np.float64, [1e300, 2.0]),
        ("-0.0\n1\n", np.float64, [-0.0, 1.0]),
        ("inf\n-Infinity\n", np.float64, [np.inf, -np.inf]),
        ("1_000\n2\n", object, ["1_000", "2"]),
        ("1e400\n2\n", object, ["1e400", "2"]),
        ("٣\n2\n", object, ["٣", "2"]),
        ("0x10\n2\n", object, ["0x10", "2"]),
        ("+1.50\n.5\n5.\n1E-3\n", np.float64, [1.5, 0.5, 5.0, 0.001]),
    ],
)
def test_numbers_are_exact_or_texts(tmp_path, text, dtype, values):
    column = read(tmp_path / "a.csv", "x\n" + text).columns["x"]
    assert column.cells.dtype == dtype
    assert column.cells.tolist() == values
    if dtype == np.float64:
        assert np.signbit(column.cells).tolist() == np.signbit(values).tolist()


def test_numbers_are_those_that_python_reads(tmp_path):
    """Python's ``float`` rounds every text to the nearest float64."""
    rng, draw = np.random.default_rng(3), random.Random(3)
    numbers = [repr(x) for x in (rng.normal(size=3000) * 10.0 ** rng.integers(-9, 9, 3000)).tolist()]
    numbers += [f"{x:.{draw.randrange(25)}f}" for x in rng.normal(size=3000).tolist()]
    numbers += [str(draw.randrange(10 ** draw.randrange(1, 25))) for _ in range(1000)]
    # the middle between two floats, and its neighbours, are the hardest to round
    for _ in range(1000):
        whole = draw.randrange(2**53, 2**54) * 2 + 1
        text = str(whole + draw.choice([-1, 0, 1]))
        numbers.append(text[: -draw.randrange(1, 9)] + "." + text[-3:])
    numbers += [
        "4503599627370496.5",
        "4503599627370497.5",
        "9007199254740993",
        "0.30000000000000004",
        "1.15",
        "0",
        "00.10",
    ]
    draw.shuffle(numbers)
    text = "x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(numbers, numbers[::-1], strict=True))
    found = read(tmp_path / "a.csv", text + "0.5,0.5\n").columns
    assert found["x"].cells.tolist() == [*map(float, numbers), 0.5]
    assert found["y"].cells.tolist() == [*map(float, reversed(numbers)), 0.5]


def test_few_numbers_are_read_one_by_one():
    """Nearly all that people write is read by whole arrays."""
    numbers = np.random.default_rng(0).normal(size=10_000)
    block = "".join(f"{number!r}\n" for number in numbers.tolist()).encode()
    [(_, _, odd)] = PlainCells(block, ",", ".", 1).numbers([0])
    assert len(odd) < 20


def test_quotes(tmp_path):
    rows = [["a", 'say "x"', "1"], ["b; c,d", "two\nlines", "2"], ["", "plain", "3"]]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows([["first name", "k", "x"], *rows])
    table = read(tmp_path / "a.csv", text.getvalue())
    assert cells(table) == {
        "first name": ["a", "b; c,d", None],
        "k": ['say "x"', "two\nlines", "plain"],
        "x": [1, 2, 3],
    }
    assert [table.place(row) for row in range(3)] == ["line 2", "line 4", "line 5"]


def test_a_quote_that_is_never_closed_is_named_where_it_opens(tmp_path):
    lines = ["1.5,2.5"] * 40_000
    lines[100] = '"1.5,2.5'
    with pytest.raises(
        DataError, match=r":102: a cell is longer than 131072 characters; a quote is opened here and not"
    ):
        read(tmp_path / "a.csv", "\n".join(["a,b", *lines]))


def test_rows_of_other_lengths_are_one_error(tmp_path):
    with pytest.raises(DataError, match=r":3: the row has 2 cells, the header 3"):
        read(tmp_path / "a.csv", "a,b,c\n1,2,3\n4,5\n")
    text = "a,b,c\n" + "1,2,3\n1,2\n1,2,3,4\n" * 3 + "\n1,2,3\n"
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.csv", text)
    expected = "lines 3 (2 cells), 4 (4 cells), 6 (2 cells), 7 (4 cells), 9 (2 cells), ..."
    assert f"6 rows have another number of cells than the header, which has 3 ({expected})" in str(caught.value)


def test_only_what_is_asked_for_is_read(tmp_path):
    seen = []

    def choose(names):
        seen.extend(names)
        return ["c", "a"]

    table = read(tmp_path / "a.csv", "a,b,c\n1,two,3\n", columns=choose)
    assert (seen, cells(table)) == (["a", "b", "c"], {"a": [1], "c": [3]})


def test_lines_of_rows_after_blank_ones(tmp_path):
    table = read(tmp_path / "a.csv", "\n\nx,y\n\n1,2\n\n\n3,4\n")
    assert cells(table) == {"x": [1, 3], "y": [2, 4]}
    assert [table.place(0), table.place(1)] == ["line 5", "line 8"]


def test_limits_hold_wherever_a_packed_file_is_read(tmp_path, monkeypatch):
    """pyarrow reads in a thread of its own, where a context variable has its default."""
    for module, name, value in (
        (opening, "UNPACKED_FREE", 0),
        (text_lines, "UNPACKED_FREE", 0),
        (reader, "_BLOCK", 4096),
    ):
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "a.csv.gz"
    numbers = np.random.default_rng(0).integers(10**8, size=(3000, 2)).tolist()
    path.write_bytes(gzip.compress(("x,y\n" + "".join(f"{x},{y}\n" for x, y in numbers)).encode()))
    with Limits(unpacked=1), pytest.raises(DataError, match="unpacks to more than"):
        read_table(path, columns=list, kinds={})
    assert len(read_table(path, columns=list, kinds={}).columns["x"].cells) == 3000
