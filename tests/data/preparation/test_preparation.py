"""What [data] declares of columns and inputs: learned from training rows, applied to any table."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from commands import said
from hypothesis import given, settings
from hypothesis import strategies as st
from later import Later

import dataflow
from dataflow.data.preparation.apply import apply
from dataflow.data.preparation.learn import learn
from dataflow.data.preparation.learned import Preparation
from dataflow.data.preparation.rules import Rules, read_categories, read_missing
from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.data.source import DataSource
from dataflow.errors import DataError
from dataflow.model.gathering import gather_for_training

pd = Later("pandas")

TEXT = object


def column(cells: list, dtype: type | None = None) -> RawColumn:
    """A column of these cells, ``None`` where one is missing."""
    missing = np.array([cell is None for cell in cells])
    is_text = dtype is TEXT or any(isinstance(cell, str) for cell in cells)
    filler = "" if is_text else 0
    array = np.array([filler if cell is None else cell for cell in cells], dtype=object if is_text else dtype)
    return RawColumn(array, missing if missing.any() else None)


def table(**columns: list) -> RawTable:
    return RawTable({name: column(cells) for name, cells in columns.items()}, None, "the table")


def inputs(**shapes) -> dataflow.Graph:
    graph = dataflow.Graph("net")
    for name, shape in shapes.items():
        shape, dtype = shape if isinstance(shape, tuple) else (shape, None)
        graph.input(name, shape, dtype)
    return graph


def rules(columns: dict, missing: dict | None = None, categories: dict | None = None, **other) -> Rules:
    return Rules(
        columns,
        {name: read_missing(rule) for name, rule in (missing or {}).items()},
        {name: read_categories(rule) for name, rule in (categories or {}).items()},
        **other,
    )


def prepare(raw: RawTable, rules: Rules, graph: dataflow.Graph, rows: list[int] | None = None):
    return apply(raw, rules, learn(raw, rules, None if rows is None else np.array(rows)), graph)


X = inputs(x=["n", "k"])


# ------------------------------------------------------------------------------------------------ missing cells


@pytest.mark.parametrize(
    ("rule", "filled"),
    [("mean", 3.0), ("median", 2.0), ("most_frequent", 1.0), (7, 7.0), (0.5, 0.5)],
)
def test_missing_numbers_are_filled(rule, filled):
    raw = table(a=[1, None, 1, 2, 3, 8])  # by hand: mean 15 / 5, median of 1 1 2 3 8
    found = prepare(raw, rules({"x": ["a"]}, {"a": rule}), X)
    assert found.arrays["x"][:, 0].tolist() == [1, filled, 1, 2, 3, 8]
    assert found.rows is None


def test_an_indicator_follows_its_column():
    raw = table(a=[1, None, 3], b=[4, 5, 6])
    found = prepare(raw, rules({"x": ["a", "b"]}, {"a": {"fill": "mean", "indicator": True}}), X)
    assert found.arrays["x"].tolist() == [[1, 0, 4], [2, 1, 5], [3, 0, 6]]
    assert found.labels["x"] == ["a", "a missing", "b"]


def test_an_indicator_is_there_where_nothing_is_missing():
    found = prepare(table(a=[1, 2]), rules({"x": ["a"]}, {"a": {"fill": 0, "indicator": True}}), X)
    assert found.arrays["x"].tolist() == [[1, 0], [2, 0]]


def test_rows_are_dropped():
    raw = table(a=[1, None, 3, 4], b=[5, 6, None, 8], c=[None, 1, 1, 1])
    found = prepare(raw, rules({"x": ["a", "b"]}, {"a": "drop", "b": "drop", "c": "drop"}), X)
    assert found.arrays["x"].tolist() == [[1, 5], [4, 8]]  # c is no column of an input
    assert found.rows.tolist() == [0, 3]
    with pytest.raises(DataError, match='every row has a missing cell in a column with missing = "drop"'):
        apply(table(a=[None, None]), rules({"x": ["a"]}, {"a": "drop"}), Preparation(), X)


def test_what_a_dropped_row_holds_teaches_nothing():
    raw = table(a=[1, 100, 3, None], b=[1, None, 3, 5])
    learned = learn(raw, rules({"x": ["a", "b"]}, {"a": "mean", "b": "drop"}), None)
    assert learned.column("a").fill == 2.0


def test_missing_categories():
    raw = table(a=["u", None, "v", "v", None])
    found = prepare(raw, rules({"x": ["a"]}, {"a": "most_frequent"}, {"a": "index"}), X)
    assert found.arrays["x"][:, 0].tolist() == [0, 1, 1, 1, 1]
    found = prepare(raw, rules({"x": ["a"]}, {"a": "none"}, {"a": "one_hot"}), X)
    assert found.labels["x"] == ["a=none", "a=u", "a=v"]
    assert found.arrays["x"].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("cells", "missing", "categories", "message"),
    [
        ([None, None], {"a": "mean"}, {}, "column 'a' has no cell in the training rows, and so no mean"),
        (
            [1, 2],
            {"a": "medain"},
            {},
            "column 'a' holds numbers, and missing fills it with 'medain'; did you",
        ),
        (["u", "v"], {"a": "mean"}, {"a": "index"}, "column 'a' holds categories, which have no mean"),
        ([1.7e308, 1.7e308], {"a": "mean"}, {}, "holds numbers too large, and so no mean"),
        ([None, None], {"a": "drop"}, {}, "no training row is left of which no cell is missing"),
    ],
)
def test_fills_that_cannot_be_learned(cells, missing, categories, message):
    with pytest.raises(DataError, match=message):
        learn(table(a=cells), rules({"x": ["a"]}, missing, categories), None)


# ------------------------------------------------------------------------------------------------ categories


def test_one_hot_columns_take_the_place_of_theirs():
    raw = table(a=[1, 2, 3], kind=["v", "u", "w"], b=[4, 5, 6])
    found = prepare(raw, rules({"x": ["a", "kind", "b"]}, {}, {"kind": "one_hot"}), X)
    assert found.labels["x"] == ["a", "kind=u", "kind=v", "kind=w", "b"]
    assert found.arrays["x"].tolist() == [[1, 0, 1, 0, 4], [2, 1, 0, 0, 5], [3, 0, 0, 1, 6]]


def test_numbers_as_categories_are_sorted_as_numbers():
    raw = table(a=["10", "9", "10", "1"], b=[10, 9, 10, 1])
    found = prepare(raw, rules({"x": ["a", "b"]}, {}, {"a": "one_hot", "b": "index"}), X)
    assert found.labels["x"] == ["a=1", "a=9", "a=10", "b"]
    assert found.arrays["x"][:, 3].tolist() == [2, 1, 2, 0]


def test_declared_names_keep_their_order():
    raw = table(a=["low", "high", "low"])
    index = {"kind": "index", "names": ["low", "middle", "high"]}
    assert prepare(raw, rules({"x": ["a"]}, {}, {"a": index}), X).arrays["x"][:, 0].tolist() == [0, 2, 0]


def test_unknown_categories():
    raw = table(a=["u", "v", "u", "Vv"])
    declared = rules({"x": ["a"]}, {}, {"a": "one_hot"})
    with pytest.raises(DataError, match=r"column 'a' of row 4: unknown category 'Vv'; did you mean 'v'\?.*unknown = "):
        prepare(raw, declared, X, [0, 1, 2])
    ignoring = rules({"x": ["a"]}, {}, {"a": {"kind": "one_hot", "unknown": "ignore"}})
    assert prepare(raw, ignoring, X, [0, 1, 2]).arrays["x"].tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]


def test_classes_by_name():
    raw = table(label=["no", "yes", "no"])
    graph = inputs(y=["n", "c"])
    named = rules({"y": ["label"]}, one_hot={"y": ["yes", "no"]})
    assert prepare(raw, named, graph).arrays["y"].tolist() == [[0, 1], [1, 0], [0, 1]]
    found = rules({"y": ["label"]}, one_hot={"y": True})
    learned = learn(raw, found, None)
    assert learned.input("y").names == ("no", "yes")
    assert apply(raw, found, learned, graph).arrays["y"].tolist() == [[1, 0], [0, 1], [1, 0]]
    with pytest.raises(DataError, match="column 'label' of row 1: unknown category 'maybe'"):
        apply(table(label=["maybe"]), found, learned, graph)
    with pytest.raises(DataError, match=r"2 cells of column 'label' are none of 'no', 'yes' \(rows 1 'm', 2 'n'\)$"):
        apply(table(label=["m", "n"]), found, learned, graph)
    with pytest.raises(DataError, match="input 'y' is one-hot: one column is expected, 2 found"):
        learn(table(a=["u"], b=["v"]), rules({"y": ["a", "b"]}, one_hot={"y": True}), None)


# ------------------------------------------------------------------------------------------------ standardizing


def test_standardizing_leaves_one_hot_and_indicator_columns_alone():
    raw = table(a=[1.0, None, 5.0], kind=["u", "v", "u"], same=[7, 7, 7])
    declared = rules(
        {"x": ["a", "kind", "same"]},
        {"a": {"fill": "mean", "indicator": True}},
        {"kind": "one_hot"},
        standardize=["x"],
    )
    found = prepare(raw, declared, X).arrays["x"]
    deviation = np.sqrt(8 / 3)  # of 1, 3, 5
    assert found[:, 0].tolist() == pytest.approx([-2 / deviation, 0, 2 / deviation], rel=1e-15)
    assert found[:, 1].tolist() == [0, 1, 0]
    assert found[:, 2:4].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert found[:, 4].tolist() == [0, 0, 0]


def test_an_index_is_a_number_and_scale_comes_last():
    raw = table(a=["u", "v"])
    declared = rules({"x": ["a"]}, {}, {"a": "index"}, standardize=["x"], scale={"x": 10})
    assert prepare(raw, declared, X).arrays["x"][:, 0].tolist() == [-10, 10]


def test_standardized_numbers_come_back():
    raw = table(a=[1.0, 2.0, 4.0], b=[1e6, -3e6, 5e6])
    declared = rules({"x": ["a", "b"]}, standardize=["x"])
    learned = learn(raw, declared, None)
    back = learned.undo("x", apply(raw, declared, learned, X).arrays["x"])
    np.testing.assert_allclose(back, [[1, 1e6], [2, -3e6], [4, 5e6]], rtol=1e-15)


def test_what_is_too_large():
    with pytest.raises(DataError, match="holds infinity or numbers too large to be standardized"):
        learn(table(a=[1.7e308, -1.7e308]), rules({"x": ["a"]}, standardize=["x"]), None)
    scaled = rules({"x": ["a"]}, scale={"x": 1e10})
    with pytest.raises(DataError, match=r"row 2: 1e\+300 does not fit float64.*multiplied by scale = 1e\+10"):
        prepare(table(a=[1.0, 1e300]), scaled, X)


def test_infinity_teaches_nothing_and_is_a_fault():
    raw = table(a=[np.inf, 1.0, 3.0, -np.inf, None])
    declared = rules({"x": ["a"]}, {"a": "mean"}, standardize=["x"])
    learned = learn(raw, declared, np.arange(1, 3))
    assert learned.plain() == learn(table(a=[1.0, 3.0]), declared, None).plain()
    assert learn(table(a=[np.inf, 1.0, 3.0]), rules({"x": ["a"]}, {"a": "mean"}), None).column("a").fill == 2
    message = (
        r"2 cells of column 'a' are not finite \(rows 1 inf, 4 -inf\), correct the cell, or leave it empty, "
        r'accepted by missing = \{ a = "median" \}$'
    )
    with pytest.raises(DataError, match=message):
        apply(raw, declared, learned, X)


# ------------------------------------------------------------------------------------------------ faults


def test_all_faults_are_one_error():
    raw = table(a=[1, None, 3, None], b=["1", "two", "3", ""], c=["u", "v", "w", "u"])
    declared = rules({"x": ["a", "b", "c"]}, {}, {"c": {"kind": "one_hot", "names": ["u"]}})
    with pytest.raises(DataError) as caught:
        prepare(raw, declared, X)
    assert str(caught.value) == (
        "the table: 6 cells cannot be used: 2 cells of column 'a' are missing (rows 2, 4), accepted by missing = "
        "{ a = \"median\" }; 2 cells of column 'b' are not a number (rows 2 'two', 4 ''), accepted by categories = "
        "{ b = \"one_hot\" }; 2 cells of column 'c' are of an unknown category (rows 2 'v', 3 'w'), accepted by "
        'categories = { c = { kind = "one_hot", unknown = "ignore" } }'
    )


@pytest.mark.parametrize(("cells", "dtype"), [([1, 2.5], "int64"), ([1, 2**40], "int32"), ([1.0, 1e300], "float32")])
def test_numbers_that_do_not_fit_are_never_wrapped(cells, dtype):
    with pytest.raises(DataError, match=rf"column 'a' of row 2: .* does not fit {dtype}"):
        prepare(table(a=cells), rules({"x": ["a"]}), inputs(x=(["n"], dtype)))


def test_rows_in_faults_are_those_of_the_table():
    raw = table(a=[None, 1, 2], b=["u", "u", "v"], c=[1, 2, 3])
    declared = rules({"x": ["a", "b", "c"]}, {"a": "drop"}, {"b": {"kind": "index", "names": ["u"]}})
    with pytest.raises(DataError, match="column 'b' of row 3: unknown category 'v'"):
        prepare(raw, declared, X)


def test_widths():
    raw = table(a=[1], kind=["u"])
    with pytest.raises(DataError, match=r"input 'x' has 3 columns, 2 found \(a, kind=u\)"):
        prepare(raw, rules({"x": ["a", "kind"]}, {}, {"kind": "one_hot"}), inputs(x=["n", 3]))
    learned = learn(table(a=[1], b=[2]), rules({"x": ["a", "b"]}, standardize=["x"]), None)
    with pytest.raises(DataError, match="what was learned of input 'x' is for 2 columns, 1 found"):
        apply(table(a=[1]), rules({"x": ["a"]}, standardize=["x"]), learned, X)


def test_one_hot_rows_do_not_fill_the_memory():
    many = [f"c{i}" for i in range(20_000)]
    with pytest.raises(DataError, match="'x' with 20,000 columns, 2.99 GiB; there may be 1 GiB"):
        prepare(table(a=many), rules({"x": ["a"]}, {}, {"a": "one_hot"}), X)


def test_what_was_learned_belongs_to_the_rules_of_then():
    raw, nothing = table(a=[1.0, None], kind=["u", "v"]), Preparation()
    for declared, message in [
        (rules({"x": ["a"]}, {"a": "mean"}), "missing of 'a' was declared after what is kept was learned; remove that"),
        (rules({"x": ["kind"]}, {}, {"kind": "index"}), "categories of 'kind' was declared after"),
        (rules({"x": ["kind"]}, one_hot={"x": True}), "one_hot of 'x' was declared after"),
        (rules({"x": ["a"]}, {"a": 0}, standardize=["x"]), "standardize of 'x' was declared after"),
    ]:
        with pytest.raises(DataError, match=message):
            apply(raw, declared, nothing, X)


# ------------------------------------------------------------------------------------------------ what is learned


NUMBERS = st.floats(-1e6, 1e6)


@settings(max_examples=60)
@given(
    cells=st.lists(
        st.tuples(st.none() | NUMBERS, st.none() | st.sampled_from(["u", "v", "w"])), min_size=2, max_size=9
    ),
    later=st.lists(st.tuples(st.none() | NUMBERS, st.none() | st.sampled_from(["u", "v", "x"])), max_size=5),
    fill=st.sampled_from(["mean", "median", "most_frequent", 0]),
    kind=st.sampled_from(["one_hot", "index"]),
)
def test_only_training_rows_teach(cells, later, fill, kind):
    """Whatever stands in other rows, the same is learned, and the training rows become the same numbers."""
    if all(a is None for a, _ in cells) or all(b is None for _, b in cells):
        return
    unknown = {"kind": kind, "unknown": "ignore"} if kind == "one_hot" else {"kind": kind}
    declared = rules(
        {"x": ["a", "b"]},
        {"a": {"fill": fill, "indicator": True}, "b": "most_frequent"},
        {"b": unknown},
        standardize=["x"],
    )
    few, all_rows = (
        RawTable({"a": column([a for a, _ in rows], float), "b": column([b for _, b in rows], TEXT)}, None, "table")
        for rows in (cells, [*cells, *later])
    )
    learned = learn(few, declared, None)
    again = learn(all_rows, declared, np.arange(len(cells)))
    assert again.plain() == learned.plain()
    assert Preparation.of_plain(learned.plain()).plain() == learned.plain()
    if kind == "one_hot" or {b for _, b in later} <= {b for _, b in cells} | {None}:
        try:
            expected = apply(few, declared, learned, X).arrays["x"]
            found = apply(all_rows, declared, learned, X).arrays["x"]
        except DataError as error:
            # one of later rows that is new, or a number there that is none to learn from
            assert re.search("unknown category|finite", str(error))
            return
        assert np.array_equal(found[: len(cells)], expected)
        assert np.isfinite(found).all()


def test_no_leak_from_held_out_rows(tmp_path):
    """Outliers, another category and a missing cell in the rows that are held out change nothing that is learned."""
    calm = [[i % 5, "uv"[i % 2], 2.0 * (i % 5)] for i in range(20)]
    wild = [[1e9, "w", -1e9], ["", "w", 1e9], [-5e9, "u", 0]]
    text = """dataflow = 2
inputs.x = { shape = ["n", 3] }
inputs.y = { shape = ["n", 1] }
parameters.w = { shape = [3, 1], init = "zeros" }
nodes.loss = 'mse(x @ w, y, reduction="mean")'
model.loss = "loss"
[data]
file = "d.csv"
columns = { x = ["a", "b"], y = "y" }
missing = { a = "median" }
categories = { b = { kind = "one_hot", unknown = "ignore" } }
standardize = ["x", "y"]
[train]
validation = 0.13
"""
    learned = []
    for held in (wild, [[1, "u", 2]] * 3):
        with (tmp_path / "d.csv").open("w") as file:
            csv.writer(file).writerows([["a", "b", "y"], *calm, *held])
        (tmp_path / "m.toml").write_text(text)
        model = dataflow.load(tmp_path / "m.toml")
        model.run()  # all rows, and nothing of it stays
        history = dataflow.train(model, epochs=3)
        assert len(history.metrics["validation_loss"]) == 3
        learned.append(model.data.learned.plain())
        parameters = model.parameters["w"]
        learned[-1]["w"] = parameters.tolist()
    assert learned[0] == learned[1]
    assert learned[0]["columns"] == {"a": {"fill": 2.0}, "b": {"names": ["u", "v"]}}
    assert learned[0]["inputs"]["x"]["mean"] == [2.0, 0.0, 0.0]
    assert learned[0]["inputs"]["y"]["deviation"] == [pytest.approx(2 * np.sqrt(2), rel=1e-15)]


def test_rows_that_are_dropped_stay_on_their_side(tmp_path):
    rows = [[1, 1], ["", 1e9], [3, 3], [5, 5], ["", 7], [1e9, 1e9]]
    with (tmp_path / "d.csv").open("w") as file:
        csv.writer(file).writerows([["x", "y"], *rows])
    graph = inputs(x=["n"], y=["n"])
    w = graph.parameter("w", value=0.0)
    from dataflow.ops import mse

    graph.node("loss", mse(graph.value("x") * w, graph.value("y")))
    source = DataSource(file=tmp_path / "d.csv", missing={"x": "drop"}, standardize=["x"])
    model = dataflow.Model(graph, loss="loss", data=source)
    trainer = dataflow.Trainer(model, validation=0.33)  # the last two of six rows
    assert trainer.batches.everything()["y"].tolist() == [1, 3, 5]
    assert trainer.held_out["y"].tolist() == [1e9]
    assert model.data.learned.input("x").mean.tolist() == [3.0]


# ------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("ending", [".msgpack", ".toml"])
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_a_trained_model_takes_raw_rows(tmp_path, ending):
    (tmp_path / "d.csv").write_text("size;kind;price\n1,5;u;no\n;v;yes\n2,5;u;no\n9,0;v;yes\n")
    (tmp_path / "m.toml").write_text("""dataflow = 2
inputs.x = { shape = ["n", 4] }
inputs.y = { shape = ["n", 2] }
parameters.w = { shape = [4, 2], init = "zeros" }
nodes.z = "x @ w"
nodes.loss = 'softmax_cross_entropy(z, y, reduction="mean")'
model = { outputs = ["z"], loss = "loss" }
[data]
file = "d.csv"
columns = { x = ["size", "kind"], y = "price" }
missing = { size = { fill = "median", indicator = true } }
categories = { kind = "one_hot" }
one_hot = { y = true }
standardize = ["x"]
""")
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model, epochs=5)
    dataflow.save(model, tmp_path / f"t{ending}")
    again = dataflow.load(tmp_path / f"t{ending}")
    assert again.data.learned.plain() == model.data.learned.plain()
    assert again.data.learned.plain()["columns"] == {"size": {"fill": 2.5}, "kind": {"names": ["u", "v"]}}
    (tmp_path / "new.csv").write_text("extra,kind,size\n7,v,\n7,u,1.5\n")  # other separator, order, columns; no label
    found = dataflow.data.source.read_data(tmp_path / "new.csv", again.graph, again.data)
    assert list(found) == ["x"]
    own = model.data.load(model.graph)["x"]
    assert np.array_equal(found["x"], own[[1, 0]])
    (tmp_path / "new.csv").write_text("kind,size\nw,1\n")
    with pytest.raises(DataError, match=r"new.csv:2: column 'kind': unknown category 'w'"):
        dataflow.data.source.read_data(tmp_path / "new.csv", again.graph, again.data)
    assert np.array_equal(again.run()["z"], model.run()["z"])


def test_declarations_that_fit_no_table(tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    for rule, message in [
        ({"missing": {"A": 0}}, "missing names the column 'A', which no input has; did you mean 'a'"),
        ({"categories": {"b": "index"}}, "categories names the column 'b', which no input has"),
        ({"weights": "W"}, "unknown column 'W'"),
    ]:
        with pytest.raises(DataError, match=message):
            DataSource(file=tmp_path / "d.csv", columns={"x": "a"}, **rule).load(inputs(x=["n"]))
    with pytest.raises(DataError, match="standardize makes fractions, and input 'x' is int64"):
        DataSource(file=tmp_path / "d.csv", standardize=["x"]).load(inputs(x=(["n"], "int64")))


def test_arrays_that_are_no_tables_are_standardized(tmp_path):
    x = np.arange(12.0).reshape(4, 3)
    np.savez(tmp_path / "d.npz", x=x)
    source = DataSource(file=tmp_path / "d.npz", standardize=["x"])
    graph = inputs(x=["n", 3])
    taught = source.learn(graph, np.arange(2))
    assert taught.load(graph)["x"].tolist() == ((x - x[:2].mean(0)) / x[:2].std(0)).tolist()
    later = DataSource(file=tmp_path / "d.npz", standardize=["x"], learned=Preparation())
    with pytest.raises(DataError, match="standardize of 'x' was declared after what is kept was learned"):
        later.load(graph)
    with pytest.raises(DataError, match="one_hot = true of 'x' finds the classes in a table"):
        DataSource(file=Path("d.npz"), folder=tmp_path, one_hot={"x": True}).load(inputs(x=["n", "c"]))


TRAINED = """dataflow = 2
inputs.x = { shape = ["n", "features"] }
inputs.y = { shape = ["n", 1] }
parameters.w = { shape = ["features", 1], init = "he_normal" }
nodes.yhat = "x @ w"
nodes.loss = 'mse(yhat, y, reduction="mean")'
model = { outputs = ["yhat"], loss = "loss" }
[data]
file = "d.csv"
columns = { x = ["a", "kind"], y = "y" }
missing = { a = { fill = "mean", indicator = true }, y = "drop" }
categories = { kind = { kind = "one_hot", unknown = "ignore" } }
standardize = ["x", "y"]
weights = "w"
[train]
batch_size = 4
shuffle = true
validation = { share = 0.25, shuffle = true, stratify = "kind" }
optimizer = { name = "adam", learning_rate = 0.05 }
"""


def write_rows(folder: Path) -> None:
    rng = np.random.default_rng(2)
    with (folder / "d.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "kind", "y", "w", "id"])
        for i in range(40):
            a = rng.normal()
            y = "" if i % 11 == 3 else 3 * a + i % 3
            writer.writerow(["" if i % 7 == 2 else a, "uvw"[i % 3], y, 1 + i % 2, i])


def test_a_run_on_a_prepared_table_goes_on_bit_for_bit(tmp_path):
    write_rows(tmp_path)
    (tmp_path / "m.toml").write_text(TRAINED)
    whole = dataflow.load(tmp_path / "m.toml")
    straight = dataflow.train(whole, epochs=6)
    dataflow.train(dataflow.load(tmp_path / "m.toml"), epochs=2, checkpoint=tmp_path / "run")
    again = dataflow.load(tmp_path / "m.toml")
    resumed = dataflow.train(again, epochs=6, checkpoint=tmp_path / "run", resume=True)
    assert resumed.loss == straight.loss
    assert again.parameters["w"].tobytes() == whole.parameters["w"].tobytes()
    assert again.data.learned.plain() == whole.data.learned.plain()
    trainer = dataflow.Trainer(dataflow.load(tmp_path / "m.toml"))
    counts = len(trainer.batches.everything()["y"]), len(trainer.held_out["y"])
    assert counts == (26, 10)  # of 40 rows 10 are held out; the 4 without y are among the others


def test_what_teaches_are_the_rows_of_the_trainer(tmp_path):
    """Standardized by themselves, the training rows have the mean 0 and the deviation 1."""
    write_rows(tmp_path)
    (tmp_path / "m.toml").write_text(TRAINED)
    arrays = dataflow.Trainer(dataflow.load(tmp_path / "m.toml")).batches.everything()
    assert arrays["y"].mean() == pytest.approx(0, abs=1e-12)
    assert arrays["y"].std() == pytest.approx(1, rel=1e-12)
    assert arrays["x"][:, 0].std() == pytest.approx(1, rel=1e-12)
    assert set(arrays["x"][:, 2:].sum(axis=1)) == {1}


def test_tables_of_any_kind_mean_the_same(tmp_path):
    write_rows(tmp_path)
    (tmp_path / "m.toml").write_text(TRAINED)
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model, epochs=1)
    own = model.data.load(model.graph)
    frame = pd.read_csv(tmp_path / "d.csv", float_precision="round_trip")[["kind", "id", "y", "a", "w"]]
    rows = [{key: None if value != value else value for key, value in row.items()} for row in frame.to_dict("records")]
    frame.to_parquet(tmp_path / "d.parquet")
    for origin in (frame, rows, tmp_path / "d.parquet", tmp_path / "d.csv"):
        found = model.data.at(origin).prepared(model.graph)
        assert np.array_equal(found.arrays["x"], own["x"])
        assert np.array_equal(found.rows, [i for i in range(40) if i % 11 != 3])
        assert found.weights.tolist() == [1 + i % 2 for i in found.rows]
    only_x = model.data.at(frame.drop(columns=["y", "w"])).prepared(model.graph, ["x"])
    assert only_x.rows is None
    assert len(only_x.arrays["x"]) == 40


def test_a_source_is_copied_with_what_it_learned(tmp_path):
    write_rows(tmp_path)
    (tmp_path / "m.toml").write_text(TRAINED)
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model, epochs=1)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.data.learned.plain() == model.data.learned.plain()
        assert np.array_equal(other.run()["yhat"], model.run()["yhat"])


def test_the_command_line_learns_from_training_rows(tmp_path):
    write_rows(tmp_path)
    (tmp_path / "m.toml").write_text(TRAINED)
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model, epochs=2)
    (tmp_path / "d.csv").rename(tmp_path / "other.csv")
    data = ("--data", tmp_path / "other.csv")
    said("train", tmp_path / "m.toml", *data, "--epochs", "2", "-o", tmp_path / "t.msgpack")
    trained = dataflow.load(tmp_path / "t.msgpack")
    assert trained.data.learned.plain() == model.data.learned.plain()
    assert trained.parameters["w"].tobytes() == model.parameters["w"].tobytes()
    found = json.loads(said("check", tmp_path / "t.msgpack", *data, "--json"))
    assert found["learned"] == model.data.learned.plain()
    text = said("check", tmp_path / "t.msgpack", *data)
    assert "a missing cell is " in text
    assert "categories u, v, w" in text
    with pytest.raises(DataError, match="what the data teaches is learned from all training rows"):
        gather_for_training(dataflow.load(tmp_path / "m.toml"), tmp_path / "other.csv", {"y": [[1.0]]}, None)
