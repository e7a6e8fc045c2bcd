"""What differs between two models: each difference by itself, and nothing else; numbers against numpy's."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from nets import classifier, xor

import dataflow
from dataflow import Graph, Model, TrainSettings
from dataflow.data.source import DataSource
from dataflow.model.comparison import ArrayDifference, compare, compare_arrays, compare_results, same_model
from dataflow.ops import mse, relu, tanh


def net(
    *,
    activation=relu,
    reduction: str = "sum",
    width: int = 3,
    shift: float = 0.5,
    literal: float = 2,
    extra: bool = False,
    init: str = "he_normal",
    dtype: str = "float64",
    size: str = "n",
) -> Model:
    graph = Graph("net", dtype)
    x, y = graph.input("x", (size, 2)), graph.input("y", (size, width))
    W = graph.parameter("W", (width, 2), init=init)
    c = graph.constant("c", [shift] * width)
    h = graph.node("h", activation(x @ W.T) + c)
    if extra:
        h = graph.node("h2", h * 1)
    graph.node("loss", mse(h * literal, y, reduction=reduction))
    return Model(graph, ["h"], "loss")


INPUTS = {"inputs": (["h.relu", "c"], ["h.tanh", "c"])}
NODES: dict[str, tuple[dict, dict]] = {
    "op": ({"activation": tanh}, {"h.relu": "removed", "h.tanh": "added", "h": INPUTS}),
    "attribute": ({"reduction": "mean"}, {"loss": {"attributes.reduction": ("sum", "mean")}}),
    "literal": ({"literal": 2.0}, {"loss.multiply": {"inputs": (["h", 2], ["h", 2.0])}}),
    "initializer": ({"init": "zeros"}, {"W": {"init.name": ("he_normal", "zeros")}}),
}


@pytest.mark.parametrize("case", NODES)
def test_a_node_that_differs(case: str) -> None:
    options, expected = NODES[case]
    found = compare(net(), net(**options))
    assert found.removed == [name for name, what in expected.items() if what == "removed"]
    assert found.added == [name for name, what in expected.items() if what == "added"]
    assert found.changed == {name: what for name, what in expected.items() if isinstance(what, dict)}
    assert (found.model, found.settings, found.training, found.data) == ({}, {}, {}, {})
    assert not found.same
    assert not same_model(net(), net(**options))


def test_a_node_more_and_what_follows_from_it() -> None:
    found = compare(net(), net(extra=True))
    assert found.added == ["h2"]
    assert found.removed == []
    assert found.changed == {"loss.multiply": {"inputs": (["h", 2], ["h2", 2])}}
    back = compare(net(extra=True), net())
    assert (back.added, back.removed) == ([], ["h2"])


def test_shapes_and_dtypes() -> None:
    found = compare(net(), net(width=4))
    assert found.changed["W"] == {"shape": ([3, 2], [4, 2])}
    assert found.changed["h"] == {"shape": (["n", 3], ["n", 4])}
    assert found.parameters["W"].shapes == ((3, 2), (4, 2))
    assert found.parameters["W"].difference is None
    found = compare(net(), net(dtype="float32"))
    assert found.model == {"dtype": ("float64", "float32")}
    assert found.changed["h"] == {"dtype": ("float64", "float32")}
    assert compare(net(), net(size="m")).changed["x"] == {"shape": (["n", 2], ["m", 2])}


def test_a_constant() -> None:
    value = compare(net(), net(shift=0.75)).changed["c"]["value"]
    assert isinstance(value, ArrayDifference)
    assert (value.difference, value.largest, value.entries) == (pytest.approx(0.25 * 3**0.5), 0.25, 3)


def test_the_whole() -> None:
    a, b = net(), net()
    b.outputs, b.loss, b.doc, b.graph.name = ["h", "loss"], None, "no loss", "other"
    b.parameters.redraw(7)
    assert compare(a, b).model == {
        "name": ("net", "other"),
        "doc": ("", "no loss"),
        "outputs": (["h"], ["h", "loss"]),
        "loss": ("loss", None),
        "seed": (0, 7),
    }
    settings = compare(a, Model(a.graph, ["h"], "loss", train=TrainSettings({"name": "adam"}, 3, shuffle=True)))
    assert settings.settings == {"optimizer.name": ("sgd", "adam"), "epochs": (1, 3), "shuffle": (False, True)}


def test_parameters_in_numbers() -> None:
    a, b = net(), net()
    assert not a.parameters.drawn
    assert compare(a, b).same
    assert not a.parameters.drawn  # nothing is drawn to see that both would draw the same
    b.parameters["W"] = b.parameters["W"] + [[0, 1], [0, 0], [-2, 0]]
    assert compare(a, b).parameters.keys() == {"W"}
    found = compare(a, b).parameters["W"]
    first, second = a.parameters["W"], b.parameters["W"]
    assert found.norms == pytest.approx((np.linalg.norm(first), np.linalg.norm(second)), rel=1e-15)
    assert found.difference == pytest.approx(np.linalg.norm(second - first), rel=1e-15)
    assert (found.largest, found.entries, found.shapes) == (2, 2, ((3, 2), (3, 2)))


def test_a_bit_is_a_difference_of_nothing() -> None:
    a, b = net(), net()
    a.parameters["W"], b.parameters["W"] = np.zeros((3, 2)), -np.zeros((3, 2))
    found = compare(a, b)
    assert not found.same
    assert (found.parameters["W"].difference, found.parameters["W"].entries) == (0, 0)


def test_norms_of_numbers_that_are_large_or_none() -> None:
    found = compare_arrays([1e300, 0], [0, 1e300])
    assert found.norms == (1e300, 1e300)
    assert found.difference == pytest.approx(2**0.5 * 1e300)
    found = compare_arrays([np.inf, np.nan, 1], [np.inf, np.nan, 2])
    assert (found.difference, found.entries) == (1, 1)
    assert np.isnan(found.norms[0])
    assert compare_arrays(np.zeros((0, 3)), np.zeros((0, 3))).norms == (0, 0)
    assert compare_arrays([True, False], [1, 1]).entries == 1


def test_training_and_data() -> None:
    a, b = xor(), xor()
    dataflow.train(b, epochs=2)
    found = compare(a, b)
    assert found.training["epochs"] == (None, 2)
    assert found.training["loss"] == (None, b.training["loss"][-1])
    assert found.data == {}
    dataflow.train(a, epochs=2, optimizer={"name": "sgd", "learning_rate": 0.2})
    assert compare(a, b).training["optimizer.learning_rate"] == (0.2, 0.1)
    assert not {"epochs", "manifest.data", "seed"} & compare(a, b).training.keys()
    assert b.data is not None
    b.data = replace(b.data, scale={"x": 2.0})
    assert compare(a, b).data == {"scale.x": (None, 2.0)}
    b.data = DataSource({"x": [[0, 1]], "y": [[1]]})
    assert compare(a, b).data["arrays.x"].shapes == ((4, 2), (1, 2))


def test_results_are_those_of_the_models() -> None:
    a, b = classifier(), classifier()
    dataflow.train(b, epochs=3)
    found = compare_results(a, b, None, None)
    values = a.run(), b.run()
    gradients = a.gradients(), b.gradients()
    assert found.metrics["loss"] == (values[0]["loss"], values[1]["loss"])
    (output,) = a.outputs
    assert found.outputs[output].difference == pytest.approx(
        np.linalg.norm(values[1][output] - values[0][output]), rel=1e-12
    )
    for name, gradient in gradients[0].items():
        expected = np.linalg.norm(gradients[1][name] - gradient)
        assert found.gradients[name].difference == pytest.approx(expected, rel=1e-12)
    hits = [(value[output].argmax(axis=1) == value["y"].argmax(axis=1)).mean() for value in values]
    assert found.metrics["accuracy"] == pytest.approx(hits, rel=1e-15)
    without = compare_results(a, b, {"x": values[0]["x"]}, {"x": values[0]["x"]})  # no labels
    assert (without.metrics, without.gradients) == ({}, {})
    assert without.outputs.keys() == {output}


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.toml")), ids=lambda path: path.stem)
def test_another_format_is_no_difference(path: Path, tmp_path: Path) -> None:
    a = dataflow.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dataflow.DataflowWarning)  # a data file is not in the new folder
        dataflow.save(a, tmp_path / "m.msgpack")
    found = compare(a, dataflow.load(tmp_path / "m.msgpack"))
    left_out = {"file", "columns", "one_hot", "scale"} if a.data is not None and a.data.file is not None else set()
    assert {name.partition(".")[0] for name in found.data} <= left_out
    assert replace(found, data={}).same


def chain(length: int, change: Callable[[int], bool]) -> Model:
    graph = Graph("chain")
    value = graph.input("x", (2,))
    for i in range(length):
        value = graph.node(f"h{i}", (tanh if change(i) else relu)(value))
    return Model(graph, [f"h{length - 1}"])


@pytest.mark.slow
def test_20_000_nodes_take_seconds() -> None:
    a, b = chain(20_000, lambda i: False), chain(20_000, lambda i: i == 777)
    start = time.process_time()
    found = compare(a, b)
    assert time.process_time() - start < 5
    assert found.changed == {"h777": {"op": ("relu", "tanh")}}
