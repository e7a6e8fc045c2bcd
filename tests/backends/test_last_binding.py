"""A compiled function is bound once, and again only where it has to be; its results are those of the arrays given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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


@pytest.mark.parametrize("name", ["numpy", "llvm"])
def test_what_is_handed_out_stays_and_its_memory_is_used_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected is what numpy makes of the same arrays. No copy is made: the results of one call lie in the memory of
    those of the last but one, unless somebody still has those, or a view of one."""
    if name == "llvm":
        pytest.importorskip("llvmlite")
    monkeypatch.setattr(last_binding, "HANDED_OUT", 1)
    size = 40_000
    graph = Graph("g", dtype="float64")
    x = graph.input("x", (size,))
    graph.node("out", x * 2 + 1)
    graph.node("more", ops.reshape(ops.tanh(x), shape=(200, 200)))
    runner = backend(name).prepare(make_plan(graph, ["out", "more"], {"x": graph.spec("x")}), 1)
    bound = []
    original = runner._last._bind
    runner._last._bind = lambda *arrays: bound.append(1) or original(*arrays)
    rng = np.random.default_rng(0)
    given = [rng.normal(size=size) for _ in range(12)]
    expected = [array.copy() for array in given]
    places: list[int] = []
    for array, before in zip(given, expected, strict=True):
        out, more = runner.run([array])  # while the last ones are still there
        np.testing.assert_array_equal(out, before * 2 + 1)
        np.testing.assert_allclose(more.ravel(), np.tanh(before), rtol=1e-14)
        places.append(out.ctypes.data)
        out.flags.writeable, more.shape = False, (400, 100)  # which the next ones do not take over
    assert len(set(places[4:])) == 2
    assert len(bound) <= 4  # the second time that another array comes, it is copied
    bound.clear()
    held = []
    for i, array in enumerate(given):
        out, more = runner.run([array])
        held.append([out, more[i, ::-1], (memoryview(out), more)][i % 3])
    del out, more
    assert len(bound) <= 1  # what is copied, as everything is held
    for i, (before, kept) in enumerate(zip(expected, held, strict=True)):
        if i % 3 == 0:
            np.testing.assert_array_equal(kept, before * 2 + 1)
        elif i % 3 == 1:
            np.testing.assert_allclose(kept, np.tanh(before.reshape(200, 200)[i, ::-1]), rtol=1e-14)
        else:
            np.testing.assert_array_equal(np.asarray(kept[0]), before * 2 + 1)
        np.testing.assert_array_equal(given[i], before)


def test_no_result_is_lost_where_calls_come_from_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_binding, "HANDED_OUT", 1)
    model = Model(graph := Graph("g", dtype="float64"))
    graph.node("out", graph.input("x", (20_000,)) + 1)
    step = model.compile(values=["out"])

    def results(number: int) -> list[np.ndarray]:
        return [step(x=np.full(20_000, 100.0 * number + i))[0]["out"] for i in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for number, kept in enumerate(pool.map(results, range(4))):
            for i, array in enumerate(kept):
                np.testing.assert_array_equal(array, np.full(20_000, 100.0 * number + i + 1))


@pytest.mark.parametrize("name", ["numpy", "llvm"])
def test_results_may_be_given_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected is what numpy makes of the same numbers, step by step."""
    if name == "llvm":
        pytest.importorskip("llvmlite")
    monkeypatch.setattr(last_binding, "HANDED_OUT", 1)
    model = Model(graph := Graph("g", dtype="float64"))
    x = graph.input("x", (20_000,))
    graph.node("out", ops.cumsum(x * 0.5, axis=0) / 20_000 + x)
    step = model.compile(values=["out"], backend=name)
    found = expected = np.linspace(-1, 1, 20_000)
    kept = []
    for _ in range(12):
        found = step(x=found)[0]["out"]
        expected = np.cumsum(expected * 0.5) / 20_000 + expected
        kept.append((found[::100], expected[::100]))
    for those, numbers in kept:
        np.testing.assert_allclose(those, numbers, rtol=1e-10, atol=1e-12)
