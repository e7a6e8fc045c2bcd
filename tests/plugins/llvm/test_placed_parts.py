"""Parts are computed where they belong, products begin with what is added to them and end with relu or its derivative:
what instructions the program has, and that its results are numpy's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dataflow import Graph, Value, ops
from dataflow.operations.engine_ops import masked
from dataflow.plan import Plan, make_plan
from dataflow.shapes import TensorSpec

pytest.importorskip("llvmlite")
from dataflow_llvm.kernels import interpreter
from dataflow_llvm.kernels.matrix_products import DEPTH
from dataflow_llvm.lowering import fuse_region, unroll_small_plan
from dataflow_llvm.running.runner import LlvmRunner

FLOATS = ("float32", "float64")


def program(graph: Graph, outputs: list[str], arrays: dict[str, np.ndarray]) -> tuple[LlvmRunner, Plan]:
    plan = make_plan(graph, outputs, {name: TensorSpec(a.shape, a.dtype) for name, a in arrays.items()})
    return LlvmRunner(plan), plan


def instructions(runner: LlvmRunner) -> Counter[int]:
    """How often the program has each of the interpreter's instructions; nothing may be left to numpy."""
    counts: Counter[int] = Counter()
    for stretch in runner.program.stretches:
        assert isinstance(stretch, list)
        position = 0
        while position < len(stretch):
            counts[stretch[position]] += 1
            position += stretch[position + 1]
    return counts


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("rows", "columns"), [(5, 16), (7, 32), (3, 5), (1, 1)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_region_computes_its_results_in_the_array_that_they_are_parts_of(
    monkeypatch: pytest.MonkeyPatch, axis: int, rows: int, columns: int, dtype: str, generated: bool
) -> None:
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 0 if generated else 10**12)
    graph = Graph(dtype=dtype)
    x = graph.input("x", (rows, columns))
    parts = [x * 2, ops.sqrt(ops.abs(x)), ops.abs(x)]
    whole = ops.stack(*parts, axis=axis) if axis == 1 else ops.concatenate(*parts, axis=axis)
    graph.node("y", ops.tanh(whole) @ ops.transpose(whole) if axis == 0 else ops.sin(whole))
    values = np.random.default_rng(0).normal(size=(rows, columns)).astype(dtype)
    runner, _ = program(graph, ["y"], {"x": values})
    assert len(runner.program.places.parts) == 3
    side_by_side = axis == 0 or (generated and columns * values.itemsize % 64 == 0)
    assert side_by_side or instructions(runner)[interpreter.COPY] == 0
    join = np.stack if axis == 1 else np.concatenate
    joined = join([values * 2, np.sqrt(np.abs(values)), np.abs(values)], axis=axis)
    expected = np.tanh(joined) @ joined.T if axis == 0 else np.sin(joined)
    for _ in range(2):
        np.testing.assert_allclose(runner.run([values])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [16, 3])
def test_gradients_of_slices_are_written_side_by_side_and_their_zeros_have_no_sign(
    monkeypatch: pytest.MonkeyPatch, columns: int, dtype: str, generated: bool
) -> None:
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 0 if generated else 10**12)
    graph = Graph(dtype=dtype)
    x, y = graph.input("x", (4, columns)), graph.input("y", (4, columns))
    shape = (4, 2 * columns)
    whole = ops.place(x * y, key=f":, :{columns}", shape=shape)
    whole = whole + ops.place(x - y, key=f":, {columns}:", shape=shape)
    graph.node("z", whole @ ops.transpose(whole))
    graph.node("signs", 1 / whole)
    values = np.random.default_rng(1).normal(size=(2, 4, columns)).astype(dtype)
    values[0, 1], values[1, 1] = 0, -1  # their product is −0
    runner, _ = program(graph, ["z", "signs"], {"x": values[0], "y": values[1]})
    assert len(runner.program.places.parts) == 2
    assert instructions(runner)[interpreter.COPY] == 0
    joined = np.concatenate([values[0] * values[1], values[0] - values[1]], axis=1) + 0
    with np.errstate(divide="ignore"):
        expected = [joined @ joined.T, 1 / joined]
    for value, other in zip(runner.run([values[0], values[1]]), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-5)


def _bias(x: Value, w: Value, b: Value) -> Value:
    return x @ w + b


def _stacked(x: Value, w: Value, b: Value) -> Value:
    return ops.transpose(ops.stack(x, x + 1), axes=(1, 0, 2)) @ w + b


def _late(x: Value, w: Value, b: Value) -> Value:
    return x @ w + (b + 2 * b)


def _onto_a_slice(x: Value, w: Value, b: Value) -> Value:
    return (ops.stack(b * ops.exp(x @ w), x @ w))[0] + x @ w


def _column(x: Value, w: Value, b: Value) -> Value:
    return x @ w[:, :1] + b[0]


def _onto_a_column(x: Value, w: Value, b: Value) -> Value:
    return (x @ w) @ ops.transpose(w) + x[:, :1]


def _row(x: Value, w: Value, b: Value) -> Value:
    return x[:1] @ w + b


def _turned_row(x: Value, w: Value, b: Value) -> Value:
    return x[:1] @ ops.transpose(ops.transpose(w) + 1) + b


def _empty(x: Value, w: Value, b: Value) -> Value:
    return x[:, :0] @ w[:0] + b


def _twice(x: Value, w: Value, b: Value) -> Value:
    product = x @ w
    return product + product


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "formula",
    [_bias, _stacked, _late, _onto_a_slice, _column, _onto_a_column, _row, _turned_row, _empty, _twice],
)
@pytest.mark.parametrize("sizes", [(9, 300, 37), (1, 1, 1), (70, 5, 64)])
def test_a_product_onto_what_is_added(
    formula: Callable[[Value, Value, Value], Value], dtype: str, sizes: tuple[int, int, int]
) -> None:
    """Against the same in numpy, in float64."""
    rows, length, columns = sizes
    graph = Graph(dtype=dtype)
    graph.node(
        "y",
        formula(graph.input("x", (rows, length)), graph.input("w", (length, columns)), graph.input("b", (columns,))),
    )
    rng = np.random.default_rng(2)
    shapes = {"x": (rows, length), "w": (length, columns), "b": (columns,)}
    arrays = {name: (rng.normal(size=shape) / 4).astype(dtype) for name, shape in shapes.items()}
    runner, plan = program(graph, ["y"], arrays)
    x, w, b = (arrays[name].astype("float64") for name in "xwb")
    expected = {
        _bias: lambda: x @ w + b,
        _stacked: lambda: np.stack([x, x + 1]).transpose(1, 0, 2) @ w + b,
        _late: lambda: x @ w + 3 * b,
        _onto_a_slice: lambda: b * np.exp(x @ w) + x @ w,
        _column: lambda: x @ w[:, :1] + b[0],
        _onto_a_column: lambda: (x @ w) @ w.T + x[:, :1],
        _row: lambda: x[:1] @ w + b,
        _turned_row: lambda: x[:1] @ (w + 1) + b,
        _empty: lambda: np.zeros((rows, columns)) + b,
        _twice: lambda: 2 * (x @ w),
    }[formula]()
    given = [arrays[name] for name in plan.arguments]
    for _ in range(2):
        (found,) = runner.run(given)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 if dtype == "float32" else 1e-12)


Formula = Callable[..., list[Any]]
PLACES_OF_SUMS: dict[str, tuple[Formula, Formula]] = {
    "a product of one row that is repeated": (lambda x, w: [x[:1] @ w + x], lambda x, w: [x[:1] @ w + x]),
    "a product of one column that is repeated": (lambda x, w: [x @ w[:, :1] + x], lambda x, w: [x @ w[:, :1] + x]),
    "sums that lie spread": (
        lambda x, w: [ops.sin(ops.stack(x @ w + x, w @ w + x, axis=2))],
        lambda x, w: [np.sin(np.stack([x @ w + x, w @ w + x], axis=2))],
    ),
    "a sum beside what its region makes of it": (
        lambda x, w: [ops.sin(ops.concatenate(x @ w + x, ops.relu(x @ w + x), axis=1))],
        lambda x, w: [np.sin(np.concatenate([x @ w + x, np.maximum(x @ w + x, 0)], axis=1))],
    ),
    "a sum of which the caller has a view": (
        lambda x, w: [(x @ w + x)[1:], ops.relu(x @ w + x) @ w @ w],
        lambda x, w: [(x @ w + x)[1:], np.maximum(x @ w + x, 0) @ w @ w],
    ),
    "a sum that its region does not read": (
        lambda x, w: [ops.sum(x @ w + x), ops.tanh(x) @ w],
        lambda x, w: [np.sum(x @ w + x), np.tanh(x) @ w],
    ),
    "a region that is left to numpy": (
        lambda x, w: [ops.relu(x @ w + w[0]) @ (x @ w + w[0]).T, ops.mod(x @ w + w[0], 0.7)],
        lambda x, w: [np.maximum(x @ w + w[0], 0) @ (x @ w + w[0]).T, np.mod(x @ w + w[0], 0.7)],
    ),
    "a summand that is a factor": (
        lambda x, w: [((x @ w) + (x @ w) @ w) @ w],
        lambda x, w: [((x @ w) + (x @ w) @ w) @ w],
    ),
    "a summand that is read between product and sum": (
        lambda x, w: [q @ (s + p) @ w for s in [x @ w] for p in [w @ x] for q in [s @ s.T]],
        lambda x, w: [q @ (s + p) @ w for s in [x @ w] for p in [w @ x] for q in [s @ s.T]],
    ),
}
"""Of two square matrices, as a graph and in numpy."""


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", PLACES_OF_SUMS)
def test_where_the_sum_with_a_product_may_stand(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, generated: bool
) -> None:
    """Against the same in numpy, in float64."""
    monkeypatch.setattr(fuse_region, "LEAST_WORK", 0 if generated else 10**12)
    formula, in_numpy = PLACES_OF_SUMS[name]
    arrays = {key: (np.random.default_rng(i).normal(size=(40, 40)) / 8).astype(dtype) for i, key in enumerate("xw")}
    graph = Graph(dtype=dtype)
    values = formula(*(graph.input(key, array.shape) for key, array in arrays.items()))
    outputs = [graph.node(f"y{i}", value).name for i, value in enumerate(values)]
    runner, _ = program(graph, outputs, arrays)
    expected = in_numpy(*(array.astype("float64") for array in arrays.values()))
    for _ in range(2):
        for found, value in zip(runner.run(list(arrays.values())), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=2e-5, atol=2e-5 if dtype == "float32" else 1e-12)


def test_a_bias_costs_no_instruction() -> None:
    graph = Graph(dtype="float32")
    x, w, b = graph.input("x", (8, 4)), graph.input("w", (4, 40)), graph.input("b", (40,))
    graph.node("y", x @ w + (b + b))
    arrays = {name: np.ones(shape, "float32") for name, shape in (("x", (8, 4)), ("w", (4, 40)), ("b", (40,)))}
    counts = instructions(program(graph, ["y"], arrays)[0])
    assert counts == {interpreter.REGION: 1, interpreter.PRODUCT: 1}


def _relu(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0, 0, x)


def _kept(x: np.ndarray, source: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(source), source, np.where(source > 0, x, 0))


def _derivative(x: Value, source: Value) -> Value:
    return masked(x, source > 0, source)


FINISHED: dict[str, tuple[Formula, Formula, int]] = {
    "relu": (lambda x, w: [ops.relu(x @ w)], lambda x, w: [_relu(x @ w)], 0),
    "relu with a bias, of a net": (
        lambda x, w: [ops.relu(ops.relu(x @ w + w[0]) @ w + w[1]) @ w],
        lambda x, w: [_relu(_relu(x @ w + w[0]) @ w + w[1]) @ w],
        0,
    ),
    "relu of a sum with what is there too late": (
        lambda x, w: [ops.relu(x @ w + ops.sin(w @ x)) @ w],
        lambda x, w: [_relu(x @ w + np.sin(w @ x)) @ w],
        1,
    ),
    "the derivative, with a source that the caller gives": (
        lambda x, w: [_derivative(x @ w, x) @ w],
        lambda x, w: [_kept(x @ w, x) @ w],
        0,
    ),
    "the derivative, where its source lies": (
        lambda x, w: [_derivative(w @ x, h) @ w for h in [ops.relu(x @ w)]],
        lambda x, w: [_kept(w @ x, h) @ w for h in [_relu(x @ w)]],
        0,
    ),
    "the derivative, where its source lies, which is a factor": (
        lambda x, w: [_derivative(h @ w, h) @ w for h in [ops.relu(x @ w)]],
        lambda x, w: [_kept(h @ w, h) @ w for h in [_relu(x @ w)]],
        1,
    ),
    "the derivative, beside a source that is read again": (
        lambda x, w: [_derivative(w @ x, h) @ h for h in [ops.relu(x @ w)]],
        lambda x, w: [_kept(w @ x, h) @ h for h in [_relu(x @ w)]],
        0,
    ),
    "the derivative, with a source that lies transposed": (
        lambda x, w: [_derivative(x @ w, ops.transpose(x))],
        lambda x, w: [_kept(x @ w, x.T)],
        1,
    ),
    "a factor that is read for the last time": (
        lambda x, w: [ops.relu(ops.sin(x) @ w) @ w, ops.relu(w @ ops.sin(x)) @ w],
        lambda x, w: [_relu(np.sin(x) @ w) @ w, _relu(w @ np.sin(x)) @ w],
        1,
    ),
    "a stack": (
        lambda x, w: [ops.relu(ops.stack(x, w) @ ops.stack(w, x) + x) @ w],
        lambda x, w: [_relu(np.stack([x, w]) @ np.stack([w, x]) + x) @ w],
        0,
    ),
    "a row, and a column": (
        lambda x, w: [ops.relu(x[:1] @ w), ops.relu(x @ w[:, :1])],
        lambda x, w: [_relu(x[:1] @ w), _relu(x @ w[:, :1])],
        2,
    ),
    "a product that is read twice": (
        lambda x, w: [ops.relu(p) @ p for p in [x @ w]],
        lambda x, w: [_relu(p) @ p for p in [x @ w]],
        1,
    ),
    "a sum that is read twice": (
        lambda x, w: [ops.relu(p) @ p for p in [x @ w + w[0]]],
        lambda x, w: [_relu(p) @ p for p in [x @ w + w[0]]],
        1,
    ),
    "more than relu": (lambda x, w: [ops.relu(x @ w) * w], lambda x, w: [_relu(x @ w) * w], 1),
    "another bound": (lambda x, w: [ops.maximum(x @ w, 0.5)], lambda x, w: [np.maximum(x @ w, 0.5)], 1),
    "another sign of zero": (lambda x, w: [ops.maximum(x @ w, -0.0)], lambda x, w: [np.maximum(x @ w, -0.0)], 1),
}
"""Of two square matrices, as a graph and in numpy, and how many regions are left to run."""


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FINISHED)
@pytest.mark.parametrize("size", [40, DEPTH + 40])
def test_a_product_ends_with_relu_or_its_derivative(name: str, size: int, dtype: str) -> None:
    """Against the same in numpy, in float64, with a NaN among the numbers."""
    formula, in_numpy, regions = FINISHED[name]
    rng = np.random.default_rng(3)
    arrays = {key: (rng.normal(size=(size, size)) / size**0.5).astype(dtype) for key in "xw"}
    arrays["x"][3, 5] = np.nan
    graph = Graph(dtype=dtype)
    values = formula(*(graph.input(key, array.shape) for key, array in arrays.items()))
    outputs = [graph.node(f"y{i}", value).name for i, value in enumerate(values)]
    runner, plan = program(graph, outputs, arrays)
    kept_apart = size > DEPTH and name == "the derivative, where its source lies"
    assert instructions(runner)[interpreter.REGION] == regions + kept_apart
    expected = in_numpy(*(array.astype("float64") for array in arrays.values()))
    for _ in range(2):
        for found, value in zip(runner.run([arrays[key] for key in plan.arguments]), expected, strict=True):
            tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
            np.testing.assert_allclose(found, value, **tolerance)
