"""A compiled function is bound once, and again only where it has to be; its results are those of the arrays given."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow import Graph, Model, ops
from dataflow.backends import last_binding
from dataflow.plan import make_plan
from dataflow.registry.registry import backend


@pytest.mark.parametrize("name", ["numpy", "llvm"])
@pytest.mark.parametrize("size", [10, 40_000], ids=["small", "large"])
def test_other_arrays_each_time(name: str, size: int) -> None:
    if name == "llvm":
        pytest.importorskip("llvmlite")
    graph = Graph("g", dtype="float64")
    graph.node("out", ops.cumsum(graph.input("x", (size,)) * 2, axis=0) + graph.input("y", (size,)))
    plan = make_plan(graph, ["out"], {key: graph.spec(key) for key in ("x", "y")})
    runner = backend(name).prepare(plan, 1)
    bound = []
    original = runner._last._bind
    runner._last._bind = lambda *arrays: bound.append(1) or original(*arrays)
    rng = np.random.default_rng(0)
    kept = rng.normal(size=size)
    results = []
    for round_ in range(5):
        x = rng.normal(size=size)
        (result,) = runner.run([x, kept])
        results.append((result, np.cumsum(2 * x) + kept))
        kept[round_] = round_  # what the caller changes is seen, and earlier results stay
    for result, expected in results:
        np.testing.assert_allclose(result, expected)
    assert len(bound) == (1 if size == 10 else 2)
    (result,) = runner.run([kept[::-1], kept[::-1]])
    np.testing.assert_allclose(result, np.cumsum(2 * kept[::-1]) + kept[::-1])


def test_the_largest_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_binding, "LARGE", 1000)
    monkeypatch.setattr(last_binding, "SMALL", 10)
    model = Model(graph := Graph("g", dtype="float64"))
    graph.node("out", graph.input("x", (500,)) + 1)
    step = model.compile(values=["out"])
    first, _ = step(x=np.zeros(500))
    second, _ = step(x=np.ones(500))
    np.testing.assert_array_equal(first["out"], np.ones(500))
    np.testing.assert_array_equal(second["out"], np.full(500, 2.0))
