"""What was made of a model's graph follows the graph when that is changed, and is not made again when it is not."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import dataflow
import dataflow.plan
from dataflow import limits, ops
from dataflow.errors import WorkLimitError

X = np.array([[1.0, 2.0], [3.0, -1.0]])


def cubic(factor: float) -> dataflow.Model:
    graph = dataflow.Graph("cubic")
    x = graph.input("x", ("n", 2))
    factor_ = graph.constant("factor", factor)
    y = graph.node("y", factor_ * x * x * x)
    graph.node("loss", ops.sum(y))
    return dataflow.Model(graph, ["y"], "loss")


ASKED: dict[str, Callable[[dataflow.Model], Any]] = {
    "run": lambda model: model.run(x=X)["y"],
    "gradients": lambda model: model.gradients(wrt="x", x=X)["x"],
    "predict": lambda model: model.predict(x=X)["y"],
    "score": lambda model: model.score(x=X)["loss"],
    "reverse jacobian": lambda model: model.jacobian(of="y", wrt="x", mode="reverse", x=X),
    "forward jacobian": lambda model: model.jacobian(of="y", wrt="x", mode="forward", x=X),
    "vjp": lambda model: model.vjp(of="y", wrt="x", cotangent=X, x=X)["x"],
    "jvp": lambda model: model.jvp(of="y", wrt="x", tangents={"x": X}, x=X),
    "hvp": lambda model: model.hvp(wrt="x", tangents={"x": X}, x=X)["x"],
    "hessian": lambda model: model.hessian(wrt="x", x=X),
    "per example": lambda model: model.per_example_gradients(wrt="x", x=X)["x"],
}
CHANGES: dict[str, Callable[[dataflow.Model], Any]] = {
    "a node": lambda model: model.graph.change_node("factor", value=np.array(5.0)),
    "in networkx": lambda model: _replaced(model.graph),
}


def _replaced(graph: dataflow.Graph) -> None:
    """The constant is another node, by networkx's own methods."""
    node = graph.node_of("factor")
    edges = list(graph.out_edges("factor", keys=True))
    graph.remove_node("factor")
    graph.add_node("factor", node=dataflow.Graph("other").constant("c", 5.0).graph.node_of("c"))
    assert node.shape == graph.node_of("factor").shape
    graph.add_edges_from(edges)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("asked", ASKED)
def test_a_changed_graph_counts_at_once(asked: str, change: str) -> None:
    """Everything is linear in the factor."""
    model, ask = cubic(3.0), ASKED[asked]
    before = np.asarray(ask(model))
    CHANGES[change](model)
    np.testing.assert_allclose(ask(model), before / 3.0 * 5.0, rtol=1e-14)
    np.testing.assert_allclose(ask(model), ask(cubic(5.0)), rtol=1e-14)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_compiled_function_follows_the_graph(backend: str) -> None:
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    model = cubic(3.0)
    function = model.compile(values=["y"], gradients=["x"], backend=backend)
    function(x=X)
    model.graph.change_node("factor", value=np.array(5.0))
    values, gradients = function(x=X)
    np.testing.assert_allclose(values["y"], 5 * X**3, rtol=1e-14)
    np.testing.assert_allclose(gradients["x"], 15 * X**2, rtol=1e-14)


def test_small_predictions_share_a_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make_plan = dataflow.plan.make_plan
    monkeypatch.setattr(dataflow.plan, "make_plan", lambda *arguments: [made.append(1), make_plan(*arguments)][1])
    model = cubic(2.0)
    for _ in range(3):
        np.testing.assert_array_equal(model.predict(x=X)["y"], 2 * X**3)
    assert len(made) == 1
    large = np.ones((2**17, 2))
    for _ in range(2):
        assert model.predict(x=large)["y"].sum() == 2.0**19
    assert len(made) == 3


def test_a_plan_that_was_made_without_limits_is_counted_within_them() -> None:
    model = cubic(2.0)
    model.predict(x=X)
    with pytest.raises(WorkLimitError), limits.allowance("predict", work=1):
        model.predict(x=X)


@pytest.mark.parametrize("of", ["a view", "a view of a view"])
@pytest.mark.parametrize("changed", ["the graph", "the view"])
def test_a_view_follows_the_graph_behind_it(of: str, changed: str) -> None:
    graph = cubic(3.0).graph
    view = graph.subgraph(list(graph)) if of == "a view" else graph.copy(as_view=True).copy(as_view=True)
    model = dataflow.Model(view, ["y"], "loss")
    compiled = model.compile(values=["y"])
    functions = [*ASKED.values(), lambda _: compiled(x=X)[0]["y"]]
    before = [np.asarray(ask(model)) for ask in functions]
    (graph if changed == "the graph" else view).change_node("factor", value=np.array(5.0))
    for ask, old in zip(functions, before, strict=True):
        np.testing.assert_allclose(ask(model), old / 3.0 * 5.0, rtol=1e-14)
    np.testing.assert_allclose(dataflow.Model(graph, ["y"]).predict(x=X)["y"], 5 * X**3, rtol=1e-14)


def test_a_compiled_function_follows_the_widths_that_data_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make_plan = dataflow.plan.make_plan
    monkeypatch.setattr(dataflow.plan, "make_plan", lambda *arguments: [made.append(1), make_plan(*arguments)][1])
    graph = dataflow.Graph("wide")
    x = graph.input("x", ("n", "k"))
    y = graph.node("y", x @ graph.parameter("w", ("k", 1), init="ones"))
    graph.node("loss", ops.sum(y))
    model = dataflow.Model(graph, ["y"], "loss")
    model.decide_widths({"x": np.ones((1, 2))})
    function = model.compile(values=["y"], gradients=["w"])
    for width in (2, 2, 3, 3, 3, 2, 5):
        values, gradients = function(x=np.full((4, width), 2.0))
        np.testing.assert_array_equal(values["y"], np.full((4, 1), 2.0 * width))
        np.testing.assert_array_equal(gradients["w"], np.full((width, 1), 8.0))
    assert len(made) == 4


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("rows", [[3000], range(150, 200)], ids=["one large result", "many shapes"])
def test_predictions_of_small_inputs_leave_little_memory_behind(backend: str, rows: Sequence[int]) -> None:
    """Of 70 MiB at least in the first case, and of 100 in the second."""
    if backend == "llvm":
        pytest.importorskip("llvmlite")
    graph = dataflow.Graph("products")
    x = graph.input("x", ("n", 2))
    products = ops.tanh(x @ np.ones((2, 2 if len(rows) == 1 else 2000)))
    each = ops.tanh(products @ x.T if len(rows) == 1 else ops.exp(products) @ np.ones((2000, 200)))
    graph.node("y", ops.sum(each @ ops.tanh(each).T, axis=1))
    model = dataflow.Model(graph, ["y"])
    model.predict(x=np.ones((1, 2)), backend=backend)
    tracemalloc.start()
    try:
        for count in rows:
            model.predict(x=np.ones((count, 2)), backend=backend)
        gc.collect()
        left, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert left < 2**26
    assert most > 2**24  # what was asked for is as large as is said
