"""Data files: what is read, and what each fault is called."""

from __future__ import annotations

import gzip
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS

from dataflow import DataError, Graph
from dataflow.data.readers import csv as tables
from dataflow.data.readers import json_files as datafiles
from dataflow.data.readers import npz as archives
from dataflow.data.source import DataSource, read_data


def graph(**inputs):
    built = Graph("data")
    for name, declared in inputs.items():
        shape, dtype = declared if isinstance(declared, tuple) else (declared, None)
        built.input(name, shape, dtype)
    return built


XY = {"x": ["n", 2], "y": ["n", 1]}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


# ------------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("x0,x1,y\n1,2,3\n4,5,6\n", {}),
        ("y,x1,x0\r\n3,2,1\r\n6,5,4\r\n", {}),
        ("\ufeffx0,x1,y\n1,2,3\n4,5,6", {}),
        ("x0,x1,y\r1,2,3\r\r4,5,6\r", {}),
        ("x0,x1,y\r1,2,3\r4,5,6", {}),
        ("x0,x1,y\n1,2,3\r4,5,6\r\n", {}),
        ('id,a,b,"y"\nfirst,1,2,3\n"second, last",4,"5",6\n', {"x": "a:b", "y": "y"}),
        ("a, b ,label\n 1 , 2,3\n\n4,5,6\n\n", {"x": ["a", "b"], "y": "label"}),
        ("b,a,c\n2,1,3\n5,4,6\n", {"x": ["a:a", "b"], "y": ["c"]}),
        ("a:b,b,y\n1,2,3\n4,5,6\n", {"x": ["a:b", "b"]}),
    ],
)
def test_csv(tmp_path, name, text, columns):
    found = read_data(write(tmp_path, name, text), graph(**XY), DataSource(columns=columns))
    assert found["x"].tolist() == [[1, 2], [4, 5]]
    assert found["y"].tolist() == [[3], [6]]


def test_a_row_is_counted_whatever_ends_the_lines(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        path = write(tmp_path, "a.csv", end.join(["x0,x1,y", "1,2,3", "4,five,6", ""]))
        with pytest.raises(DataError, match=r":3: column 'x1': a number is expected, 'five' found"):
            read_data(path, graph(**XY))


@pytest.mark.slow
def test_wide_tables_and_many_keys_take_linear_time(tmp_path):
    """Looking each column up in the header took 10 s for these columns, each key in its object 146 s."""
    header = ",".join(f"p{i}" for i in range(20_000))
    path = write(tmp_path, "a.csv", f"{header}\n{','.join(['1'] * 20_000)}\n")
    rows = write(tmp_path, "a.json", json.dumps([{f"p{i}": i for i in range(20_000)}]))
    twice = write(tmp_path, "b.json", "{" + '"key": 1, ' * 100_000 + '"x": [[1, 2]]}')
    many = write(tmp_path, "b.csv", "a,b\n1,2\n")
    start = time.process_time()
    for file in (path, rows):
        found = read_data(file, graph(x=["n", 20_000]), DataSource(columns={"x": [f"p{i}" for i in range(20_000)]}))
        assert found["x"].shape == (1, 20_000)
        assert read_data(file, graph(p=["n", 20_000]))["p"].shape == (1, 20_000)
    with pytest.raises(DataError, match="the key 'key' stands twice in one object"):
        read_data(twice, graph(**XY))
    found = read_data(many, graph(x=["n", "k"]), DataSource(columns={"x": ["a:b"] * 60_000}))
    assert found["x"].shape == (1, 120_000)
    assert time.process_time() - start < 10  # 2 on an idle machine


def test_csv_in_many_pieces(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(10_000, 3))
    text = "x0,x1,y\n" + "\n".join(",".join(map(repr, row)) for row in numbers.tolist())
    found = read_data(write(tmp_path, "a.csv", text), graph(**XY))
    assert np.array_equal(np.hstack([found["x"], found["y"]]), numbers)


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        ({"x": ["n"]}, "x\n1\n2\n", [1.0, 2.0]),
        ({"x": ["n", 1]}, "x\n1\n2\n", [[1.0], [2.0]]),
        ({"x": ["n", 2, 2]}, "x0,x1,x2,x3\n1,2,3,4\n", [[[1.0, 2.0], [3.0, 4.0]]]),
        ({"x": ["n", "m"]}, "x0,x1,x2\n1,2,3\n", [[1.0, 2.0, 3.0]]),
        ({"x": []}, "x\n7\n", 7.0),
        ({"x": (["n"], "int64")}, "x\n9007199254740993\n2.0\n", [9007199254740993, 2]),
        ({"x": (["n"], "int32")}, "x\n-3\n", [-3]),
        ({"x": (["n"], "bool")}, "x\nTrue\n0\n1\nfalse\n", [True, False, True, False]),
        ({"x": (["n"], "float32")}, "x\n0.1\n", [np.float32(0.1)]),
    ],
)
def test_csv_in_the_declared_shape_and_dtype(tmp_path, declared, text, expected):
    built = graph(**declared)
    found = read_data(write(tmp_path, "a.csv", text), built)["x"]
    assert found.dtype == built.node_of("x").dtype
    assert found.tolist() == expected


def test_one_hot_and_scale(tmp_path):
    path = write(tmp_path, "a.csv", "a,label\n16,2\n8,0\n")
    source = DataSource(columns={"x": "a", "y": "label"}, one_hot={"y": 3}, scale={"x": 0.0625, "y": 2})
    found = read_data(path, graph(x=["n"], y=["n", 3]), source)
    assert found["x"].tolist() == [1.0, 0.5]
    assert found["y"].tolist() == [[0, 0, 2], [2, 0, 0]]


def test_one_hot_of_what_is_one_hot_already(tmp_path):
    np.savez(tmp_path / "a.npz", y=np.eye(3)[[2, 0]])
    source = DataSource(one_hot={"y": 3})
    assert read_data(tmp_path / "a.npz", graph(y=["n", 3]), source)["y"].tolist() == [[0, 0, 1], [1, 0, 0]]


def test_a_scaled_whole_number(tmp_path):
    source = DataSource(scale={"x": 10})
    assert read_data(write(tmp_path, "a.csv", "x\n0.5\n"), graph(x=(["n"], "int32")), source)["x"].tolist() == [5]


def test_labels_may_be_missing_in_a_users_file_only(tmp_path):
    path = write(tmp_path, "a.csv", "p0,p1\n1,2\n")
    source = DataSource(columns={"x": "p0:p1", "y": "label"}, file=Path("a.csv"), folder=tmp_path)
    assert list(read_data(path, graph(**XY), source)) == ["x"]
    with pytest.raises(DataError, match=r"a\.csv:1: unknown column 'label'"):
        source.load(graph(**XY))


@pytest.mark.parametrize(
    "content",
    [
        {"x": [[1, 2], [4, 5]], "y": [[3], [6]], "other": "text"},
        [{"x": [1, 2], "y": [3]}, {"x": [4, 5], "y": [6]}],
        [{"x0": 1, "x1": 2, "y": 3}, {"x1": 5, "x0": 4, "y": 6}],
    ],
)
def test_json(tmp_path, content):
    found = read_data(write(tmp_path, "a.json", json.dumps(content)), graph(**XY))
    assert found["x"].tolist() == [[1, 2], [4, 5]]
    assert found["y"].tolist() == [[3], [6]]


def test_json_with_what_dataflow_writes_for_infinity(tmp_path):
    found = read_data(write(tmp_path, "a.json", '{"x": [[1, 2], ["inf", "-inf"]]}'), graph(**XY))["x"]
    assert found.tolist() == [[1, 2], [np.inf, -np.inf]]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    x = np.random.default_rng(0).normal(size=(5, 2))
    save(tmp_path / "a.npz", x=np.asfortranarray(x), y=np.arange(5, dtype=np.int16)[:, None], z=np.array(["text"]))
    found = read_data(tmp_path / "a.npz", graph(**XY))
    assert np.array_equal(found["x"], x)
    assert found["y"].dtype == np.float64
    assert list(found) == ["x", "y"]


def test_declared_arrays_are_kept_as_declared_and_loaded_once():
    source = DataSource({"x": [[0, 1], [1, 0]], "y": [2, 0]}, one_hot={"y": 3})
    built = graph(x=["n", 2], y=["n", 3])
    first = source.load(built)
    assert first["y"].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert source.load(built)["x"] is first["x"]
    assert source.arrays == {"x": [[0, 1], [1, 0]], "y": [2, 0]}


def test_digits_are_read_in_a_tenth_of_a_second():
    source = DataSource(None, Path("digits.csv.gz"), {"x": "p0:p63", "y": "label"}, {"y": 10}, {"x": 0.0625}, MODELS)
    start = time.process_time()
    found = source.load(graph(x=["n", 64], y=["n", 10]))
    assert time.process_time() - start < 0.5  # 0.03 on an idle machine
    assert found["x"].shape == (1797, 64)
    assert (found["x"].min(), found["x"].max()) == (0, 1)
    assert found["y"].sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as documented by UCI


# ------------------------------------------------------------------------------------------------ faults


CSV_FAULTS = {
    "empty file": ("", r"is empty; a CSV file begins with a row that names its columns"),
    "blank lines only": ("\n\n", r"is empty"),
    "no rows": ("x0,x1,y\n", r"has a header and no rows"),
    "short row": ("x0,x1,y\n1,2,3\n4,5\n", r":3: the row has 2 cells, the header 3"),
    "long row": ("x0,x1,y\n1,2,3,4\n", r":2: the row has 4 cells, the header 3"),
    "missing": (
        "x0,x1,y\n1,2,3\n4,,6\n",
        r":3: column 'x1': the cell is missing; to accept it, declare missing = \{ x1 = \"median\" \}",
    ),
    "blank": ("x0,x1,y\n1,  ,3\n", r":2: column 'x1': the cell is missing"),
    "nan": ("x0,x1,y\n1,2,3\n1,NaN,3\n", r":3: column 'x1': the cell is missing"),
    "text": ("x0,x1,y\n1,2,3\n\n1,two,3\n", r":4: column 'x1': a number is expected, 'two' found"),
    "comma as a point": (
        'x0,x1,y\n1,"2,5",3\n',
        r":2: column 'x1': a number is expected, '2,5' found; to accept it, declare decimal = \",\"$",
    ),
    "commas and points": (
        "x0;x1;y\n1,5;2;3.5\n2,5;2;3\n",
        r"2 cells of column 'x0' are not a number \(lines 2 '1,5', 3 '2,5'\), accepted by decimal = \",\"$",
    ),
    "thousands and points": (
        "x0;x1;y\n1,500;2;3.5\n",
        r":2: column 'x0': a number is expected, '1,500' found; to accept it, declare thousands = \",\"$",
    ),
    "underscore": ("x0,x1,y\n1,2_000,3\n", r":2: column 'x1': a number is expected, '2_000' found"),
    "a cell over two lines": ('x0,x1,y\n1,"2\n\n",x\n', r":4: column 'y': a number is expected, 'x' found"),
    "no header": ("1,2,3\n4,5,6\n", r":1: has nothing for .*first row should name the columns; it holds numbers"),
    "other columns": ("a,b\n1,2\n", r":1: has nothing for the inputs 'x', 'y'; its columns are 'a', 'b'"),
    "twice": ("x0,x1,x0,y\n1,2,3,4\n", r":1: column 'x0' stands there 2 times; give each a name of its own"),
    "three columns": ("x0,x1,x2\n1,2,3\n", r"input 'x' has 2 columns, 3 found \(x0, x1, x2\)"),
    "open quote": ('x0,x1,y\n1,"2,3\n4,5,6\n', r":2: a quote is opened here and not closed; close it, or"),
    "open quote in a later line of a row": ('x0,x1,y\n"1\n",2,"3\n4,5,6\n', r":3: a quote is opened here"),
    "open quote after a doubled one": ('x0,x1,y\n"1",2,3\n"4""\n""",5,"6\n7,8,9\n', r":4: a quote is opened here"),
    "infinity": (
        "x0,x1,y\n1,-inf,3\n",
        r":2: column 'x1': a finite number is expected, -inf found; correct the cell, or",
    ),
    "row too long": (
        "x0,x1,y\n1,2,3,4\n",
        r":2: the row has 4 cells, the header 3; put a cell that holds ',' in quotes",
    ),
    "row too short": (
        "x0;x1;y\n1;2;3\n4;5\n",
        r":3: the row has 2 cells, the header 3; leave missing cells empty, with",
    ),
    "quote in a cell": ('x0,x1,y\n1,"2"3,3\n', r":2: this is no row of a CSV file: "),
    "latin-1": ("x0,x1,y,ä\n1,2,3,4\n".encode("latin-1"), r":1: is not UTF-8 text \(byte 0xe4"),
    "utf-16": ("x0,x1,y\n1,2,3\n".encode("utf-16-le"), r":1: is UTF-16 text"),
}


@pytest.mark.parametrize("fault", CSV_FAULTS)
def test_csv_faults(tmp_path, fault):
    content, message = CSV_FAULTS[fault]
    path = write(tmp_path, "a.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        read_data(path, graph(**XY))
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def test_only_csv_has_a_decimal_sign_to_declare(tmp_path):
    """Elsewhere numbers are written with a point; that the cells become categories is nobody's wish."""
    lines = write(tmp_path, "a.jsonl", '{"x0": "1,5", "x1": 2, "y": 3}\n')
    message = r"column 'x0'.*: a number is expected, '1,5' found; write numbers with a decimal point$"
    for data in (lines, [{"x0": "1,5", "x1": 2, "y": 3}]):
        with pytest.raises(DataError, match=message):
            read_data(data, graph(**XY))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": "p0:p9"}, r":1: unknown column 'p9'; available: 'p0', 'p1', 'label'"),
        ({"x": "p1:p0"}, r":1: the range 'p1:p0' runs backwards"),
        ({"x": ["p0", "label"], "y": "lable"}, r":1: unknown column 'lable'; did you mean 'label'\?"),
        ({"x": "p0"}, r"input 'x' has 2 columns, 1 found \(p0\)"),
        ({"z": "p0"}, r"unknown input 'z'"),
    ],
)
def test_declared_columns(tmp_path, columns, message):
    write(tmp_path, "a.csv", "p0,p1,label\n1,2,3\n")
    with pytest.raises(DataError, match=message):
        DataSource(file=Path("a.csv"), columns=columns, folder=tmp_path).load(graph(**XY))


@pytest.mark.parametrize("label", ["3", "-1", "0.5", "inf"])
def test_one_hot_labels_out_of_range(tmp_path, label):
    path = write(tmp_path, "a.csv", f"label\n1\n\n{label}\n")
    source = DataSource(columns={"y": "label"}, one_hot={"y": 3})
    expected = r":4: column 'label': a whole number from 0 to 2 is expected \(one_hot = 3\), " + label
    with pytest.raises(DataError, match=expected):
        read_data(path, graph(y=["n", 3]), source)


def test_whole_numbers_and_truths(tmp_path):
    for dtype, text, message in [
        (
            "int64",
            "0.5",
            "0.5 does not fit int64, which holds whole numbers from -9223372036854775808 to 9223372036854775807",
        ),
        ("int64", str(2**63), "9223372036854775808 does not fit int64"),
        ("bool", "yes", "true or false is expected, 'yes' found"),
    ]:
        with pytest.raises(DataError, match=rf":2: column 'x': {message}"):
            read_data(write(tmp_path, "a.csv", f"x\n{text}\n"), graph(x=(["n"], dtype)))


JSON_FAULTS = {
    "not json": ('{"x": [[1, 2],\n [3 4]]}', r":2:5: is not JSON: Expecting ',' delimiter"),
    "empty": ("", r":1:1: is not JSON"),
    "latin-1": ('{"ä": 1}'.encode("latin-1"), r":1: is not UTF-8"),
    "missing": ('{"x": [[1, 2], [3, null]]}', r"'x' at \[1, 1\]: the cell is missing \(null\); fill it in"),
    "text": ('{"x": [[1, 2], [3, "four"]]}', r"'x' at \[1, 1\]: a number is expected, 'four' found"),
    "object": ('{"x": [[1, 2], [3, {}]]}', r"'x' at \[1, 1\]: a number is expected, \{\} found"),
    "ragged": (
        '{"x": [[1, 2], [3]]}',
        r"'x' at \[1\]: this has 1 entry, the first has 2 entries; rows have one length",
    ),
    "mixed": ('{"x": [[1, 2], 3]}', r"'x' at \[1\]: this is a number, the first has 2 entries"),
    "shape": ('{"x": [[1, 2, 3]]}', r"input 'x': shape \(n, 2\) is expected, \(1, 3\) found"),
    "twice": ('{"x": [[1, 2]], "x": [[1, 2]]}', r"the key 'x' stands twice in one object"),
    "other keys": ('{"X": [[1, 2]]}', r"has nothing for the inputs 'x', 'y'; its keys are 'X'"),
    "no rows": ("[]", r"has no rows"),
    "odd rows": ('[{"x": [1, 2]}, 3]', r"row 2: a row is a mapping from names to cells, 3 found"),
    "a number": ("3", r"is a JSON object of arrays by input, or a list of row objects"),
    "unlike rows": ('[{"x": [1, 2], "y": 1}, {"x": [1, 2]}]', r"row 2 lacks 'y', which row 1 has"),
    "null in a row": (
        '[{"x0": 1, "x1": 2}, {"x0": 1, "x1": null}]',
        r"column 'x1' of row 2: the cell is missing",
    ),
    "deep": ("[" * 100_000, "is nested too deep"),
    "deep numbers": ('{"x": ' + "[" * 200 + "1" + "]" * 200 + "}", r"lists are nested more than 32 deep"),
    "digits": ('{"x": [[1, ' + "9" * 5000 + "]]}", r"a whole number of thousands of digits"),
    "large": ('{"x": [[1, ' + "9" * 400 + "]]}", r"'x' at \[0, 1\]: 9{37}\.\.\. does not fit float64"),
    "rows": (
        '{"x": [[1, 2], [3, 4]], "y": [[1]]}',
        r"different numbers of rows \(their size 'n'\): 'x' has 2, 'y' has 1",
    ),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_json_faults(tmp_path, fault):
    content, message = JSON_FAULTS[fault]
    path = write(tmp_path, "a.json", content)
    with pytest.raises(DataError, match=message) as caught:
        read_data(path, graph(**XY))
    assert str(caught.value).startswith(f"{path}:")
    assert "\n" not in str(caught.value)


def npz(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return path


def header(shape: str, descr: str = "<f8") -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_npy(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray([[1, 2], [4, 5]]))
    assert read_data(tmp_path / "a.npy", graph(x=["n", 2]))["x"].tolist() == [[1, 2], [4, 5]]
    with pytest.raises(DataError, match=r"a\.npy: holds one array, and the model has the inputs 'x', 'y'; use \.npz"):
        read_data(tmp_path / "a.npy", graph(**XY))
    for content in (b"", b"\x93NUMPY\x01\x00", header("(2, 2)") + bytes(16), header("(2, 2)", "|O") + bytes(32)):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npy: "):
            read_data(tmp_path / "a.npy", graph(x=["n", 2]))


def test_npz_faults(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="array 'x' holds object; an array of numbers is expected"):
        read_data(path, graph(**XY))
    for content, message in [
        (header("(2, 2)") + bytes(16), r"its shape \[2, 2\] does not fit the length of its data"),
        (header("(4294967296, 4294967296)"), "a shape of 2 axes that no array has"),
        (header("(-1, 2)") + bytes(16), "a shape of 2 axes that no array has"),
        (header("(1, 2)", "|O") + bytes(16), "array 'x' holds object"),
        (b"\x93NUMPY\x03\x00" + bytes(64), "is not an array of numbers"),
        (b"nothing", "its header is none that numpy.savez writes"),
        (b"", "its header is none that numpy.savez writes"),
        (header("(__import__('os').abort(), 2)") + bytes(16), "its header is none that numpy.savez writes"),
        (header("-" * 9000 + "1"), "its header is none that numpy.savez writes"),
        (header("(" * 9000), "its header is none that numpy.savez writes"),
        (header("(" + "9" * 9000 + ",)"), "its header is none that numpy.savez writes"),
        (header("(2, 2)", "'\\\\d'"), "its header is none that numpy.savez writes"),
        (header("(" + "1, " * 33 + ")") + bytes(8), "a shape of 33 axes that no array has"),
    ]:
        with pytest.raises(DataError, match=message):
            read_data(npz(path, "x.npy", content), graph(**XY))
    np.savez(path, a=np.zeros(2))
    with pytest.raises(DataError, match="has nothing for the inputs 'x', 'y'; its arrays are 'a'"):
        read_data(path, graph(**XY))
    np.savez(path, x=np.zeros((3, 3)))
    with pytest.raises(DataError, match=r"input 'x': shape \(n, 2\) is expected, \(3, 3\) found"):
        read_data(path, graph(**XY))
    whole = path.read_bytes()
    for end in (0, 10, 100, len(whole) - 5):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="is no NumPy archive"):
            read_data(path, graph(**XY))


def test_what_is_too_large_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CSV_LIMIT", 10_000)
    monkeypatch.setattr(tables, "LINE_LIMIT", 1_000)
    monkeypatch.setattr(datafiles, "JSON_LIMIT", 1_000)
    monkeypatch.setattr(archives, "NPZ_LIMIT", 1_000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 2)))
    for path, message in [
        (write(tmp_path, "a.csv.gz", "x0,x1\n" + "1,2\n" * 10_000), r"is longer than .* the most for CSV"),
        (write(tmp_path, "b.csv", "x0,x1\n" + "1" * 2000), r":2: a row is longer than"),
        (write(tmp_path, "c.csv", 'x0,x1\n1,"' + "\n" * 2000), r"a row is longer than"),
        (write(tmp_path, "a.json", '{"x": ' + " " * 1000 + "[]}"), r"is longer than .* the most for JSON"),
        (tmp_path / "a.npz", r"its arrays take more than"),
    ]:
        with pytest.raises(DataError, match=message):
            read_data(path, graph(**XY))


def test_one_hot_of_too_many_classes():
    built = graph(y=["n", "k"])
    with pytest.raises(DataError, match="the one-hot inputs would take 3.91 GiB together"):
        DataSource({"y": [0] * 500}, one_hot={"y": 2**20}).load(built)


def test_damaged_gzip(tmp_path):
    path = write(tmp_path, "a.csv.gz", "x0,x1\n" + "1,2\n" * 1000)
    whole = path.read_bytes()
    for damaged in (whole[:-20], whole[:30], b"x0,x1\n1,2\n", whole[:20] + b"\xff\xff\xff" + whole[23:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.csv\.gz: cannot be unpacked"):
            read_data(path, graph(**XY))


def test_files_that_are_none(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.csv")
    else:
        (tmp_path / "pipe.csv").mkdir()
    for name, message in [
        ("missing.csv", "there is no such file; check the name"),
        ("folder.csv", "is a folder; name a data file"),
        ("pipe.csv", r"is no ordinary file|is a folder"),
        ("a\0b.csv", "cannot be read"),
        ("a.xlsx", r"data files end in \.csv, \.csv\.gz, .* or \.arrow"),
    ]:
        with pytest.raises(DataError, match=message):
            read_data(tmp_path / name, graph(**XY))


def test_declared_files_stay_in_their_folder(tmp_path):
    inside, outside = tmp_path / "model", tmp_path / "elsewhere"
    inside.mkdir()
    outside.mkdir()
    text = "x0,x1\n1,2\n"
    write(outside, "a.csv", text)
    write(inside, "a.csv", text)
    (inside / "link.csv").symlink_to(outside / "a.csv")
    (inside / "out").symlink_to(outside)
    (inside / "loop.csv").symlink_to(inside / "loop.csv")
    (inside / "here.csv").symlink_to(inside / "a.csv")
    for name in ("a.csv", "./a.csv", "here.csv"):
        assert DataSource(file=Path(name), folder=inside).load(graph(**XY))["x"].tolist() == [[1, 2]]
    for name in (
        str(outside / "a.csv"),
        "../elsewhere/a.csv",
        "sub/../a.csv",
        "..\\elsewhere\\a.csv",
        "C:\\a.csv",
        "link.csv",
        "out/a.csv",
        "a\0.csv",
    ):
        with pytest.raises(DataError, match="outside the folder of its model; put it there, or name it with --data"):
            DataSource(file=Path(name), folder=inside).load(graph(**XY))
    with pytest.raises(DataError):
        DataSource(file=Path("loop.csv"), folder=inside).load(graph(**XY))
    assert read_data(inside / "link.csv", graph(**XY))["x"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (DataSource({"x": [[1, 2]], "z": [1]}), r"unknown input 'z'; available: 'x', 'y'"),
        (DataSource({"x": [[1, 2]]}, Path("a.csv")), r"as arrays and as a file"),
        (DataSource(one_hot={"y": 0}), r"one_hot of 'y': a number of classes from 1"),
        (DataSource(one_hot={"y": 2.0}), r"one_hot of 'y': a number of classes"),
        (DataSource(one_hot={"y": 10}), r"makes its last size 10; its declared shape is \(n, 1\)"),
        (DataSource(scale={"x": "2"}), r"scale of 'x' is a number, not '2'"),
        (DataSource(scale={"x": float("nan")}), r"scale of 'x' is a number, not nan"),
        (DataSource(scale={"x": 10**400}), r"scale of 'x' is a number"),
        (DataSource({"x": [[1, 2], [3, 4]], "y": [[1]]}), r"different numbers of rows"),
        (DataSource({"x": [[1, None]]}), r"'x' at \[0, 1\]: the cell is missing \(null\)"),
        (DataSource({"x": [[1, 2], [3]]}), r"'x' at \[1\]: this has 1 entry"),
        (DataSource({"x": [1, 2]}), r"input 'x': 2 axes"),
        (DataSource({"x": [["a", 2]]}), r"'x' at \[0, 0\]: a number is expected, 'a' found"),
    ],
)
def test_declarations_that_cannot_be(source, message):
    with pytest.raises(DataError, match=message):
        source.load(graph(**XY))
