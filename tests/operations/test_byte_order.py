"""Arrays in the byte order that this machine has not: the same numbers, by every op and every way in."""

from __future__ import annotations

import numpy as np
import pytest

import dataflow
from dataflow import Graph, Model, ops
from dataflow.registry import registry
from dataflow.testing.cases import cases_of, every_op


def swapped(value: object) -> object:
    """The same numbers, stored in the byte order that this machine has not."""
    return value.astype(value.dtype.newbyteorder()) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", sorted(every_op()))
def test_every_op_takes_arrays_of_either_byte_order(name: str) -> None:
    op = registry.lookup(name)
    for case in cases_of(op, 0):
        expected = case.run()
        with np.errstate(all="ignore"):
            found = op(*map(swapped, case.arguments), **case.attributes)
        assert found.dtype == expected.dtype
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected)


def in_both_orders(model: Model, backend: str) -> list[dict[str, np.ndarray]]:
    x, w, t = np.array([[1.0, 2, 3]]), np.array([0.5, -1, 2]), np.array([1.0, 0, 1])
    results = []
    for given in (np.array, lambda array: swapped(np.array(array))):
        model.parameters["w"] = given(w)
        data = {"x": given(x)}
        values, gradients = model.compile(values=["y"], gradients=["w"], backend=backend)(data=data)
        results.append(
            {
                "run": model.run(data=data)["y"],
                "compiled": values["y"],
                "gradient": gradients["w"],
                "jvp": model.jvp(of="y", wrt="w", tangents={"w": given(t)}, data=data),
                "vjp": model.vjp(of="y", wrt="w", cotangent=given(np.array([2.0])), data=data)["w"],
                "hvp": model.hvp(of="y", wrt="w", tangents={"w": given(t)}, data=data)["w"],
                "per example": model.per_example_gradients(of="y", wrt="w", data=data)["w"],
                "trained": dataflow.train(model, data, backend=backend, learning_rate=0.1) and model.parameters["w"],
            }
        )
    return results


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_way_in_takes_arrays_of_either_byte_order(dtype: str, backend: str) -> None:
    graph = Graph("g", dtype=dtype)
    x, w = graph.input("x", ("n", 3)), graph.parameter("w", value=swapped(np.array([1.0, 2, 3])))
    c = graph.constant("c", swapped(np.array([1.0, 2, 4])))
    y = graph.node("y", ops.sum(ops.sum_to(x * ops.tanh(w) * c, shape=(3,)), axis=0, keepdims=True))
    graph.node("loss", ops.sum(y * y))
    native, other = in_both_orders(Model(graph, ["y"], "loss"), backend)
    for way, expected in native.items():
        assert other[way].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(other[way], expected, err_msg=way)
