"""Pieces read from and put to places that are known at run time: the bits of numpy's own indexing, without leaving the
compiled loop, and numpy's error where an index is out of range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inside_code import run_inside

import dataflow
from dataflow import BackendError, Graph, Model, Trainer, ops
from dataflow.registry.registry import lookup

pytest.importorskip("llvmlite")

READ: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "rows": ((5, 3), [[4], [0], [-1], [4]], {}),
    "many rows": ((40, 70), np.random.default_rng(0).integers(-40, 40, (90, 30, 1)), {}),
    "entries": ((4, 3), [[0, 2], [3, -3], [-4, 1]], {}),
    "everything": ((2, 3), np.zeros((4, 0)), {}),
    "in batches": ((3, 4, 5), np.random.default_rng(1).integers(-4, 4, (3, 2, 1)), {"batch_dims": 1}),
    "in batches, entries": ((3, 4, 5), np.random.default_rng(2).integers(0, 4, (3, 7, 2)), {"batch_dims": 1}),
    "along the last axis": ((4, 5), np.random.default_rng(3).integers(-5, 5, (4, 2)), {"axis": -1}),
    "along the first axis": ((3, 4, 2), np.random.default_rng(4).integers(-3, 3, (6, 4, 2)), {"axis": 0}),
    "along one between": ((3, 4, 2), np.random.default_rng(5).integers(0, 4, (3, 5, 2)), {"axis": 1}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("name", READ)
def test_pieces_are_read(name: str, dtype: str) -> None:
    shape, places, given = READ[name]
    rng = np.random.default_rng(6)
    for index_dtype, turned in (("int64", False), ("int32", False), ("int64", True)):
        indices = np.array(places).astype(index_dtype)
        x = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
        graph = Graph("g")
        source = graph.input("x", x.T.shape if turned else shape, dtype)
        gather = ops.gather_elements if "axis" in given else ops.gather_nd
        where = graph.input("i", indices.shape, index_dtype)
        graph.node("out", gather(ops.transpose(source) if turned else source, where, **given))
        found = run_inside(graph, {"x": np.ascontiguousarray(x.T) if turned else x, "i": indices})
        if "axis" in given:
            expected = np.take_along_axis(x, indices, given["axis"])
        elif "batch_dims" in given:
            expected = np.stack([x[k][tuple(np.moveaxis(indices[k], -1, 0))] for k in range(len(x))])
        else:
            expected = x[tuple(np.moveaxis(indices, -1, 0))] if indices.shape[-1] else np.stack([x] * len(indices))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("combine", ["add", "replace"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in READ if name != "along the first axis"])
def test_pieces_are_put_in_their_order(name: str, dtype: str, combine: Any) -> None:
    """Where places are the same, the sums have the bits of ``np.add.at``, and the last piece stays."""
    shape, places, given = READ[name]
    rng, indices = np.random.default_rng(7), np.array(places).astype(np.int64)
    scatter = lookup("scatter_elements" if "axis" in given else "scatter_nd")
    batch = given.get("batch_dims", 0)
    pieces = indices.shape if "axis" in given else (*indices.shape[:-1], *shape[batch + indices.shape[-1] :])
    x, updates = (np.array(rng.normal(size=size), dtype) for size in (shape, pieces))
    graph = Graph("g", dtype=dtype)
    leaves = graph.input("x", shape), graph.input("i", indices.shape, "int64"), graph.input("u", pieces)
    graph.node("out", scatter(*leaves, combine=combine, **given))
    found = run_inside(graph, {"x": x, "i": indices, "u": updates})
    np.testing.assert_array_equal(found, scatter.function(x, indices, updates, combine=combine, **given))


def embedded() -> Model:
    graph = Graph("g", dtype="float32")
    x, y = (graph.input(name, ("n", 3), "int64") for name in "xy")
    rows, weights = (graph.parameter(name, (5, 8), init="normal") for name in ("rows", "weights"))
    logits = ops.linear(ops.tanh(ops.embedding(rows, x)), weights)
    loss = graph.node("loss", ops.cross_entropy(logits, y, reduction="mean"))
    return Model(graph, [graph.node("logits", logits).name], loss.name)


def examples(count: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    return {name: rng.integers(0, 5, (count, 3)) for name in "xy"}


OPTIONS: dict[str, Any] = {"batch_size": 8, "shuffle": False, "optimizer": "sgd", "learning_rate": 0.1}


def test_a_net_of_tokens_stays_inside() -> None:
    inside, outside = (Trainer(embedded(), examples(), backend=name, **OPTIONS) for name in ("llvm", "numpy"))
    assert inside._inside is not None
    inside.run(12)
    outside.run(12)
    for name, value in outside.model.parameters.items():
        np.testing.assert_allclose(inside.model.parameters[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("input_name", "index"), [("x", 5), ("x", -6), ("y", 9), ("x", 2**62)])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_index_out_of_range_is_numpys_error(input_name: str, index: int, threads: int) -> None:
    """By every way in; what was trained before it stays, and the run can go on with data that are right."""
    data = examples()
    data[input_name][29, 1] = index  # in the fourth minibatch
    messages, trained = [], []
    for name in ("numpy", "llvm"):
        model = embedded()
        compiled = model.compile(values=["loss"], gradients=["rows"], backend=name)
        with pytest.raises(BackendError) as caught:
            compiled(data=data)
        messages.append(str(caught.value))
        compiled(data=examples())
        for steps in (lambda t: t.run(10), lambda t: [t.step() for _ in range(10)]):
            trainer = Trainer(embedded(), data, backend=name, threads=threads, **OPTIONS)
            with pytest.raises(BackendError) as caught:
                steps(trainer)
            messages.append(str(caught.value))
            assert trainer.steps == 3
            trained.append(trainer.model.parameters["rows"])
    assert len(set(messages)) == 1
    assert f"index {index} is out of range for axis" in messages[0]
    for rows in trained[1:]:
        np.testing.assert_allclose(rows, trained[0], rtol=1e-5, atol=1e-6)


def test_a_negative_index_may_be_refused() -> None:
    graph = Graph("g")
    x, i = graph.input("x", (2, 3)), graph.input("i", (2, 1), "int64")
    graph.node("out", lookup("gather_elements")(x, i, axis=1, wrap=False))
    f = Model(graph, ["out"]).compile(values=["out"], backend="llvm")
    with pytest.raises(dataflow.BackendError, match="index -1 is negative"):
        f(data={"x": np.ones((2, 3)), "i": np.array([[0], [-1]])})


def test_what_has_no_kernel_is_left_to_numpy() -> None:
    """Narrow indices, and other ways of combining."""
    from dataflow.plan import make_plan
    from dataflow_llvm.running.runner import LlvmRunner

    for index_dtype, combine in (("int8", "add"), ("int64", "maximum"), ("uint32", "replace")):
        graph = Graph("g")
        leaves = graph.input("x", (4, 2)), graph.input("i", (3, 1), index_dtype), graph.input("u", (3, 2))
        graph.node("out", lookup("scatter_nd")(*leaves, combine=combine))
        arrays = [np.zeros((4, 2)), np.array([[1], [3], [1]], index_dtype), np.arange(6.0).reshape(3, 2)]
        plan = make_plan(graph, ["out"], {name: graph.spec(name) for name in "xiu"})
        runner = LlvmRunner(plan, 1)
        assert not runner.program.is_whole
        expected = lookup("scatter_nd").function(*arrays, combine=combine)
        np.testing.assert_array_equal(runner.run(arrays)[0], expected)
