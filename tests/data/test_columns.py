"""Columns of tables by name: ranges, what a trained file keeps of them, and wide tables."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from commands import said

import dataflow
from dataflow.data.columns import chosen_columns, named_columns
from dataflow.data.source import DataSource, read_data
from dataflow.support.texts import matches

NAMES = ["p0", "height", "wei ght", "p3", "p4"]
RNG = np.random.default_rng(5)
TABLE = {name: RNG.normal(size=12).tolist() for name in NAMES} | {"y": RNG.normal(size=12).tolist()}
TOML = """dataflow = 1
[inputs]
x = {{ shape = ["n", {width}] }}
y = {{ shape = ["n"] }}
[parameters]
w = {{ shape = [{width}], init = "normal" }}
[nodes]
loss = "mse(x @ w, y)"
[model]
loss = "loss"
[data]
file = "train.csv"
columns = {{ x = {columns}, y = "y" }}
[train]
epochs = 3
"""
UNKNOWN = {  # columns of x, the header, what is said
    "none": (
        ["a", "b"],
        "c,d",
        r"has none of the columns that the model reads, 'a', 'b', 'y'; its columns are 'c', 'd'",
    ),
    "one": (["a", "b"], "B,a", r"unknown column 'b'; did you mean 'B'\?"),
    "several": (["a", "b", "c"], "c,d", r"unknown columns 'a', 'b'; available: 'c', 'd'"),
    "several, one in capitals": (["a", "b", "c"], "c,d,A", r"unknown columns 'a', 'b'; available: 'c', 'd', 'A'"),
    "capitals": (["a", "b", "c"], "c,B,A", r"unknown columns 'a', 'b'; did you mean 'A', 'B'\?"),
}


@pytest.mark.parametrize(("columns", "header", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_other_columns_than_the_model_reads(columns, header, message):
    with pytest.raises(dataflow.DataError, match=message):
        chosen_columns(header.split(","), ["x", "y"], {"x": columns, "y": "y"}, strict=False)


def test_what_another_input_has_is_no_target(tmp_path):
    """x has a column that is called like the input y, whose own column, t, lacks in the table."""
    declared = {"x": ["a", "y"], "y": "t"}
    assert chosen_columns(["a", "y"], ["y", "x"], declared, strict=False) == {"x": ["a", "y"]}
    assert chosen_columns(["a", "b", "y"], ["x", "y"], {"x": ["a", "b"], "y": "t"}, strict=False)["y"] == ["y"]
    (tmp_path / "train.csv").write_text("a,y,t\n1,2,3\n4,5,6\n")
    (tmp_path / "m.toml").write_text(TOML.format(width=2, columns='["a", "y"]').replace('y = "y" }', 'y = "t" }'))
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model)
    (tmp_path / "new.csv").write_text("a,y\n1,2\n4,5\n")
    for stream in ({}, {"stream": True}):
        with pytest.raises(dataflow.DataflowError, match="'loss' needs the input 'y', which is not given"):
            model.score(tmp_path / "new.csv", **stream)


def test_a_table_is_asked_for_what_is_needed():
    """What is predicted may lack, and does not do alone."""
    declared = {"x": ["a", "b"], "y": "y"}
    for header in (["c"], ["y", "c"]):
        with pytest.raises(dataflow.DataError, match=r"the model reads, 'a', 'b'; its columns are"):
            chosen_columns(header, ["x", "y"], declared, strict=False, needed=["x"])
    assert chosen_columns(["b", "a"], ["x", "y"], declared, strict=False, needed=["x"]) == {"x": ["a", "b"]}


ORDERS = {
    "as in training": [*NAMES, "y"],
    "backwards": ["y", *reversed(NAMES)],
    "inner ones swapped": ["p0", "p3", "wei ght", "height", "p4", "y"],
    "others between": ["p0", "other", "height", "wei ght", "y", "p3", "more", "p4"],
}


def write(path: Path, order: list[str]) -> Path:
    columns = TABLE | {"other": [1e6] * 12, "more": [-1e6] * 12}
    rows = [{name: columns[name][i] for name in order} for i in range(12)]
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        lines = [",".join(order), *(",".join(repr(row[name]) for name in order) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return path


def untrained(folder: Path, columns: str = '"p0:p4"') -> Path:
    write(folder / "train.csv", ORDERS["as in training"])
    (folder / "m.toml").write_text(TOML.format(width=5, columns=columns))
    return folder / "m.toml"


def by_command(model: Path, trained: Path) -> None:
    said("train", model, "-o", trained, "--quiet")


def by_other_file(model: Path, trained: Path) -> None:
    write(model.with_name("other.csv"), ORDERS["as in training"])
    write(model.with_name("train.csv"), ORDERS["others between"])  # where the range has eight columns
    said("train", model, "--data", model.with_name("other.csv"), "-o", trained, "--quiet")


def by_python(model: Path, trained: Path) -> None:
    loaded = dataflow.load(model)
    dataflow.train(loaded)
    dataflow.save(loaded, trained)


def by_checkpoint(model: Path, trained: Path) -> None:
    said("train", model, "--epochs", 1, "--checkpoint", model.with_name("c"), "--quiet")
    said("train", model, "--checkpoint", model.with_name("c"), "--resume", "-o", trained, "--quiet")


@pytest.mark.parametrize("train", [by_command, by_other_file, by_python, by_checkpoint], ids=lambda way: way.__name__)
@pytest.mark.parametrize("columns", ['"p0:p4"', '["p0:height", "wei ght : p4"]'])
def test_a_trained_file_takes_columns_by_name(tmp_path, train, columns):
    trained = tmp_path / "trained.msgpack"
    train(untrained(tmp_path, columns), trained)
    model = dataflow.load(trained)
    assert model.data.columns == {"x": NAMES, "y": "y"}
    x, y = np.stack([TABLE[name] for name in NAMES], axis=-1), np.array(TABLE["y"])
    expected = model.run(x=x, y=y)["loss"]
    said("convert", trained, tmp_path / "again.toml")
    for ending in (".csv", ".json"):
        for i, order in enumerate(ORDERS.values()):
            path = write(tmp_path / f"later{i}{ending}", order)
            for file in (trained, tmp_path / "again.toml"):
                found = json.loads(said("run", file, "--data", path, "--json"))
                assert found["loss"] == float(expected)
                assert found["values"]["x"] == x.tolist()


def test_a_column_that_lacks_is_named_with_its_nearest(tmp_path):
    trained = tmp_path / "trained.msgpack"
    by_command(untrained(tmp_path), trained)
    for i, name in enumerate(NAMES):
        path = tmp_path / f"lacks{i}.csv"
        write(path, ORDERS["as in training"])
        path.write_text(path.read_text().replace(f"{name},", f"{name.upper()}_,", 1))
        error = said("run", trained, "--data", path, status=1)
        assert f"{path}:1: unknown column '{name}'; did you mean '{name.upper()}_'" in error
    path = write(tmp_path / "no labels.csv", NAMES)
    assert "y" not in json.loads(said("run", trained, "--data", path, "--json"))["values"]


def test_a_file_that_was_not_trained_means_the_columns_between(tmp_path):
    model = untrained(tmp_path)
    path = write(tmp_path / "other.csv", ORDERS["inner ones swapped"])
    found = json.loads(said("run", model, "--data", path, "--json"))["values"]["x"]
    assert found == np.stack([TABLE[name] for name in ORDERS["inner ones swapped"][:5]], axis=-1).tolist()
    said("convert", model, tmp_path / "m.msgpack")
    said("convert", tmp_path / "m.msgpack", tmp_path / "again.toml")
    for file in (model, tmp_path / "m.msgpack", tmp_path / "again.toml"):
        loaded = dataflow.load(file)
        loaded.run(data=read_data(path, loaded.graph, loaded.data))
        loaded.run()
        assert loaded.data.columns == {"x": "p0:p4", "y": "y"}


def test_what_is_no_range_stays_as_it_was_declared(tmp_path):
    (tmp_path / "a.csv").write_text("a:b,a,b,x0,x1\n1,2,3,4,5\n")
    graph = dataflow.Graph("net")
    graph.input("x", ("n", "m"))
    for columns in ("a:b", "a", ["b", "a", "a:b"], "q0:q1"):
        source = DataSource(file=tmp_path / "a.csv", columns={"x": columns})
        if columns == "q0:q1":  # is not there, so that x0 and x1 are taken
            found, kept = (
                read_data(tmp_path / "a.csv", graph, source),
                named_columns(source.columns, {"x": ["x0", "x1"]}),
            )
            assert found["x"].tolist() == [[4, 5]]
        else:
            kept = source.learn(graph).columns
        assert kept == {"x": columns}


@pytest.mark.parametrize("width", [5_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_wide_table_is_trained_saved_and_read_in_linear_time(tmp_path, width):
    names = [f"p{i}" for i in range(width)]
    row = ",".join(["0.5"] * width)
    (tmp_path / "train.csv").write_text(f"y,{','.join(names)}\n" + f"1,{row}\n" * 2)
    (tmp_path / "m.toml").write_text(TOML.format(width=width, columns=f'"p0:p{width - 1}"'))
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model, epochs=1, learning_rate=1e-5)
    dataflow.save(model, tmp_path / "t.msgpack")
    with pytest.warns(dataflow.DataflowWarning, match="TOML holds the model, not the state of its training"):
        dataflow.save(model, tmp_path / "t.toml")
    for name in ("t.msgpack", "t.toml"):
        again = dataflow.load(tmp_path / name)
        assert again.data.columns["x"] == names
        assert again.run()["loss"] == model.run()["loss"]
    with pytest.raises(dataflow.DataError, match=r"unknown column 'p7'; did you mean"):
        (tmp_path / "other.csv").write_text(f"{','.join(reversed(names))},y\n".replace("p7,", "q7,") + f"{row},1\n")
        read_data(tmp_path / "other.csv", model.graph, model.data)


HEADER = ["id", "temp_1", "temp_2", "humidity", "temp_max", "Price", "w"]


@pytest.mark.parametrize(
    ("declared", "chosen"),
    [
        ({"x": "temp_*"}, ["temp_1", "temp_2", "temp_max"]),
        ({"x": "*max"}, ["temp_max"]),
        ({"x": "*m*i*"}, ["humidity"]),
        ({"x": ["humidity", "temp_*"]}, ["humidity", "temp_1", "temp_2", "temp_max"]),
        ({"x": ["temp_max", "temp_*"]}, ["temp_max", "temp_1", "temp_2"]),  # a name is taken once
        ({"x": "*", "y": "Price"}, ["id", "temp_1", "temp_2", "humidity", "temp_max"]),  # never the target, nor weights
        ({"x": "*", "y": "id:humidity"}, ["temp_max", "Price"]),
        ({"x": "*"}, ["id", "temp_1", "temp_2", "humidity", "temp_max", "Price"]),
    ],
)
def test_patterns(declared, chosen):
    found = chosen_columns(HEADER, ["x", "y"], declared, strict=True, taken=["w"])
    assert found["x"] == chosen
    assert named_columns(declared, found)["x"] == chosen
    assert "y" not in chosen_columns([*HEADER, "y"], ["x", "y"], {"x": "*"}, strict=True)["x"]


def test_a_column_may_be_called_as_a_pattern():
    declared = {"x": "a*"}
    found = chosen_columns(["a*", "ab"], ["x"], declared, strict=True)
    assert (found, named_columns(declared, found)) == ({"x": ["a*"]}, declared)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"x": "temp*x*"}, "unknown column|no column matches 'temp\\*x\\*'"),
        ({"x": "pressure_*"}, r"no column matches 'pressure_\*'"),
        ({"x": "price"}, r"unknown column 'price'; did you mean 'Price'\?"),
        ({"x": "HUMIDITY"}, r"unknown column 'HUMIDITY'; did you mean 'humidity'\?"),
        ({"x": ["*1*"] * 10**6 + ["*"] * 10**6}, "2000000 patterns for 7 columns are too many"),
    ],
)
def test_patterns_that_match_nothing(declared, message):
    header = [*HEADER, "temp_max"][:7]
    with pytest.raises(dataflow.DataError, match=message):
        chosen_columns([name for name in header if name != "temp_max"] + ["z"], ["x"], declared, strict=True)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a*", "a", "ba"),
        ("*a", "ba", "ab"),
        ("a*a", "aa", "a"),
        ("a*b*c", "axbxc", "acb"),
        ("*", "", None),
        ("**", "x", None),
        ("a", "a", "ab"),
        ("*ab*ab", "xabab", "ab"),
    ],
)
def test_what_a_star_stands_for(pattern, yes, no):
    assert matches(pattern, yes)
    assert no is None or not matches(pattern, no)


def test_stars_take_no_time():
    start = time.process_time()
    assert not matches("*a" * 5000 + "b", "a" * 50_000)
    assert time.process_time() - start < 1
