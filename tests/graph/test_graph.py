"""Graphs: names, edges, cycles, long chains; values and their traps; sizes; the registry."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataflowError, DataflowWarning, DtypeError, GraphError, PluginError, ShapeError
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.ops import add, relu, tanh
from dataflow.registry import registry
from dataflow.shapes import Size, broadcast_shapes, parse_dim, parse_shape


def test_unnamed_nodes_take_their_name_from_the_node_they_lead_to() -> None:
    graph = Graph("g")
    x = graph.input("x", ("n", 2))
    t = x * 2
    assert t.name == "multiply"
    y = graph.node("y", relu(t + 1) * 3)
    assert list(graph) == ["x", "y.multiply", "y.add", "y.relu", "y"]
    assert (t.name, y.name) == ("y.multiply", "y")
    assert graph.node("z", y).name == "z"
    assert graph.node_of("z").op == "identity"


def test_a_name_that_an_unnamed_node_has_is_free_all_the_same() -> None:
    graph = Graph("g")
    x = graph.input("x", ())
    unnamed = relu(x)
    graph.parameter("relu", value=[1.0])
    assert graph.node_of("relu").kind == "parameter"
    assert graph.node_of(unnamed.name).op == "relu"


def test_both_edges_of_a_square_are_kept() -> None:
    graph = Graph("g")
    x = graph.input("x", ())
    graph.node("y", x * x)
    assert sorted(graph.edges(keys=True)) == [("x", "y", 0), ("x", "y", 1)]
    assert graph.arguments("y") == ("x", "x")
    assert Model(graph, ["y"]).gradients(of="y", wrt="x", x=3.0)["x"] == 6


def test_a_cycle_lists_its_nodes_in_order() -> None:
    graph = Graph("g")
    x = graph.input("x", ())
    graph.node("b", graph.node("a", x + 1) * 2)
    graph.add_edge("b", "a", key=1)
    with pytest.raises(GraphError, match=r"a -> b -> a|b -> a -> b"):
        graph.schedule()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda g: g.input("x", ()), "used twice"),
        (lambda g: g.value("xx"), "did you mean 'x'"),
        (lambda g: g.input("1x", ()), "is not a name"),
        (lambda g: g.parameter("W"), "either an init"),
        (lambda g: g.parameter("W", ("n",), init="zeros"), "sizes are numbers, or widths of inputs"),
        (lambda g: g.parameter("W", (2,), value=[1.0]), "(2,) is declared"),
        (lambda g: g.constant("c", [[1], [2, 3]]), "rows have one length"),
        (lambda g: g.node("y", Graph("h").input("z", ())), "same graph"),
        (lambda g: g.value("x") + Graph("h").input("z", ()), "another graph"),
        (lambda g: bool(g.value("x")), "no truth value"),
        (lambda g: list(g.value("x")), "iterate"),
    ],
)
def test_what_cannot_be_built(build, message: str) -> None:
    graph = Graph("g")
    graph.input("x", ())
    with pytest.raises(DataflowError) as caught:
        build(graph)
    assert message in str(caught.value)


def test_arrays_at_either_side_of_a_value_become_constants() -> None:
    graph = Graph("g")
    x = graph.input("x", (2,))
    y = graph.node("y", np.eye(2) @ x - np.float64(1))
    assert y.shape == (2,)
    np.testing.assert_array_equal(Model(graph, ["y"]).run(x=[3, 4])["y"], [2, 3])


def test_a_value_has_no_numbers_for_numpy() -> None:
    graph = Graph("g")
    x = graph.input("x", (2,))
    for ask in (np.asarray, np.exp, np.sum, float, lambda v: np.where(v > 0, 1, 0)):
        with pytest.raises(TypeError):
            ask(x)
    assert (np.ones((3, 2)) @ x).shape == (3,)
    assert (np.float32(2) * x).dtype == np.float64


def test_errors_name_arguments_on_one_line() -> None:
    graph = Graph("g")
    x = graph.input("x", (3,))
    with pytest.raises(ShapeError) as caught:
        x @ np.ones((4, 4))
    assert str(caught.value).startswith("matmul(x, array (4, 4)): (3,) @ (4, 4) does not fit")
    assert "\n" not in str(caught.value)


def test_a_copy_has_ops_of_its_own() -> None:
    graph = Graph("g")
    graph.node("y", relu(graph.input("x", ())))
    duplicate = graph.copy()
    duplicate.node("z", tanh(duplicate.value("y")))
    assert "z" not in graph
    assert set(graph.ops) == {"relu"}
    assert set(duplicate.ops) == {"relu", "tanh"}


def test_a_schedule_of_what_is_not_there() -> None:
    graph = Graph("g")
    graph.input("x", ())
    with pytest.raises(GraphError, match="unknown node 'z'"):
        graph.schedule(["z"])


def chain(length: int) -> Model:
    graph = Graph("chain")
    value = graph.input("x", ())
    for i in range(length):
        value = graph.apply(tanh, [value], name=f"h{i}")
    return Model(graph, [value.name])


@pytest.mark.parametrize("longest", [6000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain_runs_forward_and_backward_in_linear_time(longest: int) -> None:
    taken = []
    for length in (longest // 5, longest):
        start = time.process_time()
        model = chain(length)
        last = model.outputs[0]
        value = model.run(x=0.5)[last]
        gradient = model.gradients(of=last, wrt="x", x=0.5)["x"]
        taken.append(time.process_time() - start)
    # tanh iterated n times from x is about (2 n / 3 + 1 / x²) ** -0.5: (3 / 200000) ** 0.5 = .003873
    assert float(value) == pytest.approx((longest / 1.5) ** -0.5, rel=2e-2)
    assert float(gradient) == pytest.approx((longest / 1.5) ** -1.5 / 0.5**3, rel=5e-2)
    assert taken[1] < 25 * taken[0]  # five times the work; quadratic time would be 25 times and more


@pytest.mark.slow
def test_a_chain_of_100_000_nodes_compiles_to_a_plan() -> None:
    model = chain(100_000)
    compiled = model.compile(values=[model.outputs[0]])
    assert compiled(x=0.5)[0][model.outputs[0]] == model.run(x=0.5)[model.outputs[0]]


def test_a_doubling_chain_is_exact() -> None:
    graph = Graph("doubling")
    value = graph.input("x", ())
    for i in range(60):
        value = graph.apply(add, [value, value], name=f"h{i}")
    model = Model(graph, ["h59"])
    assert model.run(x=1.0)["h59"] == 2.0**60
    assert model.gradients(of="h59", wrt="x", x=1.0)["x"] == 2.0**60


def test_a_gradient_by_what_is_no_float() -> None:
    graph = Graph("g")
    k = graph.input("k", (), "int64")
    graph.node("y", k * 2.0)
    with pytest.raises(DtypeError, match="of and with respect to floats"):
        Model(graph, ["y"]).gradients(of="y", wrt="k", k=1)


# ------------------------------------------------------------------------------------------------ sizes

NAMES = ("n", "m")


@st.composite
def sizes(draw: st.DrawFn):
    total: int | Size = draw(st.integers(0, 5))
    for _ in range(draw(st.integers(0, 3))):
        term: int | Size = draw(st.integers(1, 4))
        for _ in range(draw(st.integers(0, 2))):
            term = term * Size.symbol(draw(st.sampled_from(NAMES)))
        total = total + term
    return total


@given(sizes(), sizes(), st.integers(0, 9), st.integers(0, 9))
def test_arithmetic_of_sizes_is_that_of_numbers(a, b, n: int, m: int) -> None:
    at = {"n": n, "m": m}

    def number(size) -> int:
        return size.substitute(at) if isinstance(size, Size) else size

    assert number(a + b) == number(a) + number(b)
    assert number(a * b) == number(a) * number(b)
    assert number(a - b) == number(a) - number(b)
    assert number(a // 3) == number(a) // 3
    if isinstance(a, Size):
        assert parse_dim(str(a)) == a
        assert hash(parse_dim(str(a))) == hash(a)


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=4), st.lists(st.sampled_from([1, 2, 3]), max_size=4))
def test_broadcasting_is_numpys(a: list[int], b: list[int]) -> None:
    try:
        expected = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast_shapes(tuple(a), tuple(b))
    else:
        assert broadcast_shapes(tuple(a), tuple(b)) == expected


@pytest.mark.parametrize("shape", [[-1], [1.5], "n", [True], [2**63], ["n +"], ["1n"], [["n"]], [None], [1] * 33])
def test_shapes_that_are_none(shape: object) -> None:
    with pytest.raises(ShapeError):
        parse_shape(shape)


# ------------------------------------------------------------------------------------------------ the registry


class _Point(EntryPoint):
    def load(self):
        return _Point.modules[self.value]


def registered(monkeypatch: pytest.MonkeyPatch, **modules: object) -> registry.Registry:
    _Point.modules = dict(modules)
    points = [_Point(name=name, value=name, group="dataflow") for name in modules]
    monkeypatch.setattr(registry, "_entry_points", lambda: points)
    found = registry.Registry()
    registry.load_plugins(found)
    return found


class _Plugin:
    def __init__(self, *ops) -> None:
        self._ops = ops

    @dataflow.hookimpl
    def register_ops(self):
        return self._ops


def test_two_plugins_that_claim_one_name_are_an_error_that_names_both(monkeypatch) -> None:
    with pytest.raises(PluginError, match=r"'relu' is registered twice: by plugin 'one' and by plugin 'two'"):
        registered(monkeypatch, one=_Plugin(relu), two=_Plugin(relu))


def test_a_broken_plugin_warns_and_the_rest_go_on(monkeypatch) -> None:
    class Broken:
        @dataflow.hookimpl
        def register_ops(self):
            raise ZeroDivisionError("oh")

    class Misspelt:
        @dataflow.hookimpl
        def register_opps(self):
            return []

    with pytest.warns(DataflowWarning) as caught:
        found = registered(monkeypatch, bad=Broken(), good=_Plugin(relu), misspelt=Misspelt(), odd=_Plugin(3))
    assert "relu" in found.ops
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == 3
    assert any("plugin 'bad' is broken and was left out: ZeroDivisionError: oh" in text for text in texts)
    assert any("register_opps" in text for text in texts)
