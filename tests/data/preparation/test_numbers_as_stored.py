"""Numbers are changed piece by piece, in the dtype in which they were read: what comes of them is what numpy gives for
whole columns of float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from later import Later

import dataflow
from dataflow.data.preparation import apply as applying
from dataflow.data.preparation.apply import apply, attempt
from dataflow.data.preparation.learn import learn
from dataflow.data.preparation.learned import LearnedInput, Preparation
from dataflow.data.preparation.rules import Rules, read_categories, read_missing
from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.data.readers.arrow import read_parquet
from dataflow.data.readers.cell_values import array_column
from dataflow.data.readers.opening import Origin
from dataflow.data.source import DataSource
from dataflow.ops import mse

pa = Later("pyarrow")
parquet = Later("pyarrow.parquet")
pd = Later("pandas")

ROWS = 1000
RNG = np.random.default_rng(3)
STORED = {
    "float32": RNG.normal(1e3, 70, ROWS).astype(np.float32),
    "float64": RNG.normal(-0.1, 1e-3, ROWS),
    "float16": RNG.normal(size=ROWS).astype(np.float16),
    "whole float32": RNG.integers(-50, 50, ROWS).astype(np.float32),
    "int64": RNG.integers(-(2**62), 2**62, ROWS),
    "uint8": RNG.integers(0, 255, ROWS).astype(np.uint8),
    "bool": RNG.random(ROWS) < 0.3,
}


def graph_with(**dtypes: str) -> dataflow.Graph:
    graph = dataflow.Graph("net")
    for name, dtype in dtypes.items():
        graph.input(name, ("n", "w"), dtype)
    return graph


def table_of(arrays: dict[str, np.ndarray]) -> RawTable:
    return RawTable({name: array_column(array, None) for name, array in arrays.items()}, None, "the table")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [{}, {"x": -0.7}])
@pytest.mark.parametrize("standardize", [[], ["x"]])
def test_columns_are_what_numpy_makes_of_them(
    dtype: str, scale: dict, standardize: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "_PIECE", 300)  # several pieces, the last one shorter
    rules = Rules({"x": list(STORED)}, standardize=standardize, scale=scale)
    means, deviations = RNG.normal(size=len(STORED)), RNG.random(len(STORED)) + 0.5
    learned = Preparation({}, {"x": LearnedInput(None, means, deviations)} if standardize else {})
    found = apply(table_of(STORED), rules, learned, graph_with(x=dtype)).arrays["x"]
    for i, array in enumerate(STORED.values()):
        numbers = array.astype(np.float64)
        if standardize:
            numbers = (numbers - means[i]) / deviations[i]
        expected = (numbers * scale["x"] if scale else numbers).astype(dtype)
        assert found[:, i].tobytes() == expected.tobytes()


def test_float32_and_float64_of_the_same_numbers_teach_and_give_the_same() -> None:
    names = {"x": ["a", "b"], "k": ["kind"], "c": ["class"], "i": ["big"]}
    rules = Rules(
        names,
        {"a": read_missing("median"), "b": read_missing({"fill": "mean", "indicator": True})},
        {"kind": read_categories("index")},
        one_hot={"c": True},
        standardize=["x"],
        scale={"i": 1.0},
        weights="w",
    )
    narrow = {
        "a": RNG.normal(size=ROWS),
        "b": RNG.normal(size=ROWS),
        "kind": RNG.choice([0.5, 0.1, 7.25], ROWS),
        "class": RNG.choice([0.1, 0.2], ROWS),
        "big": RNG.normal(size=ROWS),
        "w": RNG.random(ROWS),
    }
    narrow = {name: array.astype(np.float32) for name, array in narrow.items()}
    tables = [table_of(narrow), table_of({name: array.astype(np.float64) for name, array in narrow.items()})]
    assert {column.stored.dtype.name for column in tables[0].columns.values()} == {"float32"}
    graph = graph_with(x="float32", k="float64", c="float32", i="float32")
    one, two = (learn(table, rules) for table in tables)
    assert one.plain() == two.plain()
    first, second = (apply(table, rules, one, graph) for table in tables)
    for name, array in first.arrays.items():
        assert array.dtype == second.arrays[name].dtype
        assert array.tobytes() == second.arrays[name].tobytes()
    assert first.weights is not None
    assert second.weights is not None
    assert first.weights.tobytes() == second.weights.tobytes()
    for name, column in tables[0].columns.items():
        assert column.cells.dtype == np.float64
        assert column.cells.tobytes() == tables[1].columns[name].cells.tobytes()


@pytest.mark.parametrize("place", [0, 7, 500, ROWS - 1])
@pytest.mark.parametrize("number", [3e38, -3e38])
def test_a_number_that_is_too_large_once_it_is_changed_is_found_anywhere(place: int, number: float) -> None:
    cells = RNG.normal(size=ROWS).astype(np.float32)
    cells[place] = number
    table = RawTable({"a": RawColumn(cells)}, None, "the table")
    rules, graph = Rules({"x": ["a"]}, scale={"x": -2.0}), graph_with(x="float32")
    prepared, faults = attempt(table, rules, Preparation(), graph)
    assert faults.rows.tolist() == [place]
    good = np.arange(ROWS) != place
    np.testing.assert_array_equal(prepared.arrays["x"][good, 0], cells[good] * np.float32(-2))


def test_float32_that_an_integer_input_cannot_hold_is_a_fault() -> None:
    cells = np.array([0.5, -(2.0**63), 3.0, 2.0**63], np.float32)
    table = RawTable({"a": RawColumn(cells)}, None, "the table")
    _, faults = attempt(table, Rules({"x": ["a"]}), Preparation(), graph_with(x="int64"))
    assert faults.rows.tolist() == [0, 1, 3]


def test_a_frame_that_is_changed_later_changes_no_data() -> None:
    frame = pd.DataFrame({"a": STORED["float32"].copy(), "b": STORED["float32"].copy()})
    graph = dataflow.Graph("net")
    x, y = graph.input("x", ("n", 1)), graph.input("y", ("n", 1))
    graph.node("loss", mse(x, y))
    source = DataSource(columns={"x": ["a"], "y": ["b"]}).at(frame)
    before = source.prepared(graph).arrays["x"].copy()
    frame.loc[:, "a"] = np.float32(0)
    assert source.prepared(graph).arrays["x"].tobytes() == before.tobytes()


def test_a_file_of_float32_takes_no_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": STORED["float32"], "b": STORED["float64"]}), path)
    table = read_parquet(Origin(path), lambda names: names, {})
    stored = {name: column.stored.dtype.name for name, column in table.columns.items()}
    assert stored == {"a": "float32", "b": "float64"}
