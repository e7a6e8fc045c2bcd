"""The numpy backend: every op into given memory, tiles and threads, what belongs to whom, and no allocation."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from op_graphs import AT_RUN_TIME, IN_PLANS, OPS, with_gradient
from plan_checks import check_all, interpreted, same

import dataflow
from dataflow import Graph, Model, Op, op, ops, primitive
from dataflow.backends import kernels
from dataflow.backends.threads import PRODUCT_THREADS, _libraries, thread_count
from dataflow.backends.unreadable_arrays import Storage, step_of
from dataflow.errors import BackendError
from dataflow.plan import Plan, make_plan
from dataflow.registry import registry
from dataflow.registry.registry import backend
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import cases_of


def plan_of(outputs: dict[str, object], graph: Graph, arrays: dict[str, np.ndarray], **options: int) -> Plan:
    for name, value in outputs.items():
        if name not in graph:
            graph.node(name, value)  # type: ignore[arg-type]
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in arrays.items()}
    return make_plan(graph, list(outputs), specs, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", IN_PLANS)
def test_every_op_and_its_gradient(name: str) -> None:
    cases = cases_of(registry.lookup(name), 0)
    assert cases
    for case in cases:
        changes = {i: case.arguments[i].astype("float32") for i in case.floats}
        graph, outputs, arrays = with_gradient(case.changed(changes))
        specs = {key: TensorSpec(array.shape, array.dtype) for key, array in arrays.items()}
        check_all(graph, outputs, specs, [np.array(array) for array in arrays.values()])


COPIED = {
    *("argmax", "argmin", "argsort", "bitcast", "cumprod", "cumsum", "erf", "erfc", "gather_elements", "gather_nd"),
    *("max_pool_gather", "pad", "pad_transpose", "positions", "prod"),
    *("scatter_elements", "scatter_nd"),
}
"""Ops without a rule that writes into given memory: their results are copied to it."""


def test_ops_that_compute_into_given_memory() -> None:
    lazy = {name for name in OPS if (one := registry.lookup(name)).is_primitive and not one.view}
    lazy = {name for name in lazy if registry.lookup(name).ufunc is None and registry.lookup(name).into_rule is None}
    lazy -= AT_RUN_TIME | {name for name in OPS if registry.lookup(name).graph_attributes}  # run node by node
    assert lazy == {"size", "window_size"} | COPIED  # sizes are always folded


# ------------------------------------------------------------------------------------------------ choices


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shared", ["neither", "left", "right"])
@pytest.mark.parametrize("left", ["array", 0, -0.0, 2.5, float("nan")])
@pytest.mark.parametrize("right", ["array", 0, -0.0, 2.5, float("inf")])
def test_a_choice_keeps_every_bit(left: object, right: object, shared: str, dtype: str) -> None:
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -1e-310], dtype)
    rng = np.random.default_rng(0)
    a, b = rng.permutation(np.tile(special, 8)), rng.permutation(np.tile(special, 8))
    condition = rng.random(64) < 0.5
    x, y = (a if left == "array" else left), (b if right == "array" else right)
    expected = np.where(condition, x, y).astype(dtype)
    out = a if shared == "left" else b if shared == "right" else np.empty_like(a)
    rule = ops.where.into_rule
    assert rule is not None
    stored = [Storage(value) if isinstance(value, np.ndarray) else value for value in (out, condition, x, y)]
    step_of(rule(*stored))()
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("condition", [np.array([0.0, 2.0, np.nan]), np.array([0, 1, 2])])
def test_a_choice_by_what_is_no_mask(condition: np.ndarray) -> None:
    graph = Graph("g")
    c, x = graph.input("c", (3,), condition.dtype), graph.input("x", (3,), "float32")
    arrays = {"c": condition, "x": np.arange(3, dtype="float32")}
    plan = plan_of({"y": ops.where(c, x, 1)}, graph, arrays)
    (result,) = backend("numpy").prepare(plan).run(list(arrays.values()))
    np.testing.assert_array_equal(result, np.where(condition, arrays["x"], 1))


# ------------------------------------------------------------------------------------------------ small results


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "power", "less"])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("shape", "repeated"),
    [((4, 3), (3,)), ((5, 4, 3), (4, 3)), ((4, 3), (1, 3)), ((4, 3), (4, 1)), ((4, 3), (1,)), ((64, 256), (256,))],
)
def test_an_operand_repeated_beside_a_small_array(
    name: str, swapped: bool, shape: tuple[int, ...], repeated: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.uniform(0.5, 2, shape).astype("f4"), "b": rng.uniform(0.5, 2, repeated).astype("f4")}
    arrays["x"].flat[0], arrays["b"].flat[0] = np.nan, -0.0
    graph = Graph("g")
    operands = [graph.input(key, array.shape, "float32") for key, array in arrays.items()]
    order = slice(None, None, -1) if swapped else slice(None)
    plan = plan_of({"y": getattr(ops, name)(*operands[order])}, graph, arrays)
    (result,) = backend("numpy").prepare(plan).run(list(arrays.values()))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*list(arrays.values())[order])
    np.testing.assert_array_equal(result, expected, strict=True)


def test_a_step_of_a_small_model_makes_few_calls() -> None:
    # one call for each of 8 products, a bias that is copied, 2 sums, a maximum, a difference, 2 factors, a comparison
    # and a mask
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape) for name, shape in {"x": (4, 2), "y": (4, 1)}.items()}
    values = {name: rng.normal(size=shape) for name, shape in {"W": (2, 2), "b": (2,), "V": (2, 1), "c": (1,)}.items()}
    graph = Graph("g")
    x, y = (graph.input(name, array.shape) for name, array in arrays.items())
    w, b, v, c = (graph.parameter(name, value=value) for name, value in values.items())
    graph.node("loss", ops.mse(ops.relu(x @ w + b) @ v + c, y, reduction="mean"))
    model = Model(graph, [], "loss")
    trainer = dataflow.Trainer(model, arrays, batch_size=4, backend="numpy")
    trainer.step()
    last = trainer._gradients._last
    assert last is not None
    assert len(last.step.args[0]) == 17


# ------------------------------------------------------------------------------------------------ tiles and threads


def mixed(graph: Graph, shape: tuple[int, ...]) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Elementwise work with rows, columns, scalars, masks, a transposed operand and two results."""
    rng = np.random.default_rng(0)
    arrays = {
        "x": rng.normal(size=shape),
        "row": rng.normal(size=shape[-1:]),
        "column": rng.normal(size=(*shape[:-1], 1)),
        "turned": rng.normal(size=shape[::-1]),
        "number": rng.normal(size=()),
    }
    x, row, column, turned, number = (graph.input(name, array.shape) for name, array in arrays.items())
    h = ops.tanh(x * row + column)
    kept = ops.where(h > number, h * ops.transpose(turned), ops.exp(-h))
    return {"kept": kept, "y": (kept - h) / (2 + h * h), "total": ops.sum(kept * kept)}, arrays


@pytest.mark.parametrize("tile", [1, 7, 64, 10**6])
@pytest.mark.parametrize("shape", [(5, 33), (3, 4, 17), (40, 1), (1, 90), (0, 3), (2, 0)])
def test_tiles(shape: tuple[int, ...], tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.plan.structure.TILE_BYTES", 0)
    monkeypatch.setattr("dataflow.plan.structure.TILE_LEAST", tile)
    graph = Graph("g")
    outputs, arrays = mixed(graph, shape)
    plan = plan_of(outputs, graph, arrays)
    assert any(region.register_count for region in plan.regions)
    expected, largest = interpreted(plan, list(arrays.values()))
    for result, other in zip(backend("numpy").prepare(plan).run(list(arrays.values())), expected, strict=True):
        same(result, other, largest)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_same_bits_with_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "PARALLEL", 1)
    monkeypatch.setattr("dataflow.plan.structure.TILE_LEAST", 64)
    monkeypatch.setattr("dataflow.plan.structure.TILE_BYTES", 0)
    graph = Graph("g")
    outputs, arrays = mixed(graph, (50, 40))
    arrays["x"][::7] = np.inf  # worker threads warn of nothing either
    plan = plan_of(outputs, graph, arrays)
    runs = [backend("numpy").prepare(plan, count).run(list(arrays.values())) for count in (1, threads)]
    for one, other in zip(*runs, strict=True):
        assert one.tobytes() == other.tobytes()


def test_an_exception_in_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "PARALLEL", 1)
    monkeypatch.setattr("dataflow.plan.structure.TILE_LEAST", 4)
    monkeypatch.setattr("dataflow.plan.structure.TILE_BYTES", 0)
    main = threading.get_ident()

    @primitive(elementwise=True, operation="none")
    def moody(x):  # type: ignore[no-untyped-def]
        """x, but not in a thread of its own."""
        if x.size > 1 and threading.get_ident() != main:
            raise ValueError("not here")
        return np.asarray(x)

    graph = Graph("g")
    arrays = {"x": np.arange(100.0)}
    plan = plan_of({"y": graph.apply(moody, [graph.input("x", (100,))])}, graph, arrays)
    with pytest.raises(BackendError, match=r"node 'y': the numpy backend cannot run op 'moody': not here"):
        backend("numpy").prepare(plan, 2).run(list(arrays.values()))


def test_products_use_their_threads_and_give_them_back() -> None:
    before = [library.num_threads for library in _libraries()]
    seen = []

    @primitive(elementwise=True, operation="none")
    def spying(x):  # type: ignore[no-untyped-def]
        """x; notes how many threads a product would use."""
        seen.append([library.num_threads for library in _libraries()])
        return np.asarray(x)

    graph = Graph("g")
    arrays = {"x": np.ones((96, 96))}
    x = graph.input("x", (96, 96))
    plan = plan_of({"y": graph.apply(spying, [x @ x])}, graph, arrays)
    seen.clear()
    backend("numpy").prepare(plan).run([arrays["x"]])
    assert seen == [[1] * len(before)]
    assert [library.num_threads for library in _libraries()] == before
    assert PRODUCT_THREADS.now is None


def test_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_count(3) == 3
    monkeypatch.setenv("DATAFLOW_THREADS", " 2 ")
    assert thread_count() == 2
    monkeypatch.delenv("DATAFLOW_THREADS")
    assert 1 <= thread_count() <= (os.cpu_count() or 1)
    for wrong in ("0", "two", "-1", "1.5"):
        monkeypatch.setenv("DATAFLOW_THREADS", wrong)
        with pytest.raises(BackendError, match="DATAFLOW_THREADS is a number of threads, 1 or more"):
            dataflow.load("models/xor.toml").compile(values=["loss"])()
    for value in (0, True, 1.5):
        with pytest.raises(BackendError, match="threads is a whole number"):
            thread_count(value)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ what belongs to whom


def test_outputs_belong_to_the_caller() -> None:
    graph = Graph("g")
    x, W = graph.input("x", (3, 2)), graph.parameter("W", value=np.arange(4.0).reshape(2, 2))
    c = graph.constant("c", [1.0, 2.0])
    outputs = {"x": x, "W": W, "c": c, "y": x @ W, "again": None, "turned": ops.transpose(x), "same": ops.identity(x)}
    del outputs["again"]
    arrays = {"x": np.ones((3, 2)), "W": np.arange(4.0).reshape(2, 2)}
    plan = plan_of(outputs, graph, arrays)
    runner = backend("numpy").prepare(plan)
    given = list(arrays.values())
    results = runner.run(given)
    expected = [result.copy() for result in results]
    for i, result in enumerate(results):
        for other in (*given, graph.node_of("c").value, *results[:i]):
            assert not np.may_share_memory(result, other)
        result[...] = -7  # what the caller does to it is the caller's affair
    for result, other in zip(runner.run(given), expected, strict=True):
        np.testing.assert_array_equal(result, other)
    np.testing.assert_array_equal(given[0], 1)


@pytest.mark.parametrize("rows", [3, 20_000])
def test_other_arguments_of_one_shape(rows: int) -> None:
    """Small arguments are copied, large ones read where they lie; none is ever written."""
    graph = Graph("g")
    x, W = graph.input("x", (rows, 4)), graph.parameter("W", (4, 4), init="ones")
    y = ops.tanh(x @ W) * x
    rng = np.random.default_rng(0)
    W_value = rng.normal(size=(4, 4))
    plan = plan_of({"y": y, "total": ops.sum(y)}, graph, {"x": np.ones((rows, 4)), "W": W_value})
    runner = backend("numpy").prepare(plan)
    variants = [
        rng.normal(size=(rows, 4)),
        np.asfortranarray(rng.normal(size=(rows, 4))),
        rng.normal(size=(2 * rows, 4))[::2],
        np.broadcast_to(rng.normal(size=(1, 4)), (rows, 4)),
    ]
    for array in (*variants, variants[0], *variants[::-1]):
        before = array.copy()
        result, total = runner.run([array, W_value])
        expected = np.tanh(np.array(before) @ W_value) * before
        np.testing.assert_allclose(result, expected, rtol=1e-12)
        np.testing.assert_allclose(total, expected.sum(), rtol=1e-10)
        np.testing.assert_array_equal(array, before)
    variants[0][...] = 0.5  # the same array with other numbers
    np.testing.assert_allclose(runner.run([variants[0], W_value])[0][0], np.tanh(0.5 * W_value.sum(axis=0)) * 0.5)


def test_large_outputs_are_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow.backends.last_binding.LARGE", 10)
    graph = Graph("g")
    x = graph.input("x", (3,))
    runner = backend("numpy").prepare(plan_of({"y": x + 1, "z": x * 2}, graph, {"x": np.ones(3)}))
    first, second = runner.run([np.zeros(3)]), runner.run([np.ones(3)])
    assert [array.tolist() for array in (*first, *second)] == [[1] * 3, [0] * 3, [2] * 3, [2] * 3]


def test_a_call_looks_at_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled function takes as long to call with 10,000 nodes in the model as with ten; and it draws no parameter
    that it does not need."""
    graph = Graph("two")
    x = graph.input("x", ("n", 2))
    for name in "ab":
        graph.node(f"y{name}", x @ graph.parameter(name, (2, 2), init="he_normal"))
    model = Model(graph, ["ya", "yb"])
    f = model.compile(values=["ya"])
    data = np.eye(2)
    f(x=data)
    assert model.parameters.known("b") is None
    monkeypatch.setattr(Graph, "names", lambda self, kind: pytest.fail("all nodes are gone through"))
    model.parameters["a"] = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(f(x=data)[0]["ya"], [[1.0, 2.0], [3.0, 4.0]])


def test_one_compiled_function_in_many_threads() -> None:
    graph = Graph("g")
    x = graph.input("x", (100,))
    graph.node("y", ops.sum(ops.exp(x) * x))
    f = Model(graph, ["y"]).compile(values=["y"], gradients=["x"], of="y")
    wrong = []

    def work(k: int) -> None:
        for _ in range(50):
            (value, gradient) = f(x=np.full(100, float(k)))
            if not np.isclose(value["y"], 100 * k * np.exp(k)) or not np.allclose(gradient["x"], (k + 1) * np.exp(k)):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


# ------------------------------------------------------------------------------------------------ memory


@pytest.mark.parametrize("loss", ["mse", "softmax_cross_entropy"])
def test_a_step_allocates_next_to_nothing(loss: str) -> None:
    rng = np.random.default_rng(0)
    graph = Graph("net", dtype="float32")
    x, y = graph.input("x", ("n", 100)), graph.input("y", ("n", 100))
    h = x
    for i in range(3):
        W = graph.parameter(f"W{i}", (100, 100), init="he_normal")
        b = graph.parameter(f"b{i}", (100,), init="zeros")
        h = (ops.relu, ops.tanh, ops.sigmoid)[i](ops.linear(h, W, b))
    graph.node("loss", getattr(ops, loss)(h, y, reduction="mean"))
    data = {"x": rng.normal(size=(500, 100)), "y": rng.dirichlet(np.ones(100), size=500)}
    trainer = dataflow.Trainer(Model(graph, [], loss="loss"), data, learning_rate=1e-3)
    trainer.run(3)
    tracemalloc.start()
    trainer.run(20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # numpy's buffers for a few thousand entries; a layer's results take 200,000 bytes
    assert peak < 40_000 < 500 * 100 * 4


# ------------------------------------------------------------------------------------------------ plugins and faults


def test_an_op_that_only_has_a_body_runs() -> None:
    @primitive(operation="none")
    def rolled(x):  # type: ignore[no-untyped-def]
        """x, its last entry first."""
        return np.roll(x, 1)

    @rolled.shape
    def _(x):  # type: ignore[no-untyped-def]
        return x.shape

    @op
    def doubly(x):  # type: ignore[no-untyped-def]
        """Twice rolled, times 2."""
        return 2 * rolled(rolled(x))

    graph = Graph("g")
    x = graph.input("x", (3,))
    plan = plan_of({"y": graph.apply(doubly, [x]) + 1}, graph, {"x": np.ones(3)})
    assert backend("numpy").prepare(plan).run([np.arange(3.0)])[0].tolist() == [3, 5, 1]


@pytest.mark.parametrize("fault", ["body", "into"])
def test_an_op_that_cannot_be_run_is_named(fault: str) -> None:
    def broken(x):  # type: ignore[no-untyped-def]
        """Fails where it has numbers."""
        raise ValueError("no numbers, please")

    declared: Op = primitive(operation="none")(broken)
    declared.shape(lambda x: x.shape)
    if fault == "into":
        declared.into(lambda out, x: broken(x))
    graph = Graph("g")
    plan = plan_of({"y": graph.apply(declared, [graph.input("x", (3,))])}, graph, {"x": np.ones(3)})
    with pytest.raises(BackendError, match=r"node 'y': the numpy backend cannot run op 'broken': no numbers, please"):
        backend("numpy").prepare(plan).run([np.ones(3)])


def test_integers_and_plain_numbers() -> None:
    graph = Graph("g")
    k, flags = graph.input("k", (4,), "int32"), graph.input("flags", (4,), "bool")
    arrays = {"k": np.array([1, -2, 3, 2**31 - 1], "int32"), "flags": np.array([True, False, True, True])}
    outputs: dict[str, object] = {
        "beyond": k < 2**40,
        "half": k / 2,
        "cube": k**3,
        "whole": ops.where(flags, k, 0),
        "count": ops.sum(flags),
        "total": ops.sum(k),
        "zero": k + 0,
        "mixed": k * 0.5,
    }
    plan = plan_of(outputs, graph, arrays)
    expected: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "beyond": lambda k, _: k < 2**40,
        "half": lambda k, _: k / 2,
        "cube": lambda k, _: k**3,
        "whole": lambda k, f: np.where(f, k, 0),
        "count": lambda _, f: f.sum(),
        "total": lambda k, _: k.sum(),
        "zero": lambda k, _: k,
        "mixed": lambda k, _: k * 0.5,
    }
    results = backend("numpy").prepare(plan).run(list(arrays.values()))
    for (name, formula), result in zip(expected.items(), results, strict=True):
        with np.errstate(all="ignore"):
            wanted = formula(*arrays.values())
        assert result.dtype == wanted.dtype, name
        np.testing.assert_array_equal(result, wanted, err_msg=name)


def test_small_models_leave_the_blas_alone() -> None:
    run = "dataflow.load('models/xor.toml').compile(values=['loss'])()"
    code = f"import dataflow, sys; {run}; print('threadpoolctl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
