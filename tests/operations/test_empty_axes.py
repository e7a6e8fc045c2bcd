"""Axes without elements: what a product, a reshaping and a mean over them are, in every mode and on both backends.

A sum over nothing is 0, so that a product with an inner size of 0 is 0 and its Jacobian has no columns for its factors.
A mean over no examples is 0/0, NaN as numpy's is, and its derivatives are 0, as no example adds to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Model, ops

BACKENDS = ["numpy", "llvm"]
PRODUCTS = [
    ((3, 4, 2), (2, 0)),
    ((0, 4, 2), (2, 3)),
    ((3, 4, 0), (0, 2)),
    ((3, 0, 2), (2, 5)),
    ((3, 4, 0), (0,)),
    ((3, 0), (0, 2)),
    ((0,), (0, 2)),
    ((2, 3, 0), (2, 0, 4)),
    ((0, 2), (2,)),
    ((0, 2), (2, 0)),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("left", "right"), PRODUCTS, ids=str)
def test_a_product(left: tuple[int, ...], right: tuple[int, ...], backend: str) -> None:
    graph = Graph("g")
    a, b = graph.input("a", left), graph.input("b", right)
    graph.node("y", a @ b)
    model, given = Model(graph, ["y"]), {"a": np.ones(left), "b": np.ones(right)}
    values, gradients = model.compile(values=["y"], gradients=["a", "b"], of="y", backend=backend)(**given)
    expected = np.matmul(given["a"], given["b"])
    assert values["y"].shape == expected.shape
    assert not values["y"].any()
    assert gradients["a"].tolist() == np.zeros(left).tolist()
    assert gradients["b"].tolist() == np.zeros(right).tolist()
    for mode in ("reverse", "forward"):
        jacobian = model.jacobian(of="y", wrt=["a", "b"], mode=mode, **given)
        assert jacobian.shape == (expected.size, given["a"].size + given["b"].size)
        assert not jacobian.any()


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_linear_map_of_nothing_is_its_bias(mode: str) -> None:
    graph = Graph("g")
    x, W, b = graph.input("x", ("n", 0)), graph.input("W", (3, 0)), graph.input("b", (3,))
    graph.node("y", ops.linear(x, W, b))
    model, given = Model(graph, ["y"]), {"x": np.ones((2, 0)), "W": np.ones((3, 0)), "b": np.arange(3.0)}
    assert model.run(**given)["y"].tolist() == [[0, 1, 2], [0, 1, 2]]
    for wrt in (["x", "W", "b"], ["b"], ["W", "b"]):
        found = model.jacobian(of="y", wrt=wrt, mode=mode, **given)
        assert found.tolist() == np.tile(np.eye(3), (2, 1)).tolist()


RESHAPINGS: dict[str, tuple[tuple[Any, ...], tuple[int, ...], tuple[Any, ...], tuple[int, ...]]] = {
    "rest behind": (("n", 2, 3), (0, 2, 3), ("n", -1), (0, 6)),
    "rest before": (("n", 2, 3), (0, 2, 3), (-1, 3), (0, 3)),
    "rest between": (("n", 2, 3), (0, 2, 3), (2, -1, "n"), (2, 3, 0)),
    "rest is 0, too": (("n", "m", 3), (0, 0, 3), ("n", -1), (0, 0)),
    "rest alone is 0": (("n", "m", 3), (2, 0, 3), ("n", -1), (2, 0)),
    "one of two is 0": (("n", "m", 3), (0, 2, 3), ("n", -1), (0, 6)),
}


@pytest.mark.parametrize(("declared", "given", "shape", "expected"), RESHAPINGS.values(), ids=RESHAPINGS)
def test_what_is_left_of_nothing(declared: Any, given: Any, shape: Any, expected: tuple[int, ...]) -> None:
    graph = Graph("g")
    graph.node("y", ops.reshape(graph.input("x", declared), shape=shape))
    model, x = Model(graph, ["y"]), np.ones(given)
    assert model.run(x=x)["y"].shape == expected
    assert model.gradients(of="y", wrt="x", x=x)["x"].shape == given
    for backend in BACKENDS:
        values, gradients = model.compile(values=["y"], gradients=["x"], of="y", backend=backend)(x=x)
        assert (values["y"].shape, gradients["x"].shape) == (expected, given)
    for mode in ("reverse", "forward"):
        assert model.jacobian(of="y", wrt="x", mode=mode, x=x).shape == (0, 0)


MEANS: dict[str, Callable[[Any, Any], Any]] = {
    "mse": lambda p, y: ops.mse(p, y, reduction="mean"),
    "softmax_cross_entropy": lambda p, y: ops.softmax_cross_entropy(p, y, reduction="mean"),
    "mean": lambda p, y: ops.mean(p * p - y),
    "mean over an axis": lambda p, y: ops.sum(ops.mean(p * p - y, axis=0)),
}


@pytest.mark.filterwarnings("ignore:node 'loss'")
@pytest.mark.parametrize("loss", MEANS.values(), ids=MEANS)
def test_a_mean_over_no_examples(loss: Callable[[Any, Any], Any]) -> None:
    graph = Graph("g")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 3))
    W = graph.parameter("W", value=np.ones((3, 2)))
    graph.node("loss", loss(x @ W.T, y))
    model, given = Model(graph, [], loss="loss"), {"x": np.ones((0, 2)), "y": np.ones((0, 3))}
    assert np.isnan(model.evaluate(data=given).values["loss"])
    zeros, tangents = np.zeros((3, 2)), {"W": np.ones((3, 2))}
    found = [
        *(model.jacobian(of="loss", wrt="W", mode=mode, **given).reshape(3, 2) for mode in ("reverse", "forward")),
        model.vjp(of="loss", wrt="W", cotangent=1.0, **given)["W"],
        model.hvp(wrt="W", tangents=tangents, **given)["W"],
        *(model.compile(gradients=["W"], backend=backend)(**given)[1]["W"] for backend in BACKENDS),
        model.evaluate(of="loss", wrt=["W"], data=given).gradients["W"],
    ]
    assert all(np.array_equal(gradient, zeros) for gradient in found), found
    assert model.jvp(of="loss", wrt="W", tangents=tangents, **given) == 0
    assert model.hessian(wrt="W", **given).tolist() == np.zeros((6, 6)).tolist()
    assert model.per_example_gradients(wrt="W", **given)["W"].shape == (0, 3, 2)
