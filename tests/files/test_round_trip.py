"""Models through files and back: bit for bit in msgpack, the same meaning in TOML."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataflowWarning
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.ops import concatenate, matmul, mean, relu, softmax, stack, tanh, where

MODELS = sorted((MODELS).glob("*.toml"))


def same_graph(left: Graph, right: Graph) -> None:
    assert list(left) == list(right)
    for name in left:
        a, b = left.node_of(name), right.node_of(name)
        assert a.kind == b.kind
        assert (a.shape, a.dtype, a.block) == (b.shape, b.dtype, b.block)
        assert a.op == b.op
        assert repr(a.attributes) == repr(b.attributes)
        assert [(type(x), repr(x)) for x in left.arguments(name)] == [(type(x), repr(x)) for x in right.arguments(name)]
        assert a.init == b.init
    assert set(left.edges(keys=True)) == set(right.edges(keys=True))


def same_results(left: Model, right: Model) -> None:
    a, b = left.evaluate().values, right.evaluate().values
    for name in left.outputs:
        assert a[name].tobytes() == b[name].tobytes()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_comes_back(path: Path, tmp_path: Path) -> None:
    model = dataflow.load(path)
    for name in ("data.csv", *(p.name for p in path.parent.glob("*.csv*"))):
        if (path.parent / name).exists():
            (tmp_path / name).write_bytes((path.parent / name).read_bytes())
    dataflow.save(model, tmp_path / "a.msgpack")
    packed = dataflow.load(tmp_path / "a.msgpack")
    same_graph(model.graph, packed.graph)
    same_results(model, packed)
    assert packed.train_settings == model.train_settings
    assert (packed.outputs, packed.loss, packed.doc) == (model.outputs, model.loss, model.doc)
    dataflow.save(packed, tmp_path / "b.msgpack")
    # a.msgpack was written before parameters were drawn, b.msgpack after: both say the same of the graph
    dataflow.save(dataflow.load(tmp_path / "b.msgpack"), tmp_path / "c.msgpack")
    assert (tmp_path / "b.msgpack").read_bytes() == (tmp_path / "c.msgpack").read_bytes()
    same_results(model, _through_toml(packed, tmp_path / "drawn.toml"))
    fresh = _through_toml(dataflow.load(path), tmp_path / "d.toml")
    assert set(fresh.graph) == set(model.graph)
    same_results(model, fresh)


def _through_toml(model: Model, path: Path) -> Model:
    with warnings.catch_warnings():
        # drawn parameters of a block's calls cannot be declared in the block, so it is written out, which is said
        warnings.filterwarnings("ignore", "the blocks are written out", DataflowWarning)
        warnings.filterwarnings("ignore", "names that no line", DataflowWarning)
        dataflow.save(model, path)
    return dataflow.load(path)


def test_init_is_kept_until_parameters_are_drawn(tmp_path: Path) -> None:
    digits = next(path for path in MODELS if path.stem == "digits")
    model = dataflow.load(digits)
    with pytest.warns(DataflowWarning, match="--data"):
        dataflow.save(model, tmp_path / "m.msgpack")
    packed = dataflow.load(tmp_path / "m.msgpack")
    assert packed.graph.node_of("W1").init == {"name": "he_normal"}
    np.testing.assert_array_equal(packed.parameters["W1"], model.parameters["W1"])
    with pytest.warns(DataflowWarning, match="--data"):
        dataflow.save(dataflow.load(digits), tmp_path / "m.toml")
    assert 'init = "he_normal"' in (tmp_path / "m.toml").read_text()


def test_training_leaves_a_file_with_everything(tmp_path: Path) -> None:
    model = dataflow.load(next(path for path in MODELS if path.stem == "xor"))
    history = dataflow.train(model, epochs=3, optimizer={"name": "sgd", "learning_rate": 0.05, "momentum": 0.9})
    dataflow.save(model, tmp_path / "t.msgpack")
    packed = dataflow.load(tmp_path / "t.msgpack")
    for name in model.parameters:
        assert packed.parameters[name].tobytes() == model.parameters[name].tobytes()
    assert packed.training["loss"] == history.loss
    with pytest.warns(DataflowWarning, match="training"):
        dataflow.save(packed, tmp_path / "t.toml")


def test_loading_maps_and_training_never_writes_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.msgpack"
    model = dataflow.load(next(path for path in MODELS if path.stem == "xor"))
    dict(model.parameters)
    dataflow.save(model, path)
    before = path.read_bytes()
    loaded = dataflow.load(path)
    dataflow.train(loaded, epochs=2)
    loaded.parameters["b1"] = [7, 7]
    assert path.read_bytes() == before


OPS = [
    lambda draw, a, b: a + b,
    lambda draw, a, b: a * draw(st.floats(-3, 3)),
    lambda draw, a, b: draw(st.integers(-3, 3)) - a,
    lambda draw, a, b: -a,
    lambda draw, a, b: a / (b * b + 1.5),
    lambda draw, a, b: a ** draw(st.integers(1, 3)),
    lambda draw, a, b: relu(a),
    lambda draw, a, b: tanh(a - b),
    lambda draw, a, b: softmax(a, axis=draw(st.sampled_from([0, 1, -1]))),
    lambda draw, a, b: mean(a, axis=1, keepdims=True) + b,
    lambda draw, a, b: where(a > b, a, 0.5),
    lambda draw, a, b: matmul(a, b.T) @ b,
    lambda draw, a, b: stack(a, b, axis=0)[draw(st.integers(0, 1))],
    lambda draw, a, b: concatenate(a, b, axis=1)[:, ::2],
    lambda draw, a, b: a[draw(st.sampled_from([0, -1])), None] + b,
]


@st.composite
def models(draw: st.DrawFn) -> Model:
    graph = Graph("random", draw(st.sampled_from(["float64", "float32"])))
    x = graph.input("x", (3, 2))
    W = graph.parameter("W", (3, 2), init="normal")
    values = [x, W, graph.constant("c", [[0.5, -1.0], [2.0, 0.25], [0.0, 1e-3]])]
    for i in range(draw(st.integers(1, 6))):
        value = draw(st.sampled_from(OPS))(draw, draw(st.sampled_from(values)), draw(st.sampled_from(values)))
        if draw(st.booleans()):
            value = draw(st.sampled_from(OPS))(draw, value, draw(st.sampled_from(values)))
        values.append(graph.node(f"n{i}", value))
    return Model(graph, [values[-1].name])


@given(models())
@settings(max_examples=30)
def test_random_graphs_come_back(tmp_path_factory: pytest.TempPathFactory, model: Model) -> None:
    folder = tmp_path_factory.mktemp("random")
    x = np.linspace(-1, 1, 6).reshape(3, 2)
    expected = model.evaluate(data={"x": x}).values
    dataflow.save(model, folder / "m.msgpack")
    packed = dataflow.load(folder / "m.msgpack")
    same_graph(model.graph, packed.graph)
    for again in (packed, _through_toml(packed, folder / "m.toml")):
        found = again.evaluate(data={"x": x}).values
        assert found[model.outputs[0]].tobytes() == expected[model.outputs[0]].tobytes()
