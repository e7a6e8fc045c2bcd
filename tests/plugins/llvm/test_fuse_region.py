"""Code that is generated for elementwise regions computes what the interpreter computes, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from any_graph import graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_checks import plan_of

from dataflow import Graph, Model, Value, ops
from dataflow.autodiff.reverse import gradient_graph
from dataflow.plan import Plan

pytest.importorskip("llvmlite")
from dataflow_llvm.compiling import machine_code
from dataflow_llvm.kernels.formulas import FORMULAS, JOINED
from dataflow_llvm.lowering import fuse_region, lower_plan, unroll_small_plan
from dataflow_llvm.running.runner import LlvmRunner

FLOATS = ("float32", "float64")


def runners(plan: Plan, monkeypatch: pytest.MonkeyPatch, threads: int = 1) -> tuple[LlvmRunner, LlvmRunner]:
    """One that interprets every region, and one that has code for every region."""
    monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 10**12)
    plain = LlvmRunner(plan, threads)
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 0)
    monkeypatch.setattr(lower_plan, "MOST_WEIGHT", 10**6)
    own = LlvmRunner(plan, threads)
    assert not plain.program.own
    return plain, own


def assert_same_bits(plan: Plan, arrays: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> LlvmRunner:
    plain, own = runners(plan, monkeypatch)
    for expected, found in zip(plain.run(arrays), own.run(arrays), strict=True):
        np.testing.assert_array_equal(found, expected)
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])
    return own


def everything(graph: Graph, shape: tuple[int, ...]) -> dict[str, Value]:
    """Results of every formula, with all that an operand can be: a row, a column, a scalar, a mask, a number, and an
    array that lies another way."""
    a, b = graph.input("a", shape), graph.input("b", shape[::-1])
    row, column, scalar = graph.input("row", shape[1:]), graph.input("column", (shape[0], 1)), graph.input("scalar", ())
    mask = graph.input("mask", shape, "bool")
    x, y = a + row, ops.transpose(b) * column - scalar
    found = {
        "functions": ops.exp(x) + ops.tanh(y) * ops.sin(x) - ops.cos(y) / ops.sqrt(ops.abs(x) + 1),
        "logarithm": ops.log(ops.abs(y) + 0.5) * -(x**2.0) + ops.abs(x) ** y,
        "choice": ops.where(x > y, ops.maximum(x, 0.25), ops.minimum(y, -0.0)),
        "masked": ops.where(mask, x, y) * ops.cast(x <= 0, dtype=str(graph.dtype)),
        "kept": ops.masked(y, x > 0, x) + ops.masked(0.5, mask, y),
        "errors": ops.erf(x) - ops.erfc(y) * ops.log1p(ops.abs(x)) + ops.expm1(ops.minimum(y, 1.0)),
        "rounded": ops.floor(x) + ops.ceil(y) * ops.round(x) - ops.trunc(y),
        "less": (x < y) != (x >= scalar),
        "equal": ops.equal(x, y),
    }
    return {name: graph.node(name, value) for name, value in found.items()}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 255), (16, 16), (257, 1), (33, 31), (8, 640), (70, 71)])
def test_every_formula_and_operand(shape: tuple[int, int], dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    graph = Graph("everything", dtype)
    outputs = everything(graph, shape)
    arrays = {
        name: rng.normal(size=graph.node_of(name).shape).astype(dtype) for name in ("a", "b", "row", "column", "scalar")
    }
    arrays["mask"] = rng.random(shape) > 0.5
    special = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 1e30]
    arrays["a"].ravel()[: len(special)] = special[: arrays["a"].size]
    plan = plan_of(graph, list(outputs), arrays)
    own = assert_same_bits(plan, list(arrays.values()), monkeypatch)
    assert own.program.own
    computed = {name for body in own.program.bodies for name, _ in body.operations}
    joined = {formula.name for formula in JOINED}
    assert computed >= FORMULAS.keys() - joined - {"identity", "not_equal", "less_equal", "greater_equal", "equal"}
    plain, _ = runners(plan, monkeypatch)
    assert {name for region in plain.program.regions for name, *_ in region.operations} >= joined


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [1, 7, 255, 256, 257, 5003, 100_000])
@pytest.mark.parametrize("kept", [False, True])
def test_sums_along_the_way(count: int, kept: bool, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of a region's result has the bits of a sum of its own; the result is not written unless it is needed."""
    graph = Graph("sum", dtype)
    x = graph.input("x", (count,))
    h = ops.tanh(x * 3.0) - x
    graph.node("h", h)
    graph.node("total", ops.sum(h))
    graph.node("gradient", ops.exp(x) * 2.0)
    arrays = {"x": np.random.default_rng(0).normal(size=count).astype(dtype)}
    outputs = ["total", "gradient", *(["h"] if kept else [])]
    plan = plan_of(graph, outputs, arrays)
    own = assert_same_bits(plan, list(arrays.values()), monkeypatch)
    names = [name for region in own.program.regions for name, *_ in region.operations]
    assert names.count("partial") == 1
    assert names.count("store") == (2 if kept else 1)
    wide = arrays["x"].astype("float64")
    total = own.run(list(arrays.values()))[0]
    size = np.abs(np.tanh(3 * wide) - wide).sum()
    np.testing.assert_allclose(total, (np.tanh(3 * wide) - wide).sum(), rtol=0, atol=16 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_a_number_gives_does_not_depend_on_its_neighbours(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor on the padding after the last: sine and cosine take another way for huge arguments."""
    graph = Graph("neighbours", dtype)
    x = graph.input("x", (63,))
    found = {"sin": ops.sin(x), "cos": ops.cos(x), "exp": ops.exp(x), "log": ops.log(x), "tanh": ops.tanh(x)}
    outputs = [graph.node(name, value).name for name, value in found.items()]
    usual = np.random.default_rng(0).uniform(0, 9, 63).astype(dtype)
    beside = usual.copy()
    beside[1::2] = np.resize([1e30, np.inf, np.nan, -1e9, 0.0], 31)
    plan = plan_of(graph, outputs, {"x": usual})
    for runner in runners(plan, monkeypatch):
        for alone, mixed in zip(runner.run([usual]), runner.run([beside]), strict=True):
            np.testing.assert_array_equal(mixed[::2], alone[::2])


def test_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("threads", "float32")
    x = graph.input("x", (200_003,))
    h = graph.node("h", ops.exp(ops.tanh(x) * x))
    graph.node("total", ops.sum(h))
    arrays = {"x": np.random.default_rng(0).normal(size=200_003).astype("float32")}
    plan = plan_of(graph, ["h", "total"], arrays)
    results = [runners(plan, monkeypatch, threads)[1].run(list(arrays.values())) for threads in (1, 2, 3)]
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


@settings(max_examples=15)
@given(model=graphs(), rows=st.integers(1, 300), seed=st.integers(0, 99))
def test_random_graphs_and_their_gradients(model: Model, rows: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(rows, 3)).astype(model.graph.dtype)
    graph = gradient_graph(model.graph, model.outputs[0], ["x"])
    arrays = {"x": x, **model.parameters}
    names = [name for name in graph.graph if name in arrays]
    plan = plan_of(graph.graph, [model.outputs[0], *graph.cotangents.values()], {name: arrays[name] for name in names})
    given_arrays = [arrays[name] for name in plan.arguments]
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert_same_bits(plan, given_arrays, monkeypatch)


def test_regions_that_are_alike_share_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("alike", "float32")
    h = graph.input("x", (64, 8))
    arrays = {"x": np.ones((64, 8), "float32")}
    for number in range(5):
        arrays[f"W{number}"] = np.ones((8, 8), "float32")
        h = ops.tanh(h @ graph.parameter(f"W{number}", (8, 8), init="ones")) * 0.5
    graph.node("y", h)
    own = runners(plan_of(graph, ["y"], arrays), monkeypatch)[1]
    assert len(own.program.own) == 5
    assert len(own.program.bodies) == 2  # the last writes to the output, the others into the arena


def test_small_regions_that_are_alike_are_large_together() -> None:
    def program(count: int, factor: float) -> lower_plan.Program:
        graph = Graph("alike", "float32")
        h, W = graph.input("x", (64, 64)), graph.input("W", (64, 64))
        for number in range(count):
            h = ops.tanh(h @ W) * (0.5 + factor * number) + h
        graph.node("y", h)
        ones = np.ones((64, 64), "float32")
        return lower_plan.lower(plan_of(graph, ["y"], {"x": ones, "W": ones}))

    assert not program(10, 0.0).own
    assert len(program(100, 0.0).own) == 100  # 4,096 entries, 3 instructions, 100 regions
    assert not program(100, 0.01).own  # each has another factor


def test_zero_has_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions that differ in nothing but the sign of a zero are not alike."""
    graph = Graph("zeros")
    x = graph.input("x", (4, 4))
    graph.node("y", (ops.exp((x * 0.0) @ x) + 1.0) / ((ops.exp((x * -0.0) @ x) * 0.0 + x * -0.0) @ x))
    arrays = {"x": np.eye(4)}
    assert_same_bits(plan_of(graph, ["y"], arrays), [np.eye(4)], monkeypatch)
    first, second = (
        fuse_region.Body("float64", (("multiply", (("place", 0), ("number", zero.hex()))),), (), (0,), 1)
        for zero in (0.0, -0.0)
    )
    assert first != second


def test_code_is_for_large_regions_and_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(count: int, ops_count: int) -> lower_plan.Program:
        graph = Graph("chain", "float32")
        h = graph.input("x", (count,))
        for _ in range(ops_count):
            h = ops.tanh(h)
        graph.node("y", h)
        return lower_plan.lower(plan_of(graph, ["y"], {"x": np.ones(count, "float32")}))

    assert not program(1000, 10).own
    assert program(1_000_000, 10).own
    assert not program(1_000_000, 100).own
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 0)
    assert program(1000, 10).own


def test_no_name_gets_into_the_code() -> None:
    graph = Graph("insidious_graph", "float32")
    x = graph.input("insidious_input", (10**6,))
    graph.node("insidious_result", ops.tanh(x) * 2.0 + x)
    plan = plan_of(graph, ["insidious_result"], {"insidious_input": np.ones(10**6, "float32")})
    text = fuse_region.text_of(lower_plan.lower(plan).bodies, machine_code.machine())
    assert "own_0" in text
    assert "insidious" not in text


def test_code_in_the_cache_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAFLOW_CACHE", str(tmp_path))
    graph = Graph("cached", "float32")
    x = graph.input("x", (5000,))
    graph.node("y", ops.tanh(x) * 2.0 + x)
    arrays = [np.linspace(-2, 2, 5000, dtype="float32")]
    plan = plan_of(graph, ["y"], {"x": arrays[0]})
    (first,) = runners(plan, monkeypatch)[1].run(arrays)
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["regions"]
    monkeypatch.setattr(fuse_region, "text_of", lambda bodies, machine: pytest.fail("it is there already"))
    (second,) = runners(plan, monkeypatch)[1].run(arrays)
    np.testing.assert_array_equal(second, first)
