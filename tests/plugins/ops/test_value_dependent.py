"""Shapes that depend on values: against numpy, and what is refused."""

import numpy as np
import pytest

import dataflow
from dataflow.errors import DataflowError
from dataflow.ops import arange, compress, nonzero, unique
from dataflow.ops import sum as sum_of


@pytest.fixture
def model():
    graph = dataflow.Graph("positive")
    x = graph.input("x", ("n",))
    kept = graph.node("kept", compress(x, x > 0))
    graph.node("where", nonzero(x > 0))
    graph.node("squares", kept * kept)
    graph.node("f", sum_of(graph.value("squares")))
    return dataflow.Model(graph, ["kept"], loss="f")


def test_a_model_runs_and_is_differentiated_for_other_values(model):
    for x in (np.array([1.0, -2.0, 3.0]), np.array([-1.0, -2.0, 3.0, -4.0]), np.array([-1.0])):
        values = model.run(x=x)
        assert np.array_equal(values["kept"], x[x > 0])
        assert np.array_equal(values["where"], np.nonzero(x > 0))
        slope = np.where(x > 0, 2 * x, 0)
        assert np.array_equal(model.gradients(wrt=["x"], x=x)["x"], slope)
        assert np.array_equal(model.compile(gradients=["x"])(x=x)[1]["x"], slope)
        assert np.array_equal(model.jacobian(of="f", wrt="x", x=x), slope[None])


def test_sizes_that_nodes_make_are_each_their_own(model):
    graph = model.graph
    assert str(graph.value("kept").shape[0]).startswith("?")
    with pytest.raises(DataflowError, match=r"do not broadcast: \?\d against \?\d"):
        graph.value("kept") + compress(graph.value("x"), graph.value("x") < 0)


@pytest.mark.parametrize("ending", ["toml", "msgpack"])
def test_files_give_them_back(model, ending, tmp_path):
    dataflow.save(model, tmp_path / f"m.{ending}")
    again = dataflow.load(tmp_path / f"m.{ending}")
    x = np.array([1.0, -2.0, 3.0])
    assert np.array_equal(again.run(x=x)["kept"], [1, 3])
    assert np.array_equal(again.gradients(wrt=["x"], x=x)["x"], [2, 0, 6])


@pytest.mark.parametrize("in_order", [True, False])
def test_unique_is_numpys(in_order):
    x = np.random.default_rng(0).integers(0, 5, size=20).astype(float)
    values, indices, inverse, counts = unique(x, sorted=in_order)
    assert np.array_equal(np.sort(values), np.unique(x))
    assert np.array_equal(x[indices], values)
    assert np.array_equal(values[inverse], x)
    assert np.array_equal(counts, [(x == value).sum() for value in values])
    assert np.array_equal(indices, np.sort(indices)) or in_order


@pytest.mark.parametrize("arguments", [(0, 10, 3), (10, 0, -4), (0, 0, 1), (0.0, 1.0, 0.3)])
def test_arange_is_numpys(arguments):
    assert np.array_equal(arange(*map(np.asarray, arguments)), np.arange(*arguments))


def test_arange_refuses_what_no_memory_holds():
    with pytest.raises(DataflowError, match="arange"):
        arange(np.array(0), np.array(10), np.array(0))
