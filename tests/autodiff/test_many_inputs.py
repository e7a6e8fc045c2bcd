"""What ops with many inputs and outputs cost: counted in nodes, edges, calls of functions and bytes, never timed. Three
sizes, each twice the one before: what is linear grows by the same for each input from the second to the third."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Model, ops
from dataflow.autodiff.reverse import GradientGraph, gradient_graph
from dataflow.graph.subgraph import Subgraph
from dataflow.graph.value import Value
from dataflow.plan import make_plan
from dataflow.registry import registry
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import every_op

SIZES = 10, 20, 40
PAIR = TensorSpec((2,), np.dtype("float64"))


def inputs(graph: Graph, count: int, shape: tuple[Any, ...] = (2,)) -> list[Value]:
    return [graph.input(f"x{i}", shape) for i in range(count)]


def total(values: Any) -> Value:
    first, *rest = values
    for value in rest:
        first = first + value
    return first  # type: ignore[no-any-return]


def parts(graph: Graph, count: int) -> Value:
    """One piece of many, of what depends on all of them."""
    pieces = inputs(graph, count)
    return registry.lookup("part")(ops.concatenate(*pieces), *pieces, which=count // 2)


def extreme(name: str) -> Callable[[Graph, int], Value]:
    def build(graph: Graph, count: int) -> Value:
        first, *rest = inputs(graph, count)
        for x in rest:
            first = registry.lookup(name)(first, x)
        return first

    return build


def read_by_many(graph: Graph, count: int) -> Value:
    x = graph.input("x0", (2,))
    return total([ops.tanh(x * float(i)) for i in range(count)])


LINEAR: dict[str, Callable[[Graph, int], Value]] = {
    "concatenate": lambda graph, count: ops.concatenate(*inputs(graph, count)),
    "concatenate, symbolic sizes": lambda graph, count: ops.concatenate(*inputs(graph, count, ("n", 2))),
    "concatenate, another axis": lambda graph, count: ops.concatenate(*inputs(graph, count, ("n", 2)), axis=-1),
    "stack": lambda graph, count: ops.stack(*inputs(graph, count)),
    "stack, broadcast": lambda graph, count: ops.stack(graph.input("w", (3, 2)), *inputs(graph, count), axis=1),
    "part": parts,
    "einsum": lambda graph, count: ops.einsum(*inputs(graph, count), equation=",".join("i" * count) + "->i"),
    "sum": lambda graph, count: total(inputs(graph, count)),
    "maximum": extreme("maximum"),
    "minimum": extreme("minimum"),
    "read by many": read_by_many,
    "split": lambda graph, count: total(ops.split(graph.input("x0", (2 * count,)), parts=count)),
}
"""An op with many inputs, or outputs, that is to cost so much for each."""


def body(step: Callable[..., Any], specs: dict[str, TensorSpec], outputs: list[str]) -> Subgraph:
    return Subgraph.traced(step, specs, outputs, "body")


def conditional(outputs: int, graph: Graph, count: int) -> Value:
    names = [f"z{i}" for i in range(count if outputs else 1)]

    def scaled(by: float) -> Subgraph:
        step = (lambda *xs: [x * by for x in xs]) if outputs else (lambda *xs: [total(xs) * by])
        return body(step, {f"x{i}": PAIR for i in range(count)}, names)

    condition = graph.input("condition", (), "bool")
    made = registry.lookup("if")(condition, *inputs(graph, count), then=scaled(2.0), orelse=scaled(3.0))
    return total(made[name] for name in names)


def loop(states: int, graph: Graph, count: int) -> Value:
    specs = {"i": TensorSpec((), np.dtype("int64")), **{f"x{i}": PAIR for i in range(count)}}
    carried = count if states else 1

    def step(i: Value, *xs: Value) -> list[Value]:
        return [i < 9, *([x * 0.5 for x in xs] if states else [total(xs)])]

    made = registry.lookup("loop")(
        graph.input("limit", (), "int64"),
        graph.input("condition", (), "bool"),
        *inputs(graph, count),
        body=body(step, specs, ["more", *(f"z{i}" for i in range(carried))]),
        states=carried,
    )
    return total(made[f"z{i}"] for i in range(carried))


def scan(states: int, graph: Graph, count: int) -> Value:
    carried = count if states else 1
    specs = {f"x{i}": PAIR for i in range(carried)} | {"row": PAIR} | {f"r{i}": PAIR for i in range(count - carried)}

    def step(*xs: Value) -> list[Value]:
        row = xs[carried]
        return [x * row for x in xs[:carried]] if states else [total([*xs[carried + 1 :], xs[0] * row])]

    values = inputs(graph, count)
    rows = graph.input("rows", (2, 2))
    made = registry.lookup("scan")(
        *values[:carried],
        rows,
        *values[carried:],
        body=body(step, specs, [f"z{i}" for i in range(carried)]),
        states=carried,
    )
    return total(made[f"z{i}"] for i in range(carried))


CONTROL: dict[str, Callable[[Graph, int], Value]] = {
    f"{build.__name__}, {'many results' if many else 'one result'}": lambda graph, count, build=build, many=many: build(  # type: ignore[misc]
        many, graph, count
    )
    for build in (conditional, loop, scan)
    for many in (0, 1)
}
"""Each output of these is a node that reads all inputs, and their derivative has an output for each input."""


@contextmanager
def counted(into: dict[str, int], name: str) -> Iterator[None]:
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)
        into[name] = calls


def costs(build: Callable[[Graph, int], Value], count: int) -> dict[str, int]:
    """What building, differentiating, planning and the derivative node by node take."""
    found: dict[str, int] = {}
    graph = Graph("many")
    with counted(found, "calls to build"):
        graph.node("loss", ops.sum(build(graph, count) * 0.5))
    wrt = [name for name in graph.names("input") if name.startswith("x")]
    tracemalloc.start()
    with counted(found, "calls to differentiate"):
        gradient = gradient_graph(graph, "loss", wrt)
    found["bytes"] = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    found["nodes"], found["edges"] = len(gradient.graph), gradient.graph.number_of_edges()
    if not graph.makes_sizes and "limit" not in graph and not gradient.graph.makes_sizes:
        with counted(found, "calls to plan"):
            plan(gradient, wrt)
    model = Model(graph, [], "loss")
    arrays = arrays_of(graph)
    with counted(found, "calls of gradients"):
        model.gradients(wrt=wrt, **arrays)
    return found


def plan(gradient: GradientGraph, wrt: list[str]) -> Any:
    arrays = arrays_of(gradient.graph)
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in arrays.items()}
    return make_plan(gradient.graph, ["loss", *(gradient.cotangents[name] for name in wrt)], specs)


def arrays_of(graph: Graph) -> dict[str, np.ndarray]:
    shapes = {name: [3 if not isinstance(size, int) else size for size in graph.spec(name).shape] for name in graph}
    return {name: np.ones(shapes[name], graph.spec(name).dtype) for name in graph.names("input")}


def test_every_op_that_takes_any_number_of_inputs_is_among_them() -> None:
    many = {op.family_name for op in every_op().values() if op.variadic}
    named = {name.partition(",")[0] for name in LINEAR} | {"if", "loop", "scan"}
    assert many <= named


@pytest.mark.parametrize("name", LINEAR)
def test_each_input_costs_the_same_however_many_there_are(name: str) -> None:
    costs(LINEAR[name], SIZES[-1])  # so that all has been kept that is, from call to call, such as keys of slices
    small, middle, large = (costs(LINEAR[name], count) for count in SIZES)
    for what in small:
        if what == "bytes":  # tables grow in jumps; what is quadratic would be 16 times as much
            assert large[what] < 8 * small[what]
        else:
            assert large[what] - middle[what] < 2.3 * (middle[what] - small[what]), what


@pytest.mark.parametrize("name", CONTROL)
def test_each_edge_costs_the_same_however_many_there_are(name: str) -> None:
    costs(CONTROL[name], SIZES[-1])
    small, middle, large = (costs(CONTROL[name], count) for count in SIZES)
    for what in small:
        if what == "bytes":  # 16 times as many edges; what is cubic would be 64 times as much
            assert large[what] < 32 * small[what]
        else:
            grown = (large[what] - middle[what]) / (middle[what] - small[what])
            assert grown < (2.3 if what == "nodes" else 4.6), what


def test_pieces_of_symbolic_sizes_lie_where_they_were_joined() -> None:
    """The gradient of the sum of squares of joined arrays is twice each array."""
    graph = Graph("joined")
    values = [graph.input(name, (2, size)) for name, size in zip("abc", ("n", 1, "m"), strict=True)]
    joined = ops.concatenate(*values, axis=1)
    graph.node("loss", ops.sum(joined * joined))
    model = Model(graph, [], "loss")
    arrays = {"a": np.arange(4.0).reshape(2, 2), "b": np.array([[5.0], [6.0]]), "c": np.arange(6.0).reshape(2, 3) + 7}
    by_node = model.gradients(wrt=list("abc"), **arrays)
    planned = model.compile(gradients=list("abc"))(**arrays)[1]
    for name, array in arrays.items():
        np.testing.assert_array_equal(by_node[name], 2 * array)
        np.testing.assert_array_equal(planned[name], 2 * array)
    second = model.hessian(wrt="a", **arrays)
    np.testing.assert_array_equal(np.asarray(second).reshape(4, 4), 2 * np.eye(4))
