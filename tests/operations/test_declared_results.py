"""What an op's body gives is held against the shape and dtype that are declared, node by node and in plans alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from op_graphs import IN_PLANS

import dataflow
from dataflow import Graph, Model, RuleError, op, ops, primitive
from dataflow.execution.forward import forward
from dataflow.operations.op import Op
from dataflow.registry import registry
from dataflow.testing.cases import cases_of

BODIES: dict[str, tuple[Callable[[np.ndarray], object], str]] = {
    "int32": (lambda x: x.astype(np.int32), "gave int32 where float64 is declared"),
    "float32": (lambda x: x.astype(np.float32), "gave float32 where float64 is declared"),
    "complex": (lambda x: x + 0j, "gave complex128 where float64 is declared"),
    "complex where negative": (np.emath.sqrt, "gave complex128 where float64 is declared"),
    "bool": (lambda x: x > 0, "gave bool where float64 is declared"),
    "object": (lambda x: x.astype(object), "gave object where float64 is declared"),
    "nothing": (lambda x: None, r"gave the shape \(\)"),
    "masked": (lambda x: np.ma.masked_less(x, 0), "gave a masked array"),
    "a number": (lambda x: 1.0, r"gave the shape \(\) where its shape rule says \(3,\)"),
    "one entry": (lambda x: x[:1], r"gave the shape \(1,\) where its shape rule says \(3,\)"),
    "another axis": (lambda x: x[None], r"gave the shape \(1, 3\) where its shape rule says \(3,\)"),
}


def made(body: Callable[[np.ndarray], object]) -> Op:
    @primitive
    def odd(x):
        """Something else than it declares."""
        return body(x)

    @odd.shape
    def _(x):
        return x.shape

    @odd.vjp
    def _(g, y, x):
        return g

    return odd


def model_with(odd: Op) -> Model:
    graph = Graph("net")
    x = graph.input("x", (3,))
    w = graph.parameter("w", value=[-1.0, 2.0, 3.0])
    graph.node("y", odd(x * w))
    graph.node("loss", ops.sum(graph.value("y")))
    return Model(graph, outputs=["y"], loss="loss")


X = np.ones(3)
WAYS: dict[str, Callable[[Model], object]] = {
    "run": lambda model: model.run(x=X),
    "gradients": lambda model: model.gradients(x=X),
    "compile with numpy": lambda model: model.compile(values=["y"], backend="numpy")(x=X),
    "compile with llvm": lambda model: model.compile(values=["y"], backend="llvm")(x=X),
    "train with numpy": lambda model: dataflow.train(model, {"x": X}, epochs=1, backend="numpy"),
    "train with llvm": lambda model: dataflow.train(model, {"x": X}, epochs=1, backend="llvm"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", BODIES)
def test_a_result_that_is_not_as_declared_is_refused_by_every_way_in(body: str, way: str) -> None:
    if "llvm" in way:
        pytest.importorskip("llvmlite")
    function, reason = BODIES[body]
    with pytest.raises(RuleError, match=f"op 'odd' {reason}") as caught:
        WAYS[way](model_with(made(function)))
    assert caught.value.node == "y"


@pytest.mark.parametrize("way", WAYS)
def test_a_result_as_declared_is_taken(way: str) -> None:
    if "llvm" in way:
        pytest.importorskip("llvmlite")
    WAYS[way](model_with(made(lambda x: 2 * x)))


@pytest.mark.parametrize("way", WAYS)
def test_a_body_of_ops_is_held_against_its_shape_rule(way: str) -> None:
    if "llvm" in way:
        pytest.importorskip("llvmlite")

    @op
    def odd(x):
        """The first entry, as a vector."""
        return x[0:1]

    @odd.shape
    def _(x):
        return x.shape

    with pytest.raises(dataflow.DataflowError):  # where it is differentiated, the gradient does not fit either
        WAYS[way](model_with(odd))


def test_a_constant_is_held_against_its_shape_rule_too() -> None:
    graph = Graph("net")
    graph.node("y", made(lambda x: x[:1])(graph.constant("c", [1.0, 2.0, 3.0])) * graph.input("x", (3,)))
    with pytest.raises(RuleError, match=r"gave the shape \(1,\)"):
        Model(graph, outputs=["y"]).compile(values=["y"])(x=X)


@pytest.mark.parametrize(("base", "samples"), [("float32", 1), pytest.param("float64", 99, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", IN_PLANS)
def test_every_op_gives_the_declared_dtype_whatever_its_arguments_are(name: str, base: str, samples: int) -> None:
    """Each sample with one argument after the other of each dtype, beside floats of one; what refuses, refuses when
    the graph is built."""
    tried = 0
    for case in cases_of(registry.lookup(name), 0)[:samples]:
        arrays = [i for i, argument in enumerate(case.arguments) if isinstance(argument, np.ndarray)]
        plain = {i: case.arguments[i].astype(base) for i in case.floats}
        for i in arrays:
            for dtype in dataflow.DTYPES:
                with np.errstate(invalid="ignore"):
                    changed = case.changed({**plain, i: case.arguments[i].astype(dtype)})
                try:
                    graph, known, y = changed.graph()
                except (dataflow.DataflowError, TypeError):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    value = forward(graph, graph.schedule([y.name]), known, {})[y.name]
                assert value.dtype == y.dtype
                tried += 1
    assert tried or not arrays
