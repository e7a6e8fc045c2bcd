"""One rule for every way in: what does not fit a dtype is an error with its place, never another number."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import dataflow
from dataflow import DataflowError
from dataflow.data.source import DataSource, read_data
from dataflow.files.toml.read import loads_toml
from dataflow.model.gathering import gather, parse_setting
from dataflow.support.conversion import convert


@pytest.fixture(autouse=True)
def _nobody_waits_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


# Each number as a text that CSV, JSON and TOML can write. What a dtype holds: Python's integers and IEEE 754.
MISFITS = [
    ("int32", "3000000000"),
    ("int32", str(2**31)),
    ("int32", str(-(2**31) - 1)),
    ("int32", "2.5"),
    ("int32", "3e9"),
    ("int64", str(2**63)),
    ("int64", str(2**64 - 1)),
    ("int64", str(-(2**63) - 1)),
    ("int64", "1e19"),
    ("int64", "-0.5"),
    ("bool", "2"),
    ("bool", "0.5"),
    ("bool", "-1"),
    ("float32", "1e39"),
    ("float32", "-4e38"),
    ("float64", "1e400"),
    ("float64", "-1e309"),
]
FITS = [
    ("int32", str(2**31 - 1), 2**31 - 1),
    ("int32", str(-(2**31)), -(2**31)),
    ("int32", "2.0", 2),
    ("int64", str(2**63 - 1), 2**63 - 1),
    ("int64", str(-(2**63)), -(2**63)),
    ("int64", str(2**53 + 1), 2**53 + 1),
    ("bool", "1", True),
    ("bool", "0", False),
    ("bool", "1.0", True),
    ("float32", "3.4028234663852886e38", float(np.finfo(np.float32).max)),
    ("float32", "1e-60", 0.0),
    ("float64", "1.7976931348623157e308", 1.7976931348623157e308),
    ("float64", str(2**53 + 1), 2.0**53),  # rounded to even, as IEEE 754 says
    ("float32", "16777217", 2.0**24),
]


def number(text: str) -> float | int:
    return float(text) if any(mark in text for mark in ".e") else int(text)


def model(dtype: str) -> dataflow.Model:
    graph = dataflow.Graph("net")
    graph.input("x", ("n", 2), dtype)
    return dataflow.Model(graph)


def from_csv(dtype: str, text: str, folder: Path) -> np.ndarray:
    (folder / "a.csv").write_text(f"x0,x1\n1,0\n0,{text}\n")
    return read_data(folder / "a.csv", model(dtype).graph)["x"]


def from_json(dtype: str, text: str, folder: Path) -> np.ndarray:
    (folder / "a.json").write_text(f'{{"x": [[1, 0],\n [0, {text}]]}}')
    return read_data(folder / "a.json", model(dtype).graph)["x"]


def from_json_rows(dtype: str, text: str, folder: Path) -> np.ndarray:
    (folder / "a.json").write_text(f'[{{"x0": 1, "x1": 0}},\n {{"x0": 0, "x1": {text}}}]')
    return read_data(folder / "a.json", model(dtype).graph)["x"]


def from_npz(dtype: str, text: str, folder: Path) -> np.ndarray:
    np.savez(folder / "a.npz", x=np.array([[1, 0], [0, number(text)]]))
    return read_data(folder / "a.npz", model(dtype).graph)["x"]


def from_set(dtype: str, text: str, folder: Path) -> np.ndarray:
    return gather(model(dtype), None, dict([parse_setting(f"x=[[1, 0], [0, {text}]]")]), None)[0]["x"]


def from_run(dtype: str, text: str, folder: Path) -> np.ndarray:
    return model(dtype).run(x=[[1, 0], [0, number(text)]])["x"]


def from_array(dtype: str, text: str, folder: Path) -> np.ndarray:
    return model(dtype).run(data={"x": np.array([[1, 0], [0, number(text)]])})["x"]


def from_objects(dtype: str, text: str, folder: Path) -> np.ndarray:
    return model(dtype).run(x=np.array([[1, 0], [0, number(text)]], object))["x"]


def from_compiled(dtype: str, text: str, folder: Path) -> np.ndarray:
    return model(dtype).compile(values=["x"])(x=[[1, 0], [0, number(text)]])[0]["x"]


def from_declared_arrays(dtype: str, text: str, folder: Path) -> np.ndarray:
    return DataSource({"x": [[1, 0], [0, number(text)]]}).load(model(dtype).graph)["x"]


def from_toml_data(dtype: str, text: str, folder: Path) -> np.ndarray:
    declared = f"dataflow = 1\ninputs.x = {{ shape = ['n', 2], dtype = '{dtype}' }}\n"
    return loads_toml(f"{declared}[data]\nx = [[1, 0], [0, {text}]]\n").run()["x"]


def from_toml_constant(dtype: str, text: str, folder: Path) -> np.ndarray:
    declared = f"dataflow = 1\n[constants]\nx = {{ dtype = '{dtype}', value = [[1, 0], [0, {text}]] }}\n"
    return loads_toml(declared).run()["x"]


def from_constant(dtype: str, text: str, folder: Path) -> np.ndarray:
    graph = dataflow.Graph("net")
    graph.constant("x", [[1, 0], [0, number(text)]], dtype)
    return dataflow.Model(graph).run()["x"]


def from_msgpack(dtype: str, text: str, folder: Path) -> np.ndarray:
    held = model(dtype)
    held.data = DataSource({"x": np.array([[1, 0], [0, number(text)]])})
    dataflow.save(held, folder / "a.msgpack")
    return dataflow.load(folder / "a.msgpack").run()["x"]


def from_parameter(dtype: str, text: str, folder: Path) -> np.ndarray:
    graph = dataflow.Graph("net")
    graph.parameter("x", (2, 2), init="zeros", dtype=dtype)
    held = dataflow.Model(graph)
    held.parameters["x"] = [[1, 0], [0, number(text)]]
    return held.parameters["x"]


def from_toml_parameter(dtype: str, text: str, folder: Path) -> np.ndarray:
    declared = f"dataflow = 1\n[parameters]\nx = {{ dtype = '{dtype}', value = [[1, 0], [0, {text}]] }}\n"
    return loads_toml(declared).parameters["x"]


WAYS = [
    *(from_csv, from_json, from_json_rows, from_npz, from_set, from_run, from_array, from_objects, from_compiled),
    *(from_declared_arrays, from_toml_data, from_toml_constant, from_constant, from_msgpack),
    *(from_parameter, from_toml_parameter),
]
PLACES = {
    from_csv: r"a\.csv:3: column 'x1': ",
    from_json: r"a\.json(: 'x' at \[1, 1\]|:2:6): ",
    from_json_rows: r"a\.json(: column 'x1' of row 2|:2:18): ",  # rows count from 1
    from_set: r"'x' at \[1, 1\]: |: what follows '=' ",
    from_toml_data: r"<text>:4:\d+: ",
    from_toml_constant: r"<text>:3:\d+: ",
    from_toml_parameter: r"<text>:3:\d+: ",
}


def possible(way, dtype: str, text: str) -> bool:
    """Whether the way can say this at all: a parameter is a float, Python's own 1e400 is an infinity, TOML's integers
    have 64 bits, and numpy's arrays have lost the integer already."""
    if way in (from_parameter, from_toml_parameter) and not dtype.startswith("float"):
        return False
    python = way not in (from_csv, from_json, from_json_rows, from_set, from_toml_data, from_toml_constant)
    if python and way is not from_toml_parameter and math.isinf(number(text)):
        return False
    if way in (from_npz, from_msgpack) and np.array(number(text)).dtype == object:
        return False
    toml = way in (from_toml_data, from_toml_constant, from_toml_parameter)
    if toml and isinstance(number(text), int) and not -(2**63) <= number(text) < 2**63:
        return False
    return not (way is from_msgpack and number(text) == 2**64 - 1)  # refused when it is saved


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_does_not_fit_is_an_error_with_its_place(way, tmp_path):
    tried = 0
    for dtype, text in MISFITS:
        if not possible(way, dtype, text):
            continue
        tried += 1
        with pytest.raises(DataflowError, match=rf"does not fit {dtype}, which holds ") as caught:
            way(dtype, text, tmp_path)
        place = PLACES.get(way, r"'x' at \[1, 1\]: ")
        assert re.search(place, str(caught.value)), str(caught.value)
    assert tried >= 2


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_fits_at_the_edge_is_that_number(way, tmp_path):
    for dtype, text, expected in FITS:
        if possible(way, dtype, text):
            with warnings.catch_warnings(action="error"):
                found = way(dtype, text, tmp_path)
            assert found.dtype == dtype
            assert found[1, 1] == expected, (dtype, text)


def test_whole_numbers_beside_floats_stay_exact():
    for given in ([2**53 + 1, 2.0], [[2**53 + 1], [2.0]], (2**53 + 1, np.float64(2))):
        assert convert(given, np.dtype("int64")).reshape(-1).tolist() == [2**53 + 1, 2]
    assert parse_setting("x=[9007199254740993, 2.0]")[1][0] == 2**53 + 1


def test_infinity_is_a_number_when_it_is_given_as_one(tmp_path):
    for text in ("inf", "-inf", "Infinity"):  # but not as a cell of a table
        with pytest.raises(DataflowError, match=r"a finite number is expected, inf found|-inf found"):
            from_csv("float32", text, tmp_path)
    assert math.isinf(from_json("float64", '"inf"', tmp_path)[1, 1])
    assert math.isinf(from_set("float64", '"inf"', tmp_path)[1, 1])
    assert math.isinf(from_toml_data("float32", "inf", tmp_path)[1, 1])
    assert math.isinf(from_toml_parameter("float32", "-inf", tmp_path)[1, 1])
    assert math.isinf(model("float32").run(x=[[1, np.inf]])["x"][0, 1])


def test_nan_is_missing_in_a_data_file_and_a_number_elsewhere(tmp_path):
    np.savez(tmp_path / "a.npz", x=[[1, 0], [0, np.nan]])
    ways = [
        lambda: from_csv("float64", "NaN", tmp_path),
        lambda: from_json("float64", "NaN", tmp_path),
        lambda: from_json("float64", '"nan"', tmp_path),
        lambda: from_json("float64", "null", tmp_path),
        lambda: from_json_rows("float64", "NaN", tmp_path),
        lambda: read_data(tmp_path / "a.npz", model("float64").graph),
        lambda: read_data(tmp_path / "a.npz", model("float64").graph, DataSource(scale={"x": 2})),
    ]
    for way in ways:
        with pytest.raises(DataflowError, match=r"(column 'x1'.*|'x' at \[1, 1\]): the cell is missing"):
            way()
    assert np.isnan(from_set("float64", '"nan"', tmp_path)[1, 1])
    assert np.isnan(from_toml_data("float64", "nan", tmp_path)[1, 1])
    assert np.isnan(model("float64").run(x=[[1, np.nan]])["x"][0, 1])


class NAType:
    """As pandas' own: it stands in an array of objects and cannot be compared."""

    def __repr__(self) -> str:
        return "<NA>"

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class Broken:
    def __array__(self, *_, **__):
        raise RuntimeError("requires grad\nsecond line")


MASKED = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[False, False], [False, True]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (MASKED, r"'x' at \[1, 1\]: the cell is missing \(masked\)"),
        ([[1, 2], np.ma.array([3, 4], mask=[True, False])], r"'x' at \[1, 0\]: the cell is missing \(masked\)"),
        ([[1, 2], [3, np.ma.masked]], r"'x' at \[1, 1\]: the cell is missing \(masked\)"),
        (np.array([[1, 2], [3, NAType()]], object), r"'x' at \[1, 1\]: the cell is missing \(NA\)"),
        ([[1, 2], [3, None]], r"'x' at \[1, 1\]: the cell is missing \(null\)"),
        ([[1, 2], [3, "4"]], r"'x' at \[1, 1\]: a number is expected, '4' found"),
        (np.array([["1", "2"]]), r"'x' at \[0, 0\]: a number is expected, '1' found"),
        ([[1, 2], [3, 1j]], r"an array of numbers is expected, complex128 found"),
        (np.array([["2026-01-01"]], "datetime64[D]"), r"an array of numbers is expected, datetime64\[D\] found"),
        ([[1, 2], [3]], r"'x' at \[1\]: this has 1 entry, the first has 2 entries"),
        ([[1, 10**5000]], r"'x' at \[0, 1\]: a number of thousands of digits does not fit float64"),
        (Broken(), r"a Broken cannot be read as an array: requires grad$"),
    ],
)
def test_what_is_no_array_of_numbers(value, message):
    for give in (
        lambda: model("float64").run(x=value),
        lambda: model("float64").compile(values=["x"])(x=value),
        lambda: dataflow.Graph("net").constant("x", value),
        lambda: dataflow.Graph("net").parameter("x", value=value),
        lambda: loads_toml("dataflow = 1\nparameters.x = { shape = [2, 2], init = 'zeros' }").parameters.update(
            x=value
        ),
    ):
        with pytest.raises(DataflowError, match=message):
            give()


def test_an_array_without_masked_cells_and_one_of_the_right_dtype_are_taken_as_they_are():
    assert convert(np.ma.array([1, 2], mask=False), np.dtype("int64")).tolist() == [1, 2]
    given = np.array([1.0, np.nan])
    assert convert(given, given.dtype) is given


def test_what_scale_makes_too_large_is_an_error_with_its_place(tmp_path):
    (tmp_path / "a.csv").write_text("x0,x1\n1,2\n3,1e300\n")
    with pytest.raises(DataflowError, match=r"a\.csv:3: column 'x1': 1e\+300 does not fit float64, .*scale = 1e\+10"):
        read_data(tmp_path / "a.csv", model("float64").graph, DataSource(scale={"x": 1e10}))
    with pytest.raises(DataflowError, match=r"a\.csv:3: column 'x1': 1e\+301 does not fit float32"):
        read_data(tmp_path / "a.csv", model("float32").graph, DataSource(scale={"x": 10}))


def test_a_drawn_number_that_does_not_fit_is_an_error_of_the_parameter():
    graph = dataflow.Graph("net", dtype="float32")
    graph.parameter("W", (3,), init={"name": "constant", "value": 1e39})
    with pytest.raises(DataflowError, match=r"'W' at \[0\]: 1e\+39 does not fit float32"):
        dataflow.Model(graph).parameters["W"]
