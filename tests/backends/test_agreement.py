"""Every backend gives the values and gradients of the pass that runs node by node, which other tests compare with 50
digits.

Random graphs have the same bits where nothing but functions, and sums that are not exact, may round; else each entry
may differ by 8 times what errors of a few units in the last place at each of these make of it.

For models and single ops the reference is that pass in float64. An error is a norm over that of the reference, for each
gradient and for all of them as one vector. In float64 a backend may differ by 1e-12; in float32 by 1e-5, or by 20 times
what the pass node by node differs by in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_graph import OF_BITS, Numbered, numbered
from installed import BACKENDS
from op_graphs import AT_RUN_TIME, IN_PLANS, OPS
from plan_checks import computed, interpreted, same

import dataflow
from dataflow import DataflowError, Graph, Model, ShapeError, normalize_axes, ops
from dataflow.analysis.gradient_check import in_float64
from dataflow.autodiff.reverse import backward, gradient_graph
from dataflow.execution.forward import forward
from dataflow.plan import Instruction, Plan
from dataflow.plan.lower import lower
from dataflow.registry import registry
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import Case, cases_of, every_op

MODELS = sorted(path.stem for path in Path("models").glob("*.toml"))
OWN_ROUNDING = ("jax",)
"""Backends that round divisions and sums of products in their own way, too, and take the smallest numbers for 0."""
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def node_by_node(
    model: Model, of: str, wrt: Sequence[str], known: dict[str, np.ndarray], dtype: type
) -> dict[str, np.ndarray]:
    """The gradients, with every float converted to ``dtype`` first."""
    model = in_float64(model) if dtype is np.float64 else model
    sizes = model.feed({name: known[name] for name in model.graph.names("input") if name in known})[1]
    converted = {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in known.items()}
    order = model.graph.schedule([of])
    values = forward(model.graph, order, converted, sizes)
    return backward(model.graph, order, values, {of: np.ones_like(values[of])}, wrt, sizes)


def errors(found: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> np.ndarray:
    """Relative, in norm: of each array, and of all as one vector."""
    pairs = [tuple(array.astype(np.float64).ravel() for array in pair) for pair in zip(found, reference, strict=True)]
    pairs.append(tuple(np.concatenate(arrays) for arrays in zip(*pairs, strict=True)))
    return np.array([np.linalg.norm(a - b) / (np.linalg.norm(b) or 1) for a, b in pairs], float)


def check(model: Model, of: str, known: dict[str, np.ndarray], dtype: str, backends: Sequence[str]) -> None:
    wrt = [name for name, array in known.items() if array.dtype.kind == "f"]
    plain = node_by_node(model, of, wrt, known, np.dtype(dtype).type)
    wrt = [name for name in wrt if name in plain]
    if not wrt:
        return
    exact = node_by_node(model, of, wrt, known, np.float64)
    reference = [exact[name] for name in wrt]
    assert all(np.isfinite(array).all() for array in reference)
    inputs = {name: known[name] for name in model.graph.names("input") if name in known}
    own = errors([plain[name] for name in wrt], reference)
    for backend in backends:
        gradients = model.compile(gradients=wrt, of=of, backend=backend)(data=inputs)[1]
        theirs = errors([gradients[name] for name in wrt], reference)
        right = theirs <= np.maximum(TOLERANCE[dtype], 20 * own)
        assert right.all(), (backend, dict(zip([*wrt, "all"], theirs, strict=True)))


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    model = dataflow.load(f"models/{name}.toml")
    if model.data is None:
        shapes = {name: model.graph.spec(name).shape for name in model.graph.names("input")}
        rng = np.random.default_rng(0)
        sizes = {name: [size if isinstance(size, int) else 5 for size in shape] for name, shape in shapes.items()}
        given = {name: rng.uniform(0.5, 2, sizes[name]) for name in shapes}
    else:
        given = {key: array[:64] if array.ndim else array for key, array in model.data.load(model.graph).items()}
    of = model.loss or model.outputs[0]
    known = {key: array for key, array in model.feed(given)[0].items() if key in model.graph.needed_for([of])}
    check(model, of, known, str(model.graph.dtype), BACKENDS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in IN_PLANS else pytest.mark.slow) for name in OPS if name not in AT_RUN_TIME],
)
def test_ops(name: str) -> None:
    """The gradient of a sum with random weights, so that no op has a gradient of 0 by nature; in float32. In float64
    numpy has ``test_binding``, and llvm its own tests."""
    dtype = "float32"
    for case in cases_of(registry.lookup(name), 0):
        graph, arrays, value = case.changed({i: case.arguments[i].astype(dtype) for i in case.floats}).graph()
        if not value.spec.is_float:
            continue
        shape = tuple(int(size) for size in value.shape)  # type: ignore[arg-type]
        weights = graph.constant("weights", np.random.default_rng(1).uniform(0.5, 2, shape), value.dtype)
        graph.node("total", ops.sum(value * weights))
        check(Model(graph, ["total"]), "total", dict(arrays), dtype, BACKENDS)


# ------------------------------------------------------------------------------------------------ every dtype

DTYPES = ("float64", "float32", "int64", "int32", "bool", "mixed")


def with_dtype(case: Case, dtype: str) -> Case:
    """Its arrays in a dtype, or in one each."""
    mixed = DTYPES[:-1]
    changes = {}
    for number, i in enumerate(case.arrays):
        kind = mixed[number % len(mixed)] if dtype == "mixed" else dtype
        changes[i] = case.arguments[i] > 0 if kind == "bool" else case.arguments[i].astype(kind)
    return case.changed(changes)


@pytest.mark.parametrize("samples", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", IN_PLANS)
def test_constants_of_every_dtype(name: str, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each array given, or all but one, or the first a constant: the numbers of the op's own kernel, which is numpy's;
    also where the op stands between two that have code."""
    unroll_small_plan = pytest.importorskip("dataflow_llvm.lowering.unroll_small_plan")
    monkeypatch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
    tried = 0
    for case in cases_of(registry.lookup(name), 0)[:samples]:
        for dtype in DTYPES if samples > 1 or case.op.graph_attributes else ("float64", "int32", "mixed"):
            one = with_dtype(case, dtype)
            for constants in {(), one.arrays[:1], one.arrays[-1:], one.arrays[1:]}:
                if dtype in DTYPES[:2] and not constants:
                    continue  # other tests do that
                try:
                    model, inputs = _with_constants(one, constants)
                except DataflowError:
                    continue  # the op does not take this dtype
                tried += 1
                try:
                    expected = model.evaluate(data=inputs).values
                except DataflowError:
                    assert all(
                        refuses(lambda b=b, m=model, i=inputs: m.compile(values=m.outputs, backend=b)(data=i))
                        for b in BACKENDS
                    )
                    continue
                for backend in BACKENDS:
                    found = model.compile(values=model.outputs, backend=backend)(data=inputs)[0]
                    for output in model.outputs:
                        assert found[output].dtype == expected[output].dtype, (one.label, constants, backend)
                        np.testing.assert_allclose(
                            found[output],
                            expected[output],
                            1e-5,
                            1e-6,
                            err_msg=f"{one.label} {dtype} {constants} {backend}",
                        )
    assert tried >= samples or registry.lookup(name).graph_attributes  # whose dtypes are those of the graph


def _with_constants(case: Case, constants: Sequence[int]) -> tuple[Model, dict[str, np.ndarray]]:
    graph = Graph("constants")
    operands, inputs = list(case.arguments), {}
    for i in case.arrays:
        array = case.arguments[i]
        if i in constants:
            operands[i] = graph.constant(f"x{i}", array, array.dtype)
        else:
            operands[i] = graph.input(f"x{i}", array.shape, array.dtype)
            inputs[f"x{i}"] = array
    y = graph.apply(case.op, operands, case.attributes, name="y")
    before = graph.input("before", (2,))
    graph.node("z", ops.exp(before)[0] * ops.cast(y, dtype="float64"))
    return Model(graph, ["y", "z"]), {**inputs, "before": np.array([0.0, 1.0])}


# ------------------------------------------------------------------------------------------------ graphs by number

SEED = 1
SHAKES = 64
PRODUCTS = ("matmul", "correlate", "correlate_kernel", "correlate_transpose")
UNCERTAIN = (np.exp, np.expm1, np.log, np.log1p, np.tanh, np.sin, np.cos, np.power, ops.erf, ops.erfc)
"""Functions that a backend may round in its own way: by 4 units in the last place at most."""


def shaken(instruction: Instruction, arguments: list[Any], rng: np.random.Generator, alone: bool) -> np.ndarray:
    """An instruction as a backend may carry it out: a function wrong by up to 4 units in the last place, the terms of a
    sum by 2, each entry for itself or all alike, and added in another order; and where the result is 0, with either
    sign."""
    op = instruction.op

    def moved(array: Any, units: float) -> Any:
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            return array
        signs = rng.choice([-1.0, 1.0], array.shape if alone else ())
        return np.where(array == 0, array, array * (1 + units * np.finfo(array.dtype).eps * signs)).astype(array.dtype)

    if adds(instruction):
        arguments = [moved(argument, 2) for argument in arguments]
        if op.name == "sum":
            for axis in normalize_axes(instruction.attributes.get("axis"), arguments[0].ndim):
                arguments[0] = rng.permutation(arguments[0], axis=axis)
    result = moved(computed(instruction, arguments), 4 if (op.ufunc or op) in UNCERTAIN else 0)
    if result.dtype.kind == "f" and (adds(instruction) or takes_one(instruction)):
        result = np.where(result == 0, float(rng.choice([-1, 1])) * result, result)
    return result


def has_subnormal(array: np.ndarray) -> bool:
    if array.dtype.kind != "f":
        return False
    small = np.abs(array) < np.finfo(array.dtype).smallest_normal
    return bool((small & (array != 0)).any())


def adds(instruction: Instruction) -> bool:
    return instruction.op.reduces is np.add or instruction.op.name in (*PRODUCTS, "max_pool_spread")


def takes_one(instruction: Instruction) -> bool:
    """Whether it gives one of two numbers, which may be zeros of either sign."""
    op = instruction.op
    return op.name.startswith("max_pool") or not {op.reduces, op.ufunc}.isdisjoint((np.maximum, np.minimum))


def is_dyadic(array: np.ndarray) -> bool:
    """Whether sums of such numbers, and of products of two, are exact in any order."""
    if array.dtype.kind != "f":
        return True
    finite = array[np.isfinite(array)].astype(float)
    digits, largest = (8, 2.0**12) if array.dtype == np.float64 else (4, 2.0**4)
    scaled = finite * 2.0**digits
    return bool((scaled == np.rint(scaled)).all() and (np.abs(finite) < largest).all())


@dataclass
class Expected:
    """What the instructions of a graph give one by one, in what order is theirs to choose."""

    values: list[np.ndarray]
    certain: list[bool]
    """Whether every backend gives the same bits: nothing that went before was rounded in a way of its own."""
    plan: Plan
    arrays: Sequence[np.ndarray]
    subnormal: bool = False
    """Whether there is a number on the way that is smaller than those with all digits."""

    @classmethod
    def of(cls, plan: Plan, arrays: Sequence[np.ndarray]) -> Expected:
        certain = dict.fromkeys(range(len(plan.specs)), True)
        small = [has_subnormal(array) for array in arrays]

        def noted(instruction: Instruction, arguments: list[Any]) -> np.ndarray:
            result = computed(instruction, arguments)
            small.append(has_subnormal(result))
            own = (instruction.op.ufunc or instruction.op) not in UNCERTAIN
            if adds(instruction):
                own = all(is_dyadic(np.asarray(one)) for one in arguments) and bool((result != 0).all())
            elif takes_one(instruction):
                own = bool((result != 0).all())
            certain[instruction.output] = own and all(certain[slot] for slot in instruction.inputs)
            return result

        values = interpreted(plan, arrays, noted)[0]
        return cls(values, [certain[slot] for slot in plan.output_slots], plan, arrays, any(small))

    @cached_property
    def shaken(self) -> list[list[np.ndarray]]:
        """The values with other errors of rounding."""
        runs = []
        for number in range(SHAKES):
            compute = partial(shaken, rng=np.random.default_rng(number), alone=number % 2 == 0)
            runs.append(interpreted(self.plan, self.arrays, compute)[0])
        return runs

    def check(self, found: Sequence[np.ndarray], names: Sequence[str], *, rounded: bool = False) -> None:
        """An ``AssertionError`` where an array differs by more than the errors of rounding do."""
        for i, (array, value, name) in enumerate(zip(found, self.values, names, strict=True)):
            assert (array.shape, array.dtype) == (value.shape, value.dtype), name
            if self.certain[i] and not rounded:
                same(array, value)
            else:
                check_close(array, value, lambda i=i: [run[i] for run in self.shaken], name)


def check_close(
    found: np.ndarray, value: np.ndarray, shaken_values: Callable[[], Sequence[np.ndarray]], name: str
) -> None:
    """An ``AssertionError`` where an array differs by more than the values with other errors of rounding do. These are
    asked for only where it differs by more than a few units in the last place."""
    if is_near(found, value, 0.0).all():
        return
    runs = shaken_values()
    if value.dtype.kind != "f":
        agreed = np.logical_and.reduce([run == value for run in runs])
        np.testing.assert_array_equal(found[agreed], value[agreed], err_msg=name)
        return
    with np.errstate(all="ignore"):
        finite = np.logical_and.reduce([np.isfinite(run) for run in (value, *runs)])
        same_limit = np.logical_and.reduce([(run == value) | (np.isnan(run) & np.isnan(value)) for run in runs])
        spread = np.max([np.abs(run.astype(float) - value) for run in runs], axis=0)
    right = is_near(found, value, 8 * spread)
    limit = ~finite & same_limit
    np.testing.assert_array_equal(found[limit], value[limit], err_msg=name)
    assert right[finite].all(), f"{name}: {found[finite][~right[finite]]} is not {value[finite][~right[finite]]}"


def is_near(found: np.ndarray, value: np.ndarray, spread: np.ndarray | float) -> np.ndarray:
    """Where an array is the expected one, up to the spread and a few units in the last place."""
    is_same = (found == value) | ((found != found) & (value != value))
    if value.dtype.kind != "f":
        return is_same
    with np.errstate(all="ignore"):
        limits = np.finfo(value.dtype)
        allowed = spread + 16 * limits.eps * np.abs(value.astype(float)) + 16 * float(limits.smallest_subnormal)
        return is_same | (np.isfinite(value) & (np.abs(found.astype(float) - value) <= allowed))


@contextmanager
def compiled_as(number: int) -> Iterator[None]:
    """Every tenth graph has code of its own in the backend ``llvm``, every tenth code for its regions; the others are
    interpreted, which takes less time to begin."""
    pytest.importorskip("llvmlite")
    from dataflow_llvm.lowering import fuse_region, unroll_small_plan

    with pytest.MonkeyPatch.context() as patch:
        if number % 10 != 0:
            patch.setattr(unroll_small_plan, "MOST_OPERATIONS", -1)
        if number % 10 == 5:
            patch.setattr(fuse_region, "LEAST_WORK", 0)
        yield


def compare(seed: int, number: int) -> set[str]:
    """A graph run node by node, and compiled once by each backend and called with two sets of values, and with the
    first again. Returns the names of the ops that it has."""
    case = numbered(seed, number)
    try:
        with warnings.catch_warnings(), compiled_as(number):
            warnings.simplefilter("ignore", dataflow.DataflowWarning)
            _compare(case)
    except Exception as error:
        again = f'PYTHONPATH=tests python -c "import test_agreement; test_agreement.compare({seed}, {number})"'
        raise AssertionError(f"{type(error).__name__}: {error}\n\n{case.text}\n\n{again}") from error
    graph = case.model.graph
    return {node.op for _, node in graph.subgraph(graph.needed_for(case.model.outputs)).node_items() if node.op}


def refuses(run: Callable[[], object]) -> bool:
    try:
        run()
    except DataflowError:
        return True
    return False


def _compare(case: Numbered) -> None:
    model, loss = case.model, str(case.model.loss)
    order = model.graph.schedule([*model.outputs, loss])
    try:
        for call in case.calls:
            forward(model.graph, order, {**call.inputs, **call.parameters}, model.feed(call.inputs)[1])
    except DataflowError:
        for backend in BACKENDS:
            f = model.compile(values=[*model.outputs, loss], gradients=case.wrt, backend=backend)
            assert refuses(lambda f=f, inputs=call.inputs: f(data=inputs)), f"{backend} takes what the run refuses"
        return
    gradient = gradient_graph(model.graph, loss, case.wrt)
    outputs = [*model.outputs, loss]
    connected = [name for name in case.wrt if name in gradient.cotangents]
    names = [*outputs, *(f"gradient of {name}" for name in connected)]
    targets = [*outputs, *(gradient.cotangents[name] for name in connected)]
    needed = gradient.graph.needed_for(targets)
    expected = []
    for call in case.calls:
        known = {name: array for name, array in {**call.inputs, **call.parameters}.items() if name in needed}
        sizes = model.feed(call.inputs)[1]
        specs = {name: TensorSpec(array.shape, array.dtype) for name, array in known.items()}
        expected.append(Expected.of(lower(gradient.graph, targets, specs, sizes), list(known.values())))
        model.parameters = call.parameters
        values = forward(model.graph, order, {**call.inputs, **call.parameters}, sizes)
        gradients = model.evaluate(of=loss, wrt=case.wrt, data=call.inputs).gradients
        expected[-1].check([*(values[name] for name in outputs), *(gradients[name] for name in connected)], names)
    for backend in BACKENDS:
        rounded = backend in OWN_ROUNDING
        if rounded and any(right.subnormal for right in expected):
            continue
        f = model.compile(values=outputs, gradients=case.wrt, backend=backend)
        for call, right in (*zip(case.calls, expected, strict=True), (case.calls[0], expected[0])):
            model.parameters = call.parameters
            values, gradients = f(data=call.inputs)
            found = [*(values[name] for name in outputs), *(gradients[name] for name in connected)]
            right.check(found, [f"{name}, {backend}" for name in names], rounded=rounded)
            for name in case.wrt:
                assert name in connected or not gradients[name].any()
        check_update(case, expected, len(outputs), connected, backend)


def check_update(case: Numbered, expected: list[Expected], first: int, connected: list[str], backend: str) -> None:
    """A trainer's update of all parameters, by 1/16 of the gradient, which is exact."""
    model, call = case.model, case.calls[1]
    parameters = [name for name in model.parameters if name in connected]
    if any(model.graph.op_of(name).training_rule for name in model.graph.names("op")):
        return  # in training it computes something else
    model.parameters = call.parameters
    gradients = dict(zip(connected, range(first, first + len(connected)), strict=True))
    if not parameters or not all(array.size for array in call.inputs.values()):
        return
    if not all(np.isfinite(array).all() for array in call.parameters.values()):
        return
    try:
        dataflow.Trainer(
            model, call.inputs, optimizer="sgd", learning_rate=0.0625, shuffle=False, backend=backend
        ).step()
    except dataflow.NonFiniteError:
        return
    except ShapeError as error:  # the loss reads a size, and none of the inputs that have it
        assert "is not determined by any input" in str(error)
        return
    for name in parameters:
        value = expected[1].values[gradients[name]]

        def moved(gradient: np.ndarray, name: str = name) -> np.ndarray:
            return call.parameters[name] - gradient * gradient.dtype.type(0.0625)

        check_close(
            model.parameters[name],
            moved(value),
            lambda i=gradients[name], moved=moved: [moved(run[i]) for run in expected[1].shaken],
            f"update of {name}, {backend}",
        )


@pytest.mark.parametrize("numbers", [range(20), pytest.param(range(20, 40), marks=pytest.mark.slow)], ids=str)
def test_random_graphs(numbers: range) -> None:
    for number in numbers:
        compare(SEED, number)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [range(start, start + 200) for start in range(40, 2040, 200)], ids=str)
def test_many_random_graphs(numbers: range) -> None:
    for number in numbers:
        compare(SEED, number)


NOT_IN_RANDOM_GRAPHS = {
    "random_uniform",
    "bitcast",
    *OF_BITS,
    "attention",
    "tree_leaves",
    *(name for name, op in every_op().items() if op.graph_attributes),
    *(f"{op}:{output}" for op in ("rnn", "gru", "lstm") for output in "yhc"),
}
"""What training draws and what reads bits; attention, trees, ops of graphs, recurrent layers have their own tests."""


@pytest.mark.slow
def test_random_graphs_have_every_op() -> None:
    graphs = (numbered(SEED, number).model.graph for number in range(2040))
    ops = {node.op for graph in graphs for _, node in graph.node_items() if node.op}
    assert every_op().keys() - NOT_IN_RANDOM_GRAPHS - AT_RUN_TIME <= ops
