"""The compiled products of convolutions and pooling, beside the ops' own bodies in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dataflow import Graph, ops
from dataflow.operations.op import Op
from dataflow.plan import make_plan
from dataflow_nn.correlation import correlate, correlate_kernel, correlate_transpose
from dataflow_nn.max_pooling import max_pool, max_pool_spread
from dataflow_nn.window_sums import window_spread, window_sum

pytest.importorskip("llvmlite")

PRODUCTS: list[tuple[Any, ...]] = [
    # examples, channels, sizes, channels of the result, kernel, padding, dilation, strides, groups
    (3, 2, (7, 9), 5, (3, 3), 1, 1, 1, 1),
    (2, 1, (5, 40), 8, (3, 3), ((0, 1), (1, 2)), 1, 1, 1),
    (2, 3, (40,), 4, (3,), ((1, 0),), 2, 1, 1),
    (2, 2, (4, 5, 20), 9, (2, 3, 3), ((0, 1), (1, 0), (1, 2)), 1, 1, 1),
    (1, 1, (5, 5), 1, (5, 5), 0, 1, 1, 1),
    (2, 3, (9, 70), 6, (3, 3), 1, 1, 2, 1),
    (2, 4, (8, 9), 6, (3, 2), ((1, 0), (0, 2)), (2, 1), (1, 3), 2),
    (2, 6, (7, 100), 6, (3, 5), (1, 2), 1, 1, 6),
    (2, 6, (9, 11), 12, (3, 3), 1, 2, (2, 3), 6),
    (1, 2, (300,), 3, (40,), ((3, 0),), 1, 16, 1),
    (2, 3, (6, 6), 4, (1, 1), 0, 1, (2, 2), 1),  # entries that no window reaches
    (1, 3, (7, 6), 17, (1, 1), 0, 1, 1, 1),  # rows one behind the other
    (2, 4, (30, 1), 2, (3, 1), 0, 1, 1, 2),
    (1, 2, (4, 5, 7), 2, (2, 3, 2), 1, (1, 1, 3), (2, 1, 2), 2),
]
POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((8, 10), {"kernel": 2}),
    ((9, 9), {"kernel": 3, "strides": 2}),
    ((12,), {"kernel": 2, "dilation": 2, "strides": 1}),
    ((6, 5, 4), {"kernel": 2}),
    ((9, 70), {"kernel": 3, "strides": 2, "padding": 1}),
    ((8, 7), {"kernel": (2, 3), "strides": (3, 1), "padding": ((0, 1), (2, 1))}),
    ((7, 10), {"kernel": 3, "strides": 2, "ceil_mode": True}),
]


def compare(op: Op, arrays: list[np.ndarray], *, inside: bool = True, **attributes: Any) -> None:
    from dataflow_llvm.running.runner import LlvmRunner

    graph = Graph("g", dtype=arrays[0].dtype.name)
    inputs = [graph.input(f"x{i}", array.shape) for i, array in enumerate(arrays)]
    graph.node("out", op(*inputs, **attributes))
    plan = make_plan(graph, ["out"], {value.name: graph.spec(value.name) for value in inputs})
    runner = LlvmRunner(plan, 1)
    assert runner.program.is_whole is inside
    with np.errstate(all="ignore"):
        expected = np.asarray(op(*(array.astype("float64") for array in arrays), **attributes))
    (result,) = runner.run(arrays)
    epsilon = np.finfo(arrays[0].dtype).eps
    largest = np.max(np.abs(expected[np.isfinite(expected)]), initial=1)
    np.testing.assert_allclose(result, expected, rtol=0, atol=200 * epsilon * largest)
    (shared,) = LlvmRunner(plan, 2).run(arrays)
    assert shared.tobytes() == result.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", PRODUCTS, ids=[str(case[2:]) for case in PRODUCTS])
def test_products_of_convolutions(case: Any, dtype: str) -> None:
    examples, channels, sizes, results, kernel, padding, dilation, strides, groups = case
    rng = np.random.default_rng(0)
    attributes = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    x = rng.normal(size=(examples, channels, *sizes))
    weights = rng.normal(size=(results, channels // groups, *kernel))
    y = rng.normal(size=correlate(x, weights, **attributes).shape)
    x, weights, y = (array.astype(dtype) for array in (x, weights, y))
    compare(correlate_kernel, [x, y], kernel=kernel, **attributes)
    for weight in (weights.flat[0], np.inf):  # what lies in the padding is no 0 times infinity
        weights.flat[0] = weight
        compare(correlate, [x, weights], **attributes)
        compare(correlate_transpose, [y, weights], size=sizes, **attributes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", POOLS, ids=[str(case) for case in POOLS])
def test_pooling_by_the_largest_entry(case: Any, dtype: str) -> None:
    sizes, attributes = case
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(2, 3, *sizes)), 1).astype(dtype)  # some are equal
    x.flat[5] = np.nan
    x[1, 1] = -np.inf  # as large as what stands for the padding, which takes no share
    compare(max_pool, [x], **attributes)
    cotangents = rng.normal(size=max_pool(x, **attributes).shape).astype(dtype)
    for count in (2, 1):
        compare(max_pool_spread, [cotangents[:count, :count], x[:count, :count]], **attributes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", POOLS, ids=[str(case) for case in POOLS])
def test_sums_of_windows(case: Any, dtype: str) -> None:
    sizes, attributes = case
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, *sizes)).astype(dtype)
    compare(window_sum, [x], **attributes)
    cotangents = rng.normal(size=window_sum(x, **attributes).shape).astype(dtype)
    compare(window_spread, [cotangents], size=sizes, **attributes)


def test_windows_over_an_array_that_lies_another_way() -> None:
    """Examples and channels exchanged, and the last two axes: the kernels read a copy."""
    from dataflow_llvm.running.runner import LlvmRunner

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((4, 2, 9, 8), (4, 2, 3, 3))]
    graph = Graph("g", dtype="float32")
    x, weights = graph.input("x", (4, 2, 9, 8)), graph.input("W", (4, 2, 3, 3))
    attributes = {"strides": 2, "groups": 2, "padding": 1}
    graph.node("out", correlate(ops.transpose(x, axes=(1, 0, 3, 2)), weights, **attributes))
    plan = make_plan(graph, ["out"], {name: graph.spec(name) for name in ("x", "W")})
    runner = LlvmRunner(plan, 1)
    assert runner.program.is_whole
    expected = correlate(arrays[0].astype(float).transpose(1, 0, 3, 2), arrays[1].astype(float), **attributes)
    np.testing.assert_allclose(runner.run(arrays)[0], expected, rtol=1e-5, atol=1e-5)


def test_padding_that_takes_entries_away_is_left_to_numpy() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 2, 8)).astype("float32"), rng.normal(size=(2, 2, 3)).astype("float32")]
    compare(correlate, arrays, inside=False, padding=((-1, 0),))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutional", "transformer", "recurrent"])
def test_the_training_loop_of_the_benchmark_stays_inside(name: str) -> None:
    from checkout import ROOT

    import dataflow

    model = dataflow.load(ROOT / "tools" / "benchmark" / "models" / f"{name}.toml")
    rng = np.random.default_rng(0)
    data = {
        key: rng.normal(size=(4, *(int(size) for size in model.graph.spec(key).shape[1:]))).astype("float32") * 0.1
        for key in ("x", "y")
    }
    trained = {}
    for backend in ("numpy", "llvm"):
        trainer = dataflow.Trainer(
            model, data, batch_size=2, optimizer={"name": "sgd", "learning_rate": 1e-6}, backend=backend
        )
        trainer.run(4)
        trained[backend] = trainer
    assert trained["llvm"]._inside is not None
    assert trained["numpy"]._inside is None
    for key, array in trained["numpy"].parameters.items():
        np.testing.assert_allclose(trained["llvm"].parameters[key], array, rtol=1e-4, atol=1e-5)
