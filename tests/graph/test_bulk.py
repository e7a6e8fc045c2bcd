"""What large graphs are built by: copies, names and shapes, the same as the slower ways give."""

from __future__ import annotations

import networkx as nx
import pytest

from dataflow import DataflowError, GraphError, OpError, ShapeError
from dataflow.autodiff.reverse import gradient_graph
from dataflow.graph.graph import Graph
from dataflow.graph.node_graph import NodeGraph
from dataflow.graph.node_names import check_name
from dataflow.operations.engine_ops import add, where
from dataflow.ops import exp, relu
from dataflow.ops import sum as sum_
from dataflow.shapes import parse_shape


def _net() -> Graph:
    graph = Graph("net")
    x, w = graph.input("x", ("n", 2)), graph.parameter("W", (2, 2), init="he_normal")
    h = graph.node("h", relu(x @ w) * (x + x))
    graph.node("loss", sum_(h * h))
    return graph


def test_a_copy_is_what_networkx_makes() -> None:
    graph = gradient_graph(_net(), "loss", ["W"]).graph
    graph.edges["x", "h.matmul", 0]["note"] = [1]
    copied, expected = graph.copy(), nx.MultiDiGraph.copy(graph)
    assert type(copied) is Graph
    assert list(copied.nodes(data=True)) == list(expected.nodes(data=True))
    assert list(copied.edges(keys=True, data=True)) == list(expected.edges(keys=True, data=True))
    assert [list(copied.pred[name]) for name in copied] == [list(expected.pred[name]) for name in expected]
    copied.remove_node("loss")
    copied.nodes["h"]["mark"] = copied.edges["x", "h.matmul", 0]["mark"] = 1
    assert "loss" in graph
    assert "mark" not in graph.nodes["h"]
    assert "mark" not in graph.edges["x", "h.matmul", 0]


def test_shapes_of_equal_calls_are_inferred_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    inferred = type(add)._elementwise_spec
    monkeypatch.setattr(type(add), "_elementwise_spec", lambda self, *rest: asked.append(self) or inferred(self, *rest))
    graph = Graph("sums", dtype="float32")
    x, y = graph.input("x", (5, 7, 11)), graph.input("y", (7, 1))
    specs = {(x + y).spec for _ in range(100)}
    assert asked.count(add) <= 1
    assert [str(spec) for spec in specs] == ["float32 (5, 7, 11)"]
    assert str((x + graph.input("z", (11,), "float64")).spec) == "float64 (5, 7, 11)"


def test_a_bodys_order_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataflow.plan import make_plan

    graph = Graph("chain")
    h = graph.input("x", (3,))
    for _ in range(50):
        h = relu(h + 1.0)
    graph.node("y", where(h > 0, h, 0))
    asked: list[str] = []
    schedule = NodeGraph.schedule
    monkeypatch.setattr(NodeGraph, "schedule", lambda self, *rest: asked.append(self.name) or schedule(self, *rest))
    make_plan(graph, ["y"], {"x": graph.spec("x")})
    assert asked.count("relu") <= 1
    assert asked.count("chain") == 1


@pytest.mark.parametrize("name", ["a", "_", "grad.h1.vjp.multiply_2", "Truth", "noneTrue", "h.3.W", "é", "ab:values"])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "1a", "a\n", "a b", "True", "a.None", "a:False", "a" * 1001]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(GraphError):
        check_name(name)


def test_calls_of_one_kind_share_what_was_found_of_the_first() -> None:
    graph = Graph("many", dtype="float32")
    x, k = graph.input("x", (3, 2)), graph.input("k", (3,), "uint8")
    first, second = (graph.node_of((x + x).name) for _ in range(2))
    assert first is second
    scaled = [graph.node_of((x * number).name) for number in (2.0, 0.5)]
    assert [dict(node.literals) for node in scaled] == [{1: 2.0}, {1: 0.5}]
    assert graph.apply(exp, [0.0]).shape == ()  # no array among the arguments
    assert (k * 2.0).dtype == "float64"
    assert (k + 200).dtype == "uint8"
    with pytest.raises(DataflowError, match="does not hold 300"):
        k + 300


def test_a_wrong_call_is_refused_beside_an_equal_one_that_is_right() -> None:
    graph = Graph("wrong", dtype="float32")
    x = graph.input("x", (3, 2))
    assert sum_(x, axis=1).shape == (3,)
    with pytest.raises(OpError, match="attribute 'axis' takes"):
        sum_(x, axis=True)
    with pytest.raises(OpError, match="attribute 'axis' takes"):
        sum_(x, axis=1.0)
    assert graph.parameter("W", (1, 2), init="zeros").shape == (1, 2)
    with pytest.raises(ShapeError, match="a size is an integer"):
        parse_shape((True, 2))
    other = Graph("other").input("x", (3, 2))
    assert (x + x).shape == (3, 2)
    with pytest.raises(GraphError, match="belongs to another graph"):
        x + other
