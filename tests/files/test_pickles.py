"""Models, graphs, values and ops are pickled and copied: what comes back computes the same, bit for bit."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow import ops
from dataflow.data.source import DataSource
from dataflow.model.comparison import compare
from dataflow.ops import mse, relu
from dataflow.registry import registry

MODELS = sorted((MODELS).glob("*.toml"))
WAYS: dict[str, Callable[[Any], Any]] = {
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
    "deepcopy": copy.deepcopy,
}


@dataflow.op
def tripled(x):
    """3 · x, of an op that no plugin registers."""
    return 3 * x


def by_hand() -> dataflow.Model:
    graph = dataflow.Graph("a name\nof two lines" * 30, dtype="float32")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 2))
    W, c = graph.parameter("W", (2, 2), init="he_normal"), graph.constant("c", [np.nan, -0.0])
    h = graph.node("h", tripled(relu(x @ W.T)) + c)
    graph.node("loss", mse(h, y))
    data = DataSource({"x": np.eye(2), "y": np.ones((2, 2))})
    return dataflow.Model(graph, ["h"], "loss", doc="by hand", data=data)


def same_results(a: dataflow.Model, b: dataflow.Model) -> None:
    first, second = a.run(), b.run()
    assert list(first) == list(second)
    for name, value in first.items():
        assert (value.dtype, value.shape) == (second[name].dtype, second[name].shape)
        assert value.tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_model_files(path: Path, way: str) -> None:
    model = dataflow.load(path)
    back = WAYS[way](model)
    assert back is not model
    assert list(back.graph) == list(model.graph)
    assert (back.name, back.outputs, back.loss, back.doc) == (model.name, model.outputs, model.loss, model.doc)
    assert back.train_settings == model.train_settings
    assert compare(model, back).same
    same_results(model, back)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore::dataflow.DataflowWarning")
def test_a_model_made_by_hand_trained_and_used(way: str) -> None:
    model = by_hand()
    assert WAYS[way](model).parameters.drawn is False  # nothing is drawn for it
    model.parameters["W"] = [[1, 2], [3, 4]]
    model.training = {"epochs": 3, "state": {"m": np.arange(3.0)}, "large": 2**200}
    model.run()
    model.compile(values=["h"])()
    model.jacobian(of="h", wrt="W")
    back = WAYS[way](model)
    assert back.name == model.name
    assert back.graph.op_of("h.tripled") is tripled
    assert back.training["large"] == 2**200
    assert back.training["state"]["m"].tolist() == [0, 1, 2]
    same_results(model, back)
    back.parameters["W"] = np.zeros((2, 2))
    assert model.parameters["W"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_goes_on_being_built(way: str) -> None:
    graph = dataflow.Graph("half")
    half = relu(graph.input("x", (2,))) * 2
    back_half = WAYS[way](half)
    back = back_half.graph
    assert back is not graph
    assert list(back) == list(graph)
    for one, value in ((graph, half), (back, back_half)):
        one.node("y", value + 1)
    assert list(back) == list(graph) == ["x", "y.relu", "y.multiply", "y"]
    assert list(WAYS[way](dataflow.Graph())) == []


@pytest.mark.parametrize("way", WAYS)
def test_every_op_is_itself(way: str) -> None:
    everything = registry.all_ops()
    assert len(everything) > 40
    for op in [*everything.values(), tripled]:
        assert WAYS[way](op) is op


def test_an_op_inside_a_function_cannot_be_pickled_but_copied() -> None:
    @dataflow.op
    def hidden(x):
        """x + 1."""
        return x + 1

    graph = dataflow.Graph("g")
    graph.node("y", hidden(graph.input("x", (2,))))
    model = dataflow.Model(graph, ["y"])
    assert copy.deepcopy(model).run(x=[1, 2])["y"].tolist() == [2, 3]
    with pytest.raises((pickle.PicklingError, AttributeError), match="hidden"):
        pickle.dumps(model)


TABLE = """dataflow = 2
name = "m"
[inputs]
x = { shape = ["n", 4] }
y = { shape = ["n", 1] }
[parameters]
w = { shape = [1, 4], init = "he_normal" }
[nodes]
yhat = "x @ w.T"
loss = "mse(yhat, y)"
[model]
outputs = ["yhat"]
loss = "loss"
targets = { yhat = "y" }
[data]
file = "d.csv"
columns = { x = ["area", "kind"], y = "price" }
missing = { area = "median" }
categories = { kind = "one_hot" }
standardize = ["x", "y"]
[train]
epochs = 5
metrics = ["rmse"]
validation = { share = 0.25, shuffle = true }
early_stopping = { patience = 2 }
optimizer = { name = "sgd", learning_rate = 0.01, momentum = 0.9 }
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_trained_model_keeps_what_it_learned(way: str, tmp_path: Path) -> None:
    rows = [f"{'' if i == 5 else i * 0.37 % 1},{'abc'[i % 3]},{i * 0.73 % 1}" for i in range(24)]
    (tmp_path / "d.csv").write_text("area,kind,price\n" + "\n".join(rows) + "\n")
    (tmp_path / "m.toml").write_text(TABLE)
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.train(model)
    back = WAYS[way](model)
    found = compare(model, back)
    assert found.same, found
    assert back.targets == model.targets
    assert back.data.learned.plain() == model.data.learned.plain() != {}
    assert back.training["state"]["float64"]["velocity"].any()
    same_results(model, back)
    more = [dataflow.train(one, epochs=2, seed=0).loss for one in (model, back)]  # with the optimizer's state
    assert more[0] == more[1]
    unprepared = WAYS[way](dataflow.load(tmp_path / "m.toml"))
    assert dataflow.train(unprepared).loss == dataflow.train(dataflow.load(tmp_path / "m.toml")).loss


def test_a_loaded_model_keeps_its_data_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.csv").write_text("x\n1\n2\n")
    (tmp_path / "m.toml").write_text(
        'dataflow = 1\nname = "m"\n[inputs]\nx = { shape = ["n"] }\n[nodes]\ny = "2 * x"\n'
        '[model]\noutputs = ["y"]\n[data]\nfile = "d.csv"\n'
    )
    model = dataflow.load(tmp_path / "m.toml")
    dataflow.save(model, tmp_path / "m.msgpack")
    monkeypatch.chdir("/")
    for path in ("m.toml", "m.msgpack"):
        assert pickle.loads(pickle.dumps(dataflow.load(tmp_path / path))).run()["y"].tolist() == [2, 4]


def test_another_process_computes_the_same() -> None:
    model = dataflow.load(next(path for path in MODELS if path.stem == "xor"))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(methodcaller("gradients"), model).result()
        assert pool.submit(ops.relu, np.array([-1.0, 2])).result().tolist() == [0, 2]
    for name, gradient in model.gradients().items():
        assert found[name].tobytes() == gradient.tobytes()


@pytest.mark.slow
def test_a_graph_beyond_the_limits_of_files() -> None:
    graph = dataflow.Graph("chain")
    value = graph.input("x", (1,))
    for _ in range(140_000):
        value = value + 1
    assert len(pickle.loads(pickle.dumps(graph))) == 140_001
