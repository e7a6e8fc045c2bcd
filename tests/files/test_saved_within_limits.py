"""What is saved can be loaded: each limit of loading is told by saving, before anything is written, with what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataflow
from dataflow import DataflowError, Graph, Limits, Model
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.limits import VARIABLE, current
from dataflow.ops import concatenate, loop
from dataflow.shapes import TensorSpec


def chain(nodes: int) -> Model:
    graph = Graph("chain")
    value = graph.input("x", (2,))
    for i in range(nodes - 1):
        value = graph.node(f"h{i}", value * 2)
    return Model(graph)


def wide(inputs: int) -> Model:
    graph = Graph("wide")
    x = graph.input("x", (2,))
    graph.node("y", concatenate(*[x] * inputs))
    return Model(graph, ["y"])


def many_edges(nodes: int) -> Model:
    """Six edges for each node."""
    graph = Graph("edges")
    x = graph.input("x", (2,))
    for i in range(nodes - 1):
        graph.node(f"y{i}", concatenate(*[x] * 6))
    return Model(graph)


def body(nodes: int) -> Model:
    """A few nodes, and many in a graph that an attribute holds."""

    def step(number: Value, state: Value) -> list[Value]:
        for _ in range(nodes):
            state = state * 2
        return [number >= 0, state]

    specs = {"number": TensorSpec((), np.dtype("int64")), "state": TensorSpec((2,), np.dtype("float64"))}
    graph = Graph("body")
    inner = Subgraph.traced(step, specs, ["more", "state"], "step")
    graph.node("y", loop(3, True, graph.input("x", (2,)), body=inner))
    return Model(graph)


def long_text(length: int) -> Model:
    return Model(Graph("text"), doc="x" * length)


LIMITED: dict[str, tuple[str, Callable[[int], Model], int]] = {
    "nodes": ("nodes", chain, 12),
    "inputs": ("inputs", wide, 40),
    "edges": ("nodes", many_edges, 9),
    "nodes of a body": ("nodes", body, 12),
    "structure": ("structure", long_text, 4000),
}


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
@pytest.mark.parametrize(("limit", "model_of", "size"), LIMITED.values(), ids=LIMITED)
def test_what_cannot_be_loaded_is_not_saved(
    limit: str, model_of: Callable[[int], Model], size: int, ending: str, tmp_path: Path
) -> None:
    """Whatever the limit, saving refuses exactly what loading refuses, and leaves no file."""
    model, whole = model_of(size), tmp_path / f"whole{ending}"
    dataflow.save(model, whole)
    ends: set[bool] = set()
    for most in range(1, 4 * size, 1 + size // 20):
        path = tmp_path / f"limited{most}{ending}"
        with replace(current(), **{limit: most}):
            loads = _outcome(dataflow.load, whole) is None
            refusal = _outcome(dataflow.save, model, path)
        assert (refusal is None) == loads == path.exists()
        if refusal is not None:
            assert str(path) in str(refusal)
            assert f"{VARIABLE}={limit}=" in str(refusal) or "save the model as .msgpack" in str(refusal)
        ends.add(loads)
    assert ends == {True, False}
    assert list(tmp_path.glob(".*")) == []


def _outcome(work: Callable[..., Any], *arguments: Any) -> DataflowError | None:
    try:
        work(*arguments)
    except DataflowError as error:
        return error
    return None


def test_ten_thousand_inputs_and_more(tmp_path: Path) -> None:
    """The defaults, as they are: a node with more inputs was saved, and could not be loaded."""
    model = wide(10_001)
    for ending in (".toml", ".msgpack"):
        path = tmp_path / f"wide{ending}"
        with pytest.raises(
            DataflowError, match=r"'y'.*10001 inputs; .* at most 10000; .*DATAFLOW_LIMITS=inputs=10001$"
        ):
            dataflow.save(model, path)
        assert not path.exists()
        with Limits(inputs=10_001):
            dataflow.save(model, path)
            assert dataflow.load(path).graph.arguments("y") == ("x",) * 10_001
        with pytest.raises(DataflowError, match=r"10001.*DATAFLOW_LIMITS=inputs=10001"):
            dataflow.load(path)
    assert copy.deepcopy(model).graph.arguments("y") == ("x",) * 10_001


def test_a_size_with_a_long_text(tmp_path: Path) -> None:
    """Two names of sizes make a third that is longer than a file's may be."""
    graph = Graph("sizes")
    a, b = (graph.input(name, (name * 150,)) for name in "ab")
    graph.node("y", concatenate(a, b))
    path = tmp_path / "sizes.msgpack"
    with pytest.raises(DataflowError, match=r"'y'.*at most 200 characters; give sizes shorter names"):
        dataflow.save(Model(graph), path)
    assert not path.exists()
    dataflow.save(Model(graph), tmp_path / "sizes.toml")
    assert dataflow.load(tmp_path / "sizes.toml").graph.spec("y") == graph.spec("y")
