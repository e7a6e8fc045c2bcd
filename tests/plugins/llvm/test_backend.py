"""The backend ``llvm`` gives what numpy and 50 digits give: every formula, kernel, op, model and random graphs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from checkout import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import classifier, xor
from op_graphs import IN_PLANS
from plan_checks import plan_of

import dataflow
from dataflow import Graph, Model, ops, primitive
from dataflow.autodiff.reverse import gradient_graph
from dataflow.backends.interface import Runner
from dataflow.errors import BackendError
from dataflow.plan import Plan, make_plan
from dataflow.registry import registry
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import every_op

pytest.importorskip("llvmlite")
from dataflow_llvm.lowering import unroll_small_plan
from dataflow_llvm.lowering.added_products import added_products
from dataflow_llvm.running.runner import LlvmRunner

MODELS = sorted((MODELS).glob("*.toml"))
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
FLOATS = ("float32", "float64")


def interpreted(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> LlvmRunner:
    """A runner without code of its own, however small the plan is."""
    monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
    runner = LlvmRunner(plan)
    assert runner.small is None
    return runner


def call(op: str, arrays: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, **attributes: object) -> np.ndarray:
    graph = Graph("call")
    inputs = [graph.input(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
    graph.node("y", getattr(ops, op)(*inputs, **attributes))
    given = {f"x{i}": array for i, array in enumerate(arrays)}
    runner = interpreted(plan_of(graph, ["y"], given), monkeypatch)
    assert runner.program.is_whole, "left to numpy"
    return runner.run(arrays)[0]


# ------------------------------------------------------------------------------------------------ formulas


def points(name: str, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    large = 700 if dtype == "float64" else 86
    far = 300 if dtype == "float64" else 37
    found = {
        "exp": [rng.uniform(-large, large, 400), rng.normal(size=200), rng.uniform(-1.06, -1.01, 50) * large],
        "log": [10 ** rng.uniform(-far, far, 200), rng.uniform(0.5, 2, 300), 1 + 10 ** rng.uniform(-7, -1, 50)],
        "tanh": [rng.uniform(-20, 20, 200), rng.normal(size=200), 10 ** rng.uniform(-far, 0, 200)],
        "sin": [rng.uniform(-10, 10, 300), rng.uniform(-1e6, 1e6, 200), rng.uniform(-1e12, 1e12, 50)],
    }
    like = {"cos": "sin", "expm1": "exp", "log1p": "log", "erf": "tanh", "erfc": "tanh"}
    return np.concatenate(found[like.get(name, name)]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "cos", "expm1", "log1p", "erf", "erfc"])
def test_functions_are_right_to_the_last_places(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = points(name, dtype)
    found = call(name, [x], monkeypatch)
    with mpmath.workdps(50):
        for argument, value in zip(x.tolist(), found.tolist(), strict=True):
            exact = getattr(mpmath, name)(mpmath.mpf(argument))
            unit = float(np.spacing(np.abs(np.array(float(exact), dtype))))
            assert abs(exact - value) <= 2.5 * unit, (argument, value)


SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40, -1e-40, 5e-324, 1e308, 1.0, -1.0, 0.5]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "log",
        "tanh",
        "sin",
        "cos",
        "sqrt",
        "abs",
        "negative",
        "expm1",
        "log1p",
        "floor",
        "ceil",
        "trunc",
        "round",
    ],
)
def test_special_values_of_functions_are_numpys(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL).astype(dtype)
        expected = getattr(np, name)(x)
    found = call(name, [x], monkeypatch)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps, atol=0)
    known = ~np.isnan(expected)
    assert (np.signbit(found) == np.signbit(expected))[known].all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "cos", "expm1", "log1p", "erf", "erfc", "sqrt"])
def test_a_short_region_gives_the_bits_of_a_long_one(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 bytes have code of their own."""
    x = np.concatenate([points(name if name != "sqrt" else "log", dtype), [0.0, -0.0, np.inf, -np.inf, np.nan]])
    length = 16 // np.dtype(dtype).itemsize
    x = x[: len(x) // length * length].astype(dtype)
    whole = call(name, [x], monkeypatch)
    for start in range(0, len(x), 37 * length):
        part = slice(start, start + length)
        np.testing.assert_array_equal(call(name, [x[part]], monkeypatch).view("u1"), whole[part].view("u1"))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("base", [2.0, 0.5, 4.0, 1024.0, 10.0, 3.0])
def test_powers_of_a_constant_are_right_to_the_last_places(base: float, dtype: str) -> None:
    """In code of the plan's own, where the compiler sees the constant; within 1 unit in the last place of 50 digits."""
    graph = Graph("powers", dtype)
    graph.node("y", graph.constant("base", np.full(40, base)) ** graph.input("x", (40,)))
    limit = (300 if dtype == "float64" else 37) / max(1.0, math.log10(base))
    x = np.random.default_rng(0).uniform(-limit, limit, 40).astype(dtype)
    runner = LlvmRunner(plan_of(graph, ["y"], {"x": x}))
    assert runner.small is not None
    with mpmath.workdps(50):
        for argument, value in zip(x.tolist(), runner.run([x])[0].tolist(), strict=True):
            exact = mpmath.mpf(base) ** mpmath.mpf(argument)
            assert abs(exact - value) <= float(np.spacing(np.array(float(exact), dtype))), (argument, value)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_a_root_is_that_of_sqrt(backend: str, dtype: str) -> None:
    graph = Graph("root", dtype)
    graph.node("y", graph.input("x", (4,)) ** 0.5)
    found = Model(graph, ["y"]).compile(values=["y"], backend=backend)(x=[-math.inf, -0.0, 4.0, math.inf])[0]["y"]
    np.testing.assert_array_equal(found, [math.nan, -0.0, 2.0, math.inf])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "maximum",
        "minimum",
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
    ],
)
def test_special_values_of_pairs_are_numpys(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with np.errstate(all="ignore"):
        a, b = (side.ravel() for side in np.meshgrid(*[np.array(SPECIAL).astype(dtype)] * 2))
        expected = getattr(np, name)(a, b)
    np.testing.assert_array_equal(call(name, [a, b], monkeypatch), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [*range(1, 35), 127, 128, 129, 1000, 5003])
def test_every_length_is_computed_to_its_end(count: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(count)
    graph = Graph("length", dtype)
    x, row = graph.input("x", (2, count)), graph.input("row", (count,))
    graph.node("y", ops.where(x > row, x * row + 0.5, row - x))
    graph.node("mask", x > row)
    arrays = {"x": rng.normal(size=(2, count)).astype(dtype), "row": rng.normal(size=count).astype(dtype)}
    runner = interpreted(plan_of(graph, ["y", "mask"], arrays), monkeypatch)
    y, mask = runner.run(list(arrays.values()))
    a, b = arrays.values()
    np.testing.assert_allclose(y, np.where(a > b, a * b + a.dtype.type(0.5), b - a), rtol=1e-6)
    np.testing.assert_array_equal(mask, a > b)


# ------------------------------------------------------------------------------------------------ kernels

PRODUCTS = [
    ((1, 1), (1, 1)),
    ((5, 3), (3, 70)),
    ((33, 17), (17, 9)),
    ((64, 64), (64, 64)),
    ((100, 300), (300, 45)),
    ((3,), (3,)),
    ((7, 50), (50,)),
    ((50,), (50, 7)),
    ((4, 5, 6), (6, 3)),
    ((4, 5, 6), (4, 6, 3)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 3)),
    ((60, 900), (900, 130)),
]


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("turned", ["neither", "left", "right", "both"])
@pytest.mark.parametrize(("left", "right"), PRODUCTS)
def test_products(left: tuple, right: tuple, turned: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)
    graph = Graph("product", dtype)
    swap = {"left": (True, False), "right": (False, True), "both": (True, True)}.get(turned, (False, False))
    given, values = {}, []
    for name, array, flag in (("a", a, swap[0]), ("b", b, swap[1])):
        given[name] = np.ascontiguousarray(np.swapaxes(array, -1, -2)) if flag and array.ndim > 1 else array
        value = graph.input(name, given[name].shape)
        axes = (*range(array.ndim - 2), array.ndim - 1, array.ndim - 2)
        values.append(ops.transpose(value, axes=axes) if flag and array.ndim > 1 else value)
    graph.node("y", values[0] @ values[1])
    runner = interpreted(plan_of(graph, ["y"], given), monkeypatch)
    found = runner.run(list(given.values()))[0]
    expected = np.matmul(a.astype(np.longdouble), b.astype(np.longdouble))
    scale = np.matmul(np.abs(a), np.abs(b)).astype(float) + 1e-300
    assert found.shape == expected.shape
    assert (np.abs(found - expected) <= 4 * np.finfo(dtype).eps * math.sqrt(a.shape[-1] + 1) * scale).all()


SUMS_OF_PRODUCTS: dict[str, tuple[Any, int]] = {
    "three": (lambda a, b, c: (a @ b) + (c @ b) + (a @ c), 2),
    "beside others": (lambda a, b, c: ops.tanh(a @ b + ops.tanh(a) + c @ b) @ a, 1),
    "of rows": (lambda a, b, c: (a[0] @ b) + (c[0] @ b), 0),
    "the same twice": (lambda a, b, c: a @ b + a @ b, 0),
    "read again": (lambda a, b, c: ((s := a @ b) + (p := b @ c)) @ s + (p @ a), 1),
    "deep": (lambda a, b, c: (a @ b) + ops.concatenate(*[c] * 20, axis=1) @ ops.concatenate(*[b] * 20, axis=0), 1),
}
"""Of three square matrices, and how many products are added where the sum lies."""


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SUMS_OF_PRODUCTS)
def test_sums_of_products(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expected numbers are numpy's, with more digits where it has them."""
    formula, added = SUMS_OF_PRODUCTS[name]
    graph = Graph("sum", dtype)
    given = {f"x{i}": np.random.default_rng(i).normal(size=(33, 33)).astype(dtype) for i in range(3)}
    inputs = [graph.input(key, array.shape) for key, array in given.items()]
    graph.node("y", formula(*inputs) @ inputs[1])
    plan = plan_of(graph, ["y"], given)
    assert len(added_products(plan)) == added
    found = interpreted(plan, monkeypatch).run(list(given.values()))[0]
    exact = [array.astype(np.longdouble) for array in given.values()]
    expected = numpys(name, *exact) @ exact[1]
    assert np.abs(found - expected).max() <= 40 * np.finfo(dtype).eps * np.abs(expected).max()


@pytest.mark.parametrize("size", [130, 300])
def test_sums_of_products_have_the_same_bits_for_any_number_of_threads(size: int) -> None:
    graph = Graph("sum", "float32")
    given = {f"x{i}": np.random.default_rng(i).normal(size=(size, size)).astype("float32") for i in range(3)}
    inputs = [graph.input(key, array.shape) for key, array in given.items()]
    graph.node("y", SUMS_OF_PRODUCTS["three"][0](*inputs) @ inputs[1])
    plan = plan_of(graph, ["y"], given)
    assert len(added_products(plan)) == 2
    found = [LlvmRunner(plan, threads).run(list(given.values()))[0].tobytes() for threads in (1, 2, 3)]
    assert found[0] == found[1] == found[2]


def numpys(name: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The same sum in numpy."""
    return {
        "three": lambda: a @ b + c @ b + a @ c,
        "beside others": lambda: np.tanh(a @ b + np.tanh(a) + c @ b) @ a,
        "of rows": lambda: a[0] @ b + c[0] @ b,
        "the same twice": lambda: 2 * (a @ b),
        "read again": lambda: (a @ b + b @ c) @ (a @ b) + b @ c @ a,
        "deep": lambda: a @ b + 20 * (c @ b),
    }[name]()


REDUCTIONS = [((3, 4), None), ((3, 4), 0), ((3, 40), 1), ((2, 3, 4), (0, 2)), ((2, 3, 70), 1), ((5,), None), ((), None)]
REDUCTIONS += [((1, 9000), None), ((300, 33), 0), ((2, 3, 4, 5), (1, 3)), ((4, 1, 3), (0, 1))]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sum", "max"])
@pytest.mark.parametrize(("shape", "axis"), REDUCTIONS)
def test_reductions(shape: tuple, axis: object, name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(size=shape).astype(dtype)
    found = call(name, [x], monkeypatch, axis=axis)
    expected = getattr(x.astype(np.longdouble), name)(axis=axis)
    size = np.abs(x).astype(float).sum(axis=axis) if name == "sum" else 1.0
    assert (np.abs(found - expected) <= 4 * np.finfo(dtype).eps * (size if name == "sum" else 0)).all()
    with_nan = x.copy()
    if x.size:
        with_nan.flat[-1] = math.nan
    np.testing.assert_array_equal(
        np.isnan(call(name, [with_nan], monkeypatch, axis=axis)), np.isnan(getattr(with_nan, name)(axis=axis))
    )


def test_a_sum_of_a_million_keeps_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(3).uniform(size=10**6).astype("float32")
    assert abs(float(call("sum", [x], monkeypatch)) / math.fsum(x.tolist()) - 1) < 2e-7


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_what_moves_entries(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = (np.arange(24).reshape(2, 3, 4) % 7).astype(dtype)
    graph = Graph("moves")
    value = graph.input("x", x.shape, dtype)
    turned = ops.transpose(value, axes=(2, 0, 1))
    nodes = {
        "reshaped": (ops.reshape(turned, shape=(6, 4)), x.transpose(2, 0, 1).reshape(6, 4)),
        "joined": (ops.concatenate(value, value[..., ::-1], axis=1), np.concatenate([x, x[..., ::-1]], axis=1)),
        "stacked": (ops.stack(value, value[0], axis=-1), np.stack([x, np.broadcast_to(x[0], x.shape)], axis=-1)),
        "turned": (turned, x.transpose(2, 0, 1)),
        "same": (value, x),
    }
    for name, (node, _) in nodes.items():
        graph.node(name, ops.identity(node) if name == "same" else node)
    if dtype.startswith("float"):
        placed = np.zeros((4, 3, 4), dtype)
        placed[::-2] = x
        nodes["placed"] = (graph.node("placed", ops.place(value, key="::-2", shape=placed.shape)), placed)
    runner = interpreted(plan_of(graph, list(nodes), {"x": x}), monkeypatch)
    for found, (name, (_, expected)) in zip(runner.run([x]), nodes.items(), strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)


# ------------------------------------------------------------------------------------------------ against numpy


def gradients_by(model: Model, backend: str, data: dict[str, np.ndarray], of: str) -> dict[str, np.ndarray]:
    wrt = [name for name in (*data, *model.parameters) if model.graph.node_of(name).dtype.kind == "f"]
    values, gradients = model.compile(values=[of], gradients=wrt, of=of, backend=backend)(data=data)
    return {**values, **{f"d{name}": gradient for name, gradient in gradients.items()}}


def assert_as_good(model: Model, data: dict[str, np.ndarray], of: str, dtype: str, times: float = 1) -> None:
    """NaN where numpy has it, and else within so many times the tolerance, of each entry or of the largest."""
    tolerance = times * TOLERANCE[dtype]
    expected, found = (gradients_by(model, backend, data, of) for backend in ("numpy", "llvm"))
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        size = np.abs(value[np.isfinite(value)]).max(initial=0.0)
        np.testing.assert_array_equal(np.isnan(found[name]), np.isnan(value), err_msg=name)
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance * size)


def samples() -> Iterator[tuple[str, int]]:
    rng = np.random.default_rng(0)
    for name, op in every_op().items():
        rule = op.samples_rule
        for number, _ in enumerate(rule(rng) if rule is not None else ()):
            yield name, number


def ways() -> Iterator[Any]:
    """Each sample in code of the plan's own in float64, and without in float32. ``test_agreement.test_ops`` has the
    plan's own code in float32, too."""
    for (name, number), way in itertools.product(samples(), ((True, "float64"), (False, "float32"))):
        if name in IN_PLANS:
            yield pytest.param(name, number, *way, marks=() if way[0] or not number else pytest.mark.slow)


@pytest.mark.parametrize(("name", "number", "small", "dtype"), [*ways()])
def test_every_op_gives_numpys_values_and_gradients(
    name: str, number: int, small: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = every_op()[name]
    assert op.samples_rule is not None
    one = list(op.samples_rule(np.random.default_rng(0)))[number]
    if not small:
        monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
    graph, data, arguments = Graph("sample", dtype), {}, []
    for i, argument in enumerate(one.arguments):
        if isinstance(argument, np.ndarray):
            kind = dtype if argument.dtype.kind == "f" else argument.dtype
            data[f"x{i}"] = argument.astype(kind)
            arguments.append(graph.input(f"x{i}", argument.shape, kind))
        else:
            arguments.append(argument)
    result = graph.node("result", op(*arguments, **one.attributes))
    weights = np.random.default_rng(1).normal(size=result.shape).astype(dtype)
    graph.node("total", ops.sum(ops.cast(result, dtype=dtype) * graph.constant("weights", weights)))
    assert_as_good(Model(graph, ["total"], None), data, "total", dtype)


def test_no_op_was_left_out() -> None:
    tested = {name for name, _ in samples()}
    assert tested >= {
        "matmul",
        "linear",
        "where",
        "sum",
        "max",
        "concatenate",
        "stack",
        "place",
        "mse",
        "power",
        "cast",
    }


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_has_numpys_gradients(path: Path) -> None:
    model = dataflow.load(path)
    if model.loss is None:
        pytest.skip("no loss")
    data = dict(dataflow.Trainer(model).batches.current())
    assert_as_good(model, data, model.loss, str(model.graph.dtype))


@settings(max_examples=8)
@given(data=st.data(), dtype=st.sampled_from(FLOATS))
def test_random_chains_that_are_well_conditioned(data: st.DataObject, dtype: str) -> None:
    rows, columns = data.draw(st.integers(1, 50)), data.draw(st.integers(1, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    graph = Graph("chain", dtype)
    h = graph.input("x", ("n", columns))
    for i in range(data.draw(st.integers(1, 6))):
        width = data.draw(st.integers(1, 40))
        W = graph.parameter(f"W{i}", value=rng.normal(size=(width, h.shape[1])) / math.sqrt(h.shape[1]))
        b = graph.parameter(f"b{i}", value=rng.normal(size=width))
        step = data.draw(st.sampled_from(["tanh", "relu", "sigmoid", "softmax", "log_softmax", "sin", "exp"]))
        h = ops.linear(h, W, b)
        h = getattr(ops, step)(ops.tanh(h) if step == "exp" else h)
        h = h / 8 if step == "log_softmax" else h  # else the next tanh is saturated to the last digit
    graph.node("loss", ops.sum(h * h) / 2)
    model = Model(graph, ["loss"], "loss")
    x = rng.normal(size=(rows, columns)).astype(dtype)
    # 1 - tanh(x)² loses the digits that a saturated tanh shares with 1, in one layer after another
    assert_as_good(model, {"x": x}, "loss", dtype, times=100)


# ------------------------------------------------------------------------------------------------ what numpy does


@primitive(elementwise=True)
def cubed(x):
    """x³, which has no instruction."""
    return x**3


@cubed.vjp
def _(g, y, x):
    return g * (3 * x * x)


def test_an_op_without_an_instruction_runs_between_two_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.registry().ops, "cubed", cubed)
    graph = Graph("mixed")
    x = graph.input("x", ("n", 3))
    h = graph.apply(cubed, [ops.exp(x) + 1])
    graph.node("y", ops.sum(ops.tanh(h) * h, axis=0))
    graph.node("count", ops.cast(ops.sum(x > 0), dtype="float64"))
    data = np.random.default_rng(0).normal(size=(5, 3))
    plan = plan_of(graph, ["y", "count"], {"x": data})
    runner = LlvmRunner(plan)
    assert [isinstance(stretch, list) for stretch in runner.program.stretches].count(False) >= 2
    y, count = runner.run([data])
    cube = (np.exp(data) + 1) ** 3
    np.testing.assert_allclose(y, (np.tanh(cube) * cube).sum(axis=0))
    assert count == (data > 0).sum()


@pytest.mark.parametrize("small", [True, False])
def test_what_an_op_declares_decides_and_not_its_name(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy's functions say what the numbers are."""

    @primitive(elementwise=True, operation="functions", ufunc=np.exp)
    def growth(x):
        """Declared to be numpy's exp."""
        return np.exp(x)

    @primitive(elementwise=True, operation="functions")
    def masked(x, keep, source):
        """Called as one of ours, and something else."""
        return x + 2 * keep + source

    @primitive
    def matmul(a, b):
        """Called as one of ours, and something else."""
        return a - b

    @matmul.shape
    def _(a, b):
        return a.shape

    @primitive(reduces=np.add)
    def total(x):
        """A sum that has no attribute for its axes."""
        return np.sum(x, axis=0)

    @total.shape
    def _(x):
        return x.shape[1:]

    x = np.random.default_rng(0).normal(size=(3, 3))
    if not small:
        monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
    for op, expected, compiled in (
        (growth, np.exp(x), True),
        (masked, x + 2 * x + x, False),
        (matmul, x - x, False),
        (total, x.sum(axis=0), False),
    ):
        graph = Graph("named")
        value = graph.input("x", x.shape)
        graph.node("y", graph.apply(op, [value] * len(op.inputs)))
        runner = LlvmRunner(plan_of(graph, ["y"], {"x": x}))
        assert runner.program.is_whole == compiled
        assert (runner.small is not None) == (small and compiled)
        np.testing.assert_allclose(runner.run([x])[0], expected, rtol=1e-14, err_msg=op.name)


def test_an_op_that_fails_is_named() -> None:
    @primitive
    def broken(x):
        """It cannot be computed."""
        raise TypeError("no such numbers")

    @broken.shape
    def _(x):
        return x.shape

    graph = Graph("broken")
    x = graph.input("x", (3,))
    graph.node("y", graph.apply(broken, [x * 2]))
    runner = registry.backend("llvm").prepare(plan_of(graph, ["y"], {"x": np.ones(3)}))
    with pytest.raises(BackendError, match="'broken'.*no such numbers"):
        runner.run([np.ones(3)])


def test_arrays_that_are_not_the_plans_are_refused() -> None:
    graph = Graph("given")
    graph.node("y", graph.input("x", (3,)) * 2)
    runner: Runner = LlvmRunner(plan_of(graph, ["y"], {"x": np.ones(3)}))
    for wrong in (np.ones(2), np.ones(3, "float32"), np.ones(6)[::2]):
        with pytest.raises(BackendError):
            runner.bind([wrong], [np.empty(3)])


# ------------------------------------------------------------------------------------------------ generated code


def test_no_name_gets_into_generated_code() -> None:
    graph = Graph("größe")
    x = graph.input("insidious_input", (2, 2))
    W = graph.parameter("insidious_weight", value=[[1.0, 2.0], [3.0, 4.0]])
    graph.node("insidious_result", ops.tanh(x @ W))
    plan = make_plan(
        graph,
        ["insidious_result"],
        {name: TensorSpec((2, 2), np.dtype("float64")) for name in ("insidious_input", "insidious_weight")},
    )
    text = unroll_small_plan.generated(plan)
    assert text is not None
    assert "insidious" not in text
    assert "gr" not in text.replace("target triple", "")


def test_only_small_plans_get_code_of_their_own() -> None:
    def plan(model: Model, rows: int) -> Plan:
        assert model.loss is not None
        gradient = gradient_graph(model.graph, model.loss, list(model.parameters))
        outputs = [gradient.of, *gradient.cotangents.values()]
        sizes = {name: model.graph.node_of(name).shape for name in model.graph.names("input")}
        specs = {name: TensorSpec((rows, shape[1]), np.dtype("float64")) for name, shape in sizes.items()}
        specs |= {name: TensorSpec(a.shape, a.dtype) for name, a in model.parameters.items()}
        return make_plan(gradient.graph, outputs, specs)

    assert unroll_small_plan.generated(plan(xor(), 4)) is not None
    assert unroll_small_plan.generated(plan(classifier(), 500)) is None


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_pieces_run_one_after_the_other_are_the_whole(path: Path) -> None:
    model = dataflow.load(path)
    data = dict(dataflow.Trainer(model).batches.current()) if model.loss is not None else None
    known, sizes = model.feed(data)
    of = model.loss or model.outputs[0]
    graph = gradient_graph(model.graph, of, list(model.parameters) or model.graph.names("input"))
    outputs = list(dict.fromkeys([of, *graph.cotangents.values()]))
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in known.items()}
    plan = make_plan(graph.graph, outputs, specs, sizes)
    arrays = [np.ascontiguousarray(known[name]).reshape(known[name].shape) for name in plan.arguments]
    whole, apart = ([np.zeros(s.shape, s.dtype) for s in map(plan.spec, plan.output_slots)] for _ in range(2))
    runner = LlvmRunner(plan)
    runner.bind(arrays, whole)()
    covered = []
    for start, stop, run in LlvmRunner(plan).pieces(arrays, apart):
        covered += range(start, stop)
        run()
    assert covered == [*range(len(plan.instructions))]
    for expected, found in zip(whole, apart, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
