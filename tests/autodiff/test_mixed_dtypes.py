"""Values whose dtype is not their graph's: gradient graphs and batched graphs compute in theirs, as the sweep over
arrays does, which takes nothing of the graph's dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Model, ops
from dataflow.autodiff.batching import batched_graph
from dataflow.autodiff.reverse import backward, gradient_graph
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.graph.walk import replay
from dataflow.operations.engine_ops import sum_to
from dataflow.testing.cases import Case, cases_of, every_op


def check_gradients(graph: Graph, y: Value, known: dict[str, Any], wrt: list[str]) -> int:
    """How many gradients of a weighted sum of y were compared."""
    u = np.random.default_rng(1).normal(size=np.shape(replay(graph, known, [y.name])[y.name])).astype(y.dtype)
    graph.node("f", sum_to(y * graph.input("u", y.shape, y.dtype), shape=()))
    known = {**known, "u": u}
    order = graph.schedule(["f"])
    values = replay(graph, known, order)
    expected = backward(graph, order, values, {"f": np.ones((), values["f"].dtype)}, wrt)
    gradient = gradient_graph(graph, "f", wrt)
    assert expected.keys() & set(wrt) == gradient.cotangents.keys() & set(wrt)
    for name in gradient.cotangents.keys() & set(wrt):
        found = np.asarray(replay(gradient.graph, known, [gradient.cotangents[name]])[gradient.cotangents[name]])
        assert found.dtype == expected[name].dtype
        size = float(np.abs(expected[name]).max(initial=0))
        np.testing.assert_allclose(found, expected[name], rtol=1e-12, atol=1e-14 * size)
    return len(gradient.cotangents.keys() & set(wrt))


def in_float32(case: Case) -> tuple[Graph, Value, dict[str, Any]]:
    """A graph of float32 with the op of float64."""
    graph, known, operands = Graph("g", "float32"), {}, list(case.arguments)
    for i in case.arrays:
        operands[i] = graph.input(f"x{i}", case.arguments[i].shape, case.arguments[i].dtype)
        known[f"x{i}"] = case.arguments[i]
    return graph, graph.apply(case.op, operands, case.attributes, name="y"), known


@pytest.mark.filterwarnings("ignore")
def test_gradients_of_every_op_in_float64_within_float32() -> None:
    compared = 0
    with np.errstate(all="ignore"):
        for op in every_op().values():
            for case in cases_of(op, 0):
                graph, y, known = in_float32(case)
                if case.floats and y.dtype.kind == "f":
                    compared += check_gradients(graph, y, known, [f"x{i}" for i in case.floats])
    assert compared > 300


@pytest.mark.parametrize("narrow", ["a", "b"])
def test_a_power_of_two_dtypes_is_differentiated_in_the_wider_one(narrow: str) -> None:
    rng = np.random.default_rng(0)
    known = {"a": rng.uniform(0.5, 2, size=9), "b": rng.normal(size=9)}
    known[narrow] = known[narrow].astype("float32")
    graph = Graph("g")
    a, b = (graph.input(name, (9,), array.dtype) for name, array in known.items())
    graph.node("y", a**b)
    wide = {name: array.astype(np.float64) for name, array in known.items()}
    expected = {"a": wide["b"] * wide["a"] ** (wide["b"] - 1), "b": wide["a"] ** wide["b"] * np.log(wide["a"])}
    found = Model(graph, ["y"]).gradients(of="y", wrt=["a", "b"], data=known)
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-6 if name == narrow else 1e-13)


def test_the_constants_of_a_subgraph_keep_their_dtype() -> None:
    """Also where it is called with values of another graph."""
    body = Graph("body", "float64")
    body.node("next", body.input("x", (2,)) * np.array([0.1, 0.3]))
    graph = Graph("g", "float32")
    (y,) = Subgraph(body, ["x"], {"next": "next"})(graph.input("x", (2,), "float64"))
    x = np.random.default_rng(0).normal(size=2)
    np.testing.assert_array_equal(replay(graph, {"x": x}, [y.name])[y.name], x * np.array([0.1, 0.3]))
    assert check_gradients(graph, y, {"x": x}, ["x"]) == 1


def test_an_op_with_arrays_of_its_own_is_batched_in_its_dtype() -> None:
    graph = Graph("g", "float32")
    x = graph.input("x", (3, 4), "float64")
    graph.node("y", ops.rotary(x))
    batched, names = batched_graph(graph, ["y"], ["x"], 5)
    xs = np.random.default_rng(0).normal(size=(5, 3, 4))
    found = replay(batched, {"x": xs}, [names["y"]])[names["y"]]
    np.testing.assert_allclose(found, [ops.rotary(x) for x in xs], rtol=1e-14)
