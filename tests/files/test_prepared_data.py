"""What is declared and was learned of tables comes back from both formats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.data.preparation.learned import LearnedColumn, LearnedInput, Preparation
from dataflow.data.source import DataSource
from dataflow.files.msgpack.container import read_container
from dataflow.files.versions import version_of

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
NAMES = st.lists(TEXTS, min_size=1, max_size=3, unique=True)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FILLS = st.sampled_from(["mean", "median", "most_frequent"]) | NUMBERS | st.booleans() | st.integers(-9, 9) | TEXTS
INDICATED = st.fixed_dictionaries({"fill": FILLS, "indicator": st.just(True)})
MISSING = FILLS | st.sampled_from(["error", "drop"]) | INDICATED
KINDS = st.sampled_from(["one_hot", "index"])
CATEGORIES = KINDS | st.fixed_dictionaries({"kind": KINDS, "names": NAMES})
MOMENTS = st.lists(st.tuples(NUMBERS, NUMBERS.map(abs).filter(bool)), min_size=1, max_size=3)


@st.composite
def sources(draw: st.DrawFn) -> DataSource:
    inputs = {}
    for name in ("x", "y"):
        pairs = draw(MOMENTS)
        mean, deviation = (np.array(numbers) for numbers in zip(*pairs, strict=True))
        inputs[name] = draw(
            st.sampled_from([LearnedInput(None, mean, deviation), LearnedInput(tuple(draw(NAMES)))]),
        )
    columns = draw(st.dictionaries(TEXTS, st.builds(LearnedColumn, NUMBERS | TEXTS, st.none() | NAMES.map(tuple))))
    return DataSource(
        columns={"x": draw(NAMES)},
        one_hot=draw(st.dictionaries(st.just("y"), NAMES | st.just(True))),
        separator=draw(st.none() | st.sampled_from([";", "\t"])),
        decimal=draw(st.none() | st.just(",")),
        thousands=draw(st.none() | st.sampled_from([".", " "])),
        percent=draw(st.booleans()),
        weights=draw(st.none() | TEXTS),
        missing=draw(st.dictionaries(TEXTS, MISSING, max_size=3)),
        categories=draw(st.dictionaries(TEXTS, CATEGORIES, max_size=3)),
        standardize=draw(st.lists(st.sampled_from(["x", "y"]), unique=True)),
        learned=draw(st.none() | st.just(Preparation(columns, inputs))),
    )


def plain(source: DataSource) -> dict:
    keys = ("columns", "one_hot", "separator", "decimal", "thousands", "percent", "weights", "missing", "categories")
    found = {key: getattr(source, key) for key in keys} | {"standardize": list(source.standardize)}
    return found | {"learned": source.learned.plain() if source.learned else None}


def model_of(source: DataSource) -> dataflow.Model:
    graph = dataflow.Graph("net")
    for name in ("x", "y"):
        graph.input(name, ("n", f"k{name}"))
    return dataflow.Model(graph, ["x"], data=source)


@settings(max_examples=30)
@given(source=sources())
def test_both_formats_keep_it(tmp_path_factory: pytest.TempPathFactory, source: DataSource) -> None:
    model, folder = model_of(source), tmp_path_factory.mktemp("m")
    for ending in (".toml", ".msgpack"):
        dataflow.save(model, folder / f"m{ending}")
        back = dataflow.load(folder / f"m{ending}").data
        assert plain(back or DataSource()) == plain(source), ending
    assert read_container(folder / "m.msgpack").version == version_of(model)
    assert (folder / "m.toml").read_text().startswith(f"dataflow = {version_of(model)}\n")


def test_numbers_come_back_to_the_bit(tmp_path) -> None:
    mean = np.array([0.1, 1 / 3, math.pi, 5e-324, 1.7976931348623157e308])
    learned = Preparation({}, {"x": LearnedInput(None, mean, np.abs(mean))})
    model = model_of(DataSource(columns={"x": "a"}, standardize=["x"], learned=learned))
    for ending in (".toml", ".msgpack"):
        dataflow.save(model, tmp_path / f"m{ending}")
        back = dataflow.load(tmp_path / f"m{ending}").data.learned.input("x")
        assert back.mean.tobytes() == mean.tobytes()


def test_other_files_stay_of_version_1(tmp_path) -> None:
    """A file that earlier readers can read says so."""
    model = model_of(DataSource(columns={"x": ["a", "b"]}, one_hot={"y": 3}, scale={"x": 0.5}))
    dataflow.save(model, tmp_path / "m.toml")
    dataflow.save(model, tmp_path / "m.msgpack")
    assert (tmp_path / "m.toml").read_text().startswith("dataflow = 1\n")
    assert read_container(tmp_path / "m.msgpack").version == 1


def test_inputs_with_the_names_of_newer_keys(tmp_path) -> None:
    old = 'dataflow = 1\ninputs.root = { shape = ["n"] }\nnodes.y = "root * 2"\n[data]\n'
    (tmp_path / "d.csv").write_text("root\n1\n2\n")
    for data in ("root = [1.0, 2.0]\n", 'file = "d.csv"\n', 'columns = { root = "root" }\n'):
        (tmp_path / "m.toml").write_text(old + data)
        model = dataflow.load(tmp_path / "m.toml")
        if "columns" not in data:
            assert model.run()["y"].tolist() == [2, 4]
    (tmp_path / "m.toml").write_text(old.replace("= 1", "= 2", 1) + "root = [1.0, 2.0]\n")
    assert dataflow.load(tmp_path / "m.toml").run()["y"].tolist() == [2, 4]
    (tmp_path / "m.toml").write_text(old.replace("= 1", "= 2", 1) + 'file = "d.csv"\n')
    with pytest.raises(dataflow.DataflowError, match=r"m\.toml:2:8: 'root' names no input, because it has a meaning"):
        dataflow.load(tmp_path / "m.toml")
    graph = dataflow.Graph("net")
    graph.input("root", ("n",))
    saved = dataflow.Model(graph, ["root"], data=DataSource(columns={"root": "a"}, standardize=["root"]))
    with pytest.warns(dataflow.DataflowWarning, match="names that no line of a file can have are written differently"):
        dataflow.save(saved, tmp_path / "s.toml")
    assert list(dataflow.load(tmp_path / "s.toml").data.columns) == ["root_"]
