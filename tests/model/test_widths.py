"""Widths that data decide: names in the shapes of parameters, numbers once a table is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataError, ShapeError

TOML = """dataflow = 2
inputs.x = { shape = ["n", "features"] }
inputs.y = { shape = ["n", 1] }
parameters.W = { shape = [4, "features"], init = "he_normal" }
parameters.V = { shape = [1, 4], init = "he_normal" }
parameters.s = { shape = ["features"], init = "zeros" }
nodes.h = "relu((x + s) @ W.T)"
nodes.yhat = "h @ V.T"
nodes.loss = 'mse(yhat, y, reduction="mean")'
model = { outputs = ["yhat"], loss = "loss" }
"""
DATA = """[data]
file = "d.csv"
columns = { x = ["a", "kind"], y = "y" }
categories = { kind = "one_hot" }
[train]
validation = 0.25
"""
ROWS = "a,kind,y\n1,u,1\n2,v,0\n3,u,1\n4,w,0\n"  # w stands in the row alone that is held out


def declared(tmp_path: Path, text: str = TOML) -> dataflow.Model:
    (tmp_path / "m.toml").write_text(text)
    return dataflow.load(tmp_path / "m.toml")


def test_arrays_decide_and_others_decide_anew(tmp_path):
    model = declared(tmp_path)
    assert model.has_open_widths
    assert repr(model).endswith("5*features+4 scalar parameters, outputs yhat>")
    for width in (3, 5, 3):
        values = model.run(x=np.ones((2, width)))
        assert values["yhat"].shape == (2, 1)
        assert model.parameters["W"].shape == (4, width)
        assert model.gradients(x=np.ones((2, width)), y=np.ones((2, 1)))["s"].shape == (width,)
        assert model.jacobian(of="yhat", wrt="W", x=np.ones((2, width))).shape == (2, 4 * width)
    # what is drawn depends on the seed, the name and the shape, not on what was there before
    fresh = dataflow.load(tmp_path / "m.toml")
    fresh.run(x=np.ones((2, 3)))
    assert np.array_equal(fresh.parameters["W"], model.parameters["W"])


def test_without_data_there_is_no_parameter(tmp_path):
    model = declared(tmp_path)
    with pytest.raises(DataError, match=r"data decides the shape \(4, features\) of parameter 'W'"):
        _ = model.parameters["W"]
    with pytest.raises(DataError, match="data decides the sizes 'features', and none was given yet"):
        model.compile(values=["yhat"])


def test_a_parameter_that_was_set_is_not_thrown_away(tmp_path):
    model = declared(tmp_path)
    model.run(x=np.ones((2, 3)))
    model.parameters["W"] = np.ones((4, 3))
    model.run(x=np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"parameter 'W' was set in the shape \(4, 3\), which does not fit the data"):
        model.run(x=np.ones((2, 5)))


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_training_decides_for_good(tmp_path, ending):
    (tmp_path / "d.csv").write_text(ROWS)
    model = declared(tmp_path, TOML + DATA)
    dataflow.save(model, tmp_path / f"open{ending}")
    reopened = dataflow.load(tmp_path / f"open{ending}")
    assert reopened.has_open_widths
    with pytest.raises(DataError, match="unknown category 'w'"):
        model.run()
    (tmp_path / "d.csv").write_text(ROWS.replace("w", "v"))
    for trained in (model, reopened):
        dataflow.train(trained, epochs=2)
        assert not trained.has_open_widths
        assert trained.parameters["W"].shape == (4, 3)
        with pytest.raises(DataError, match=r"shape \(n, 3\) is expected, \(1, 4\) found"):
            trained.run(x=np.ones((1, 4)))
    assert np.array_equal(model.parameters["W"], reopened.parameters["W"])
    dataflow.save(model, tmp_path / f"t{ending}")
    again = dataflow.load(tmp_path / f"t{ending}")
    assert again.graph.node_of("x").shape[1] == 3
    assert np.array_equal(again.run()["yhat"], model.run()["yhat"])


def test_only_training_rows_decide(tmp_path):
    """A category of a held-out row alone takes no column, though a run of the same model comes first."""
    text = TOML + DATA.replace('"one_hot"', '{ kind = "one_hot", unknown = "ignore" }')
    (tmp_path / "d.csv").write_text(ROWS)
    model = declared(tmp_path, text)
    model.run()
    assert model.parameters["s"].shape == (3,)
    dataflow.train(model, epochs=1)
    assert model.data.learned.column("kind").names == ("u", "v")
    other = dataflow.load(tmp_path / "m.toml")
    other.run()
    dataflow.train(other, epochs=1, validation=0.0)  # other rows than those that the run took
    assert other.parameters["s"].shape == (4,)


def test_a_graph_in_python():
    graph = dataflow.Graph("net")
    x = graph.input("x", ("n", "k"))
    graph.node("y", x @ graph.parameter("w", ("k", 2), init="zeros"))
    with pytest.raises(ShapeError, match="parameter 'v' has the size 'm'; its sizes are numbers, or widths of inputs"):
        graph.parameter("v", ("m",), init="zeros")
    model = dataflow.Model(graph)
    assert model.run(x=np.ones((3, 5)))["y"].shape == (3, 2)
    assert model.parameters["w"].shape == (5, 2)
