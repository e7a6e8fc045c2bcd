"""Nodes are objects; plain copies for networkx's writers; nodes that somebody added by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import dataflow
from dataflow.analysis.gradient_check import check_gradients
from dataflow.autodiff import gradient_graph
from dataflow.errors import GraphError
from dataflow.graph.graph import Graph
from dataflow.model.comparison import same_model
from dataflow.model.digests import graph_digest
from dataflow.model.model import Model
from dataflow.ops import mse, softmax

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "models").glob("**/*.toml"))


def small_model() -> Model:
    graph = Graph("net")
    x = graph.input("x", ("n", 2))
    weight = graph.parameter("W", value=[[0.5, -1.0]])
    h = graph.node("h", softmax(x @ weight.T + 1, axis=0))
    loss = graph.node("loss", mse(h, graph.input("y", ("n", 1))))
    return Model(graph, [h.name], loss.name)


def test_a_node_is_an_object_that_nobody_changes() -> None:
    graph = small_model().graph
    node = graph.node_of("h")
    assert (node.kind, node.op, node.attributes, str(node.dtype)) == ("op", "softmax", {"axis": 0}, "float64")
    assert graph.nodes["h"] == {"node": node}
    with pytest.raises(FrozenInstanceError):
        node.op = "relu"  # type: ignore[misc]
    graph.change_node("h", block="layer")
    assert (node.block, graph.node_of("h").block, graph.node_of("h").op) == (None, "layer", "softmax")


def test_blocks_calls_and_ops_go_with_copies_and_views() -> None:
    graph = small_model().graph
    graph.blocks["b"] = {"output": "h"}
    graph.calls["h"] = {"block": "b", "share": None, "inputs": ["x"]}
    copy, view = graph.copy(), graph.subgraph(["x", "h"])
    assert copy.calls == view.calls == graph.calls
    copy.calls.clear()
    assert list(graph.calls) == ["h"]
    assert (view.dtype, view.node_of("h"), list(view.ops)) == (graph.dtype, graph.node_of("h"), list(graph.ops))


@pytest.mark.parametrize("path", [None, *FILES], ids=lambda path: path.stem if path else "built")
def test_a_plain_copy_can_be_written_by_networkx(path: Path | None, tmp_path: Path) -> None:
    graph = (small_model() if path is None else dataflow.load(path)).graph
    plain = graph.to_networkx()
    back = nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(plain, edges="edges"))), edges="edges")
    nx.write_graphml(plain, tmp_path / "graph.graphml")
    nx.write_gml(plain, tmp_path / "graph.gml")
    for read in (back, nx.read_graphml(tmp_path / "graph.graphml"), nx.read_gml(tmp_path / "graph.gml")):
        texts = {
            name: {k: str(v) for k, v in data.items()} for name, data in read.nodes(data=True)
        }  # GML reads "()" as ()
        assert texts == dict(plain.nodes(data=True))
        assert sorted(read.edges()) == sorted(graph.edges())
    assert type(plain) is nx.MultiDiGraph
    assert {type(value) for _, data in plain.nodes(data=True) for value in data.values()} == {str}
    for name, node in graph.node_items():
        assert plain.nodes[name]["kind"] == node.kind
        assert plain.nodes[name]["dtype"] == node.dtype.name
        assert plain.nodes[name].get("op", "") == node.op


def test_a_plain_copy_says_what_a_node_holds() -> None:
    nodes = small_model().graph.to_networkx().nodes
    assert nodes["h"] == {
        "kind": "op",
        "shape": "(n, 1)",
        "dtype": "float64",
        "op": "softmax",
        "attributes": '{"axis": 0}',
    }
    assert nodes["W"]["value"] == "[[ 0.5, -1. ]]"


USES: dict[str, Callable[[Model, Path], Any]] = {
    "run": lambda model, _: model.run(x=np.ones((3, 2))),
    "gradients": lambda model, _: model.gradients(x=np.ones((3, 2)), y=np.ones((3, 1))),
    "gradient graph": lambda model, _: gradient_graph(model.graph, "loss", ["W"]),
    "per-example gradients": lambda model, _: model.per_example_gradients(x=np.ones((3, 2)), y=np.ones((3, 1))),
    "jacobian": lambda model, _: model.jacobian(of="h", wrt="W", x=np.ones((3, 2))),
    "hessian": lambda model, _: model.hessian(wrt="W", x=np.ones((3, 2)), y=np.ones((3, 1))),
    "draw": lambda model, _: dataflow.draw(model),
    "save as TOML": lambda model, folder: dataflow.save(model, folder / "model.toml"),
    "save as msgpack": lambda model, folder: dataflow.save(model, folder / "model.msgpack"),
    "explain": lambda model, _: dataflow.explain(model, wrt="W", data={"x": np.ones((3, 2)), "y": np.ones((3, 1))}),
    "compile": lambda model, _: model.compile(values=["h"])(x=np.ones((3, 2))),
    "check": lambda model, _: check_gradients(model, "loss", ["W"], {"x": np.ones((3, 2)), "y": np.ones((3, 1))}),
    "diff": lambda model, _: same_model(model, small_model()),
    "digest": lambda model, _: graph_digest(model),
    "train": lambda model, _: dataflow.train(model, data={"x": np.ones((3, 2)), "y": np.ones((3, 1))}, epochs=1),
    "compose": lambda model, _: dataflow.compose(model, small_model(), {"x": "x"}),
    "schedule": lambda model, _: model.graph.schedule(),
    "plain copy": lambda model, _: model.graph.to_networkx(),
}


@pytest.mark.parametrize("added", ["node", "attributes", "edge"])
@pytest.mark.parametrize("use", USES)
def test_a_node_that_was_added_by_hand_is_an_error_at_the_next_use(use: str, added: str, tmp_path: Path) -> None:
    model = small_model()
    USES[use](small_model(), tmp_path)
    match added:
        case "node":
            model.graph.add_node("q")
        case "attributes":
            model.graph.add_node("q", kind="op", op="relu", shape=(), dtype="float64")
        case "edge":
            model.graph.add_edge("h", "q")
    with pytest.raises(GraphError, match=r"node 'q' was added with networkx's add_node") as caught:
        USES[use](model, tmp_path)
    assert caught.value.node == "q"
