"""Gradient graphs of gradient graphs, names given twice, and what an op costs that takes one node twice."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dataflow
from dataflow import DataflowError, Graph, Model, ops
from dataflow.autodiff.reverse import gradient_graph
from dataflow.execution.program import Program
from dataflow.files.toml.read import loads_toml
from dataflow.registry import registry
from dataflow.testing.cases import cases_of, every_op

UNARY = [ops.tanh, ops.sin, ops.exp, ops.sigmoid, ops.negative]
BINARY = [ops.add, ops.subtract, ops.multiply, lambda a, b: a / (1 + b * b)]


def random_net(seed: int) -> Graph:
    """A smooth function of x, whose results are bounded and often used twice; some of its nodes have names."""
    rng = np.random.default_rng(seed)
    graph = Graph("net")
    values = [graph.input("x", (2,))]
    for i in range(int(rng.integers(2, 5))):
        if rng.random() < 0.4:
            value = UNARY[rng.integers(len(UNARY))](ops.tanh(values[rng.integers(len(values))]))
        else:
            first, second = values[rng.integers(len(values))], values[rng.integers(len(values))]
            value = BINARY[rng.integers(len(BINARY))](first, ops.tanh(second))
        values.append(graph.node(f"v{i}", value) if rng.random() < 0.5 else value)
    graph.node("loss", ops.sum(values[-1] * values[-1] + ops.sin(values[0])))
    return graph


def differentiated(graph: Graph, order: int) -> tuple[Graph, list[str]]:
    """The graph with ``target1`` = w · d loss/dx, ``target2`` = w · d target1/dx, ...; and the gradients' nodes."""
    target, gradients = "loss", []
    for k in range(1, order + 1):
        found = gradient_graph(graph, target, ["x"])
        graph = found.graph
        gradients.append(found.cotangents["x"])
        weights = graph.constant(f"w{k}", [0.7, -1.1])
        target = graph.node(f"target{k}", ops.sum(graph.value(gradients[-1]) * weights)).name
    return graph, gradients


@pytest.mark.parametrize("seed", range(50))
def test_gradients_to_third_order_against_finite_differences(seed: int) -> None:
    """Each order is compared with central differences of the one before, of fourth order in the step."""
    graph, gradients = differentiated(random_net(seed), 3)
    targets = ["loss", "target1", "target2"]
    program = Program(graph, [*gradients, *targets])
    x, step = np.array([0.3, -0.6]), 1e-3
    exact = program.run({"x": x})[:3]
    for i in range(2):
        move = step * np.eye(2)[i]
        at = {k: program.run({"x": x + k * move})[3:] for k in (-2, -1, 1, 2)}
        for order in range(3):
            found = (at[-2][order] - 8 * at[-1][order] + 8 * at[1][order] - at[2][order]) / (12 * step)
            assert found == pytest.approx(exact[order][i], rel=1e-6, abs=1e-6), (order + 1, i)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(every_op()))
def test_derivatives_of_each_op_along_a_direction_to_third_order(name: str) -> None:
    """Each against a central difference of the order below, where two steps of it agree."""
    case = cases_of(registry.lookup(name), 5)[0]
    graph, known, y = case.graph()
    if y.dtype.kind != "f" or not case.floats:
        return
    model, wrt = Model(graph, ["y"]), [f"x{i}" for i in case.floats]
    rng = np.random.default_rng(0)
    tangents = {name: rng.normal(size=known[name].shape) for name in wrt}

    def derivative(order: int, step: float = 0.0) -> np.ndarray:
        moved = {name: known[name] + step * tangents[name] for name in wrt}
        return model.jvp(of="y", wrt=wrt, tangents=tangents, order=order, data={**known, **moved})

    try:
        found = [derivative(order) for order in (1, 2, 3)]
    except DataflowError:
        return  # no derivative, or a size that only values tell
    for order in (2, 3):
        coarse, fine = ((derivative(order - 1, h) - derivative(order - 1, -h)) / (2 * h) for h in (2e-5, 1e-5))
        size = 1 + np.abs(fine) + np.abs(found[order - 2])
        smooth = np.abs(coarse - fine) < 1e-5 * size
        np.testing.assert_array_less(np.abs(found[order - 1] - fine)[smooth], (1e-3 * size)[smooth])


@pytest.mark.parametrize("ending", [".toml", ".msgpack"])
@pytest.mark.parametrize("seed", range(5))
def test_a_graph_of_second_order_is_saved_and_loaded(seed: int, ending: str, tmp_path: Path) -> None:
    graph, gradients = differentiated(random_net(seed), 2)
    model = Model(graph, outputs=[gradients[1]])
    with warnings.catch_warnings():  # TOML has no names with dots, and says so
        warnings.simplefilter("ignore", dataflow.DataflowWarning)
        dataflow.save(model, tmp_path / f"second{ending}")
    again = dataflow.load(tmp_path / f"second{ending}")
    x = np.array([0.3, -0.6])
    np.testing.assert_array_equal(again.run(x=x)[again.outputs[0]], model.run(x=x)[gradients[1]])


def test_words_of_the_backward_pass_in_the_graphs_own_names() -> None:
    graph = Graph("net")
    x = graph.input("x", (2,))
    h = graph.node("grad.vjp", ops.exp(x))
    graph.node("loss.seed", h * h)
    graph.node("loss", ops.sum(graph.value("loss.seed")))
    found = gradient_graph(graph, "loss", ["x"])
    assert (found.cotangents["x"], found.cotangents["loss.seed"]) == ("grad_2.x", "grad_2.loss.seed")
    assert "grad_2.loss.seed_2" in found.graph


# ------------------------------------------------------------------------------------------------ a name given twice


MODEL = """
dataflow = 1
[inputs]
x = { shape = ["n", 2] }
[parameters]
W = { value = [[0.5, -1.0], [2.0, 0.25]] }
b = { value = [0.1, -0.2] }
[nodes]
y = "tanh(x @ W.T + b)"
loss = "sum(y * y)"
[model]
outputs = ["y"]
loss = "loss"
"""
X = np.array([[1.0, 2.0], [-0.5, 0.3]])


def test_a_name_given_twice_has_two_blocks_in_a_matrix() -> None:
    model = loads_toml(MODEL)
    for mode in (None, "reverse", "forward"):
        whole = model.jacobian(of="y", wrt=["W", "b"], mode=mode, x=X)
        twice = model.jacobian(of="y", wrt=["b", "W", "b"], mode=mode, x=X)
        np.testing.assert_array_equal(twice, np.hstack([whole[:, 4:], whole[:, :4], whole[:, 4:]]))
    whole, twice = model.hessian(wrt=["W", "b"], x=X), model.hessian(wrt=["b", "W", "b"], x=X)
    places = [4, 5, 0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(twice, whole[np.ix_(places, places)])


def test_a_name_given_twice_has_one_entry_in_a_dict() -> None:
    model = loads_toml(MODEL)
    one, two = ["W", "b"], ["W", "b", "W"]
    tangents = {"W": np.ones((2, 2)), "b": np.ones(2)}
    cotangent = np.ones((2, 2))
    for ask in (
        lambda wrt: model.gradients(wrt=wrt, x=X),
        lambda wrt: model.per_example_gradients(wrt=wrt, x=X),
        lambda wrt: model.vjp(of="y", wrt=wrt, cotangent=cotangent, x=X),
        lambda wrt: model.hvp(wrt=wrt, tangents=tangents, x=X),
        lambda wrt: {"y": model.jvp(of="y", wrt=wrt, tangents=tangents, x=X)},
        lambda wrt: {n: e.gradient for n, e in dataflow.explain(model, wrt=wrt, x=X).explained.items()},
    ):
        expected, found = ask(one), ask(two)
        assert list(found) == list(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value)


# ------------------------------------------------------------------------------------------------ one node taken twice


@st.composite
def nets(draw: st.DrawFn) -> Model:
    """Products of nodes that were met before, often of one with itself; each leads to the next."""
    graph = Graph("net")
    values = [graph.input("x", (draw(st.integers(1, 3)),))]
    for i in range(draw(st.integers(1, 5))):
        first, second = values[-1], draw(st.sampled_from([values[-1], *values]))
        value = first * second if draw(st.booleans()) else ops.sum(first * second, axis=0) + first
        values.append(graph.node(f"v{i}", value))
    graph.node("loss", ops.sum(values[-1] * values[-1]))
    return Model(graph, outputs=["loss"], loss="loss")


@pytest.mark.slow
@given(nets(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_one_order_has_one_count_whichever_way_it_is_asked_for(model: Model, random) -> None:
    x = np.arange(1.0, 1 + model.graph.spec("x").shape[0])
    found = dataflow.explain(model, wrt="x", x=x)
    counts = found.explained["x"].multiplications
    assert counts is not None
    inner = [node.node for node in found.explained["x"].nodes if node.node not in ("loss", "x")]
    shuffled = random.sample(inner, len(inner))
    for order, count in (
        (inner, counts.reverse),
        (inner[::-1], counts.forward),
        (counts.order.order, counts.best),
        (shuffled, None),
    ):
        chosen = dataflow.explain(model, wrt="x", order=list(order), x=x).chosen
        assert chosen is not None
        assert chosen.largest_difference <= 1e-9 * np.abs(found.explained["x"].product).max(initial=1)
        if count is not None:
            assert chosen.elimination.multiplications == count
        assert chosen.elimination.multiplications >= counts.best
    assert counts.best <= counts.markowitz
    assert found.shared == counts.shared == counts.reverse <= counts.separate


def test_a_square_counts_once_and_has_two_paths() -> None:
    """By hand: z of 3 entries; ∂loss/∂q · ∂q/∂z is 1×3 by 3×3, and once more to x: 9 + 9. Each of the two paths by
    itself takes as much."""
    graph = Graph("net")
    x = graph.input("x", (3,))
    z = graph.node("z", ops.tanh(x))
    q = graph.node("q", z * z)
    graph.node("loss", ops.sum(q))
    counts = dataflow.explain(Model(graph, outputs=["q"], loss="loss"), wrt="x", x=np.ones(3)).explained["x"]
    assert counts.multiplications is not None
    assert (counts.multiplications.reverse, counts.multiplications.best, counts.multiplications.forward) == (18, 18, 36)
    assert counts.multiplications.separate == 36
    assert len(counts.paths or []) == 2
