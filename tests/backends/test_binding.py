"""What is decided while a plan is made and bound does not rest on numbers that change from run to run.

Expected numbers come from the ops themselves, called node by node on the numbers of each run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from op_graphs import AT_RUN_TIME, IN_PLANS, OPS, with_gradient

import dataflow
from dataflow import Graph, Model, Op, ops, primitive
from dataflow.backends.unreadable_arrays import LAYOUT_FUNCTIONS, Storage, opened, step_of
from dataflow.errors import BackendError
from dataflow.execution.forward import forward
from dataflow.plan import make_plan
from dataflow.registry import registry
from dataflow.registry.registry import backend
from dataflow.shapes import TensorSpec
from dataflow.testing.cases import Case, cases_of

BACKENDS = ["numpy", "llvm"]

# ------------------------------------------------------------------------------------------------ every op


def variants(case: Case) -> Iterator[Case]:
    """The sample, and for an elementwise op also with each argument, and with all others, as one number in an array of
    no axis or of one."""
    yield case
    if not case.op.elementwise or any(argument is None for argument in case.arguments):
        return
    for shape in ((), (1,)):
        one = {i: case.arguments[i].reshape(-1)[:1].reshape(shape) for i in case.arrays}
        for i in case.arrays:
            yield case.changed({i: one[i]})
            yield case.changed({j: one[j] for j in one if j != i})


def reordered(array: np.ndarray, turn: int) -> np.ndarray:
    """Whole numbers may be positions, row by row those of one entry: rows keep together."""
    if array.dtype.kind != "f":
        return np.roll(array, turn, axis=0) if array.ndim > 1 else array
    return np.roll(array.reshape(-1), turn).reshape(array.shape)


def check_bound_once(case: Case, name: str, fill: float) -> None:
    """Bound while all numbers are ``fill``, run with those of the sample, then with those in another order."""
    graph, outputs, known = with_gradient(case)
    specs = {key: TensorSpec(array.shape, array.dtype) for key, array in known.items()}
    with np.errstate(all="ignore"):
        places = {key: np.full(array.shape, fill).astype(array.dtype) for key, array in known.items()}
    results = [np.empty(graph.node_of(key).shape, graph.node_of(key).dtype) for key in outputs]
    plan = make_plan(graph, outputs, specs)
    with np.errstate(all="ignore"):
        runner = registry.backend(name).prepare(plan)
        step = runner.bind(list(places.values()), results)
        for turn in range(2):
            for key, array in known.items():
                places[key][...] = reordered(array, turn)
            step()
            expected = forward(graph, graph.schedule(outputs), {k: v.copy() for k, v in places.items()}, {})
            for key, result in zip(outputs, results, strict=True):
                largest = np.abs(result[np.isfinite(result)]).max(initial=1.0)
                np.testing.assert_allclose(result, expected[key], 1e-9, 1e-12 * largest, err_msg=f"{case.label}: {key}")


@pytest.mark.parametrize("backend_name", BACKENDS)
@pytest.mark.parametrize("name", IN_PLANS)
def test_every_op_is_bound_without_its_numbers(name: str, backend_name: str) -> None:
    cases = cases_of(registry.lookup(name), 0)
    assert cases
    for case in cases if backend_name == "numpy" else cases[:1]:
        check_bound_once(case, backend_name, 0.0)
    if backend_name == "numpy":
        for variant in [*variants(cases[0])][1:3]:  # the other variants are slow tests
            check_bound_once(variant, backend_name, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_PLANS)
def test_every_variant_is_bound_without_its_numbers(name: str) -> None:
    for variant in [*variants(cases_of(registry.lookup(name), 0)[0])][3:]:
        check_bound_once(variant, "numpy", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OPS if name not in AT_RUN_TIME])
def test_every_op_is_bound_whatever_its_memory_holds(name: str) -> None:
    for backend_name in BACKENDS:
        for case in cases_of(registry.lookup(name), 1):
            for fill, variant in zip(itertools.cycle([np.nan, 1.0]), variants(case), strict=False):
                check_bound_once(variant, backend_name, fill)


def choice(graph: Graph) -> Any:
    x, a, b = (graph.input(name, shape) for name, shape in (("x", ("n",)), ("a", ()), ("b", (1,))))
    return ops.where(x > 0, x, a) ** 2 + ops.where(x > 1, b, x) ** 3


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_a_choice_between_an_array_and_one_number(backend_name: str) -> None:
    graph = Graph("g")
    graph.node("y", choice(graph))
    f = Model(graph, outputs=["y"]).compile(values=["y"], gradients=["a", "b"], of="y", backend=backend_name)
    for a, b in ((0.0, 0.0), (3.0, 2.0), (0.0, 5.0), (-1.0, 0.0)):
        values, gradients = f(x=[2.0, -1.0, 0.5], a=a, b=[b])
        # by hand: where(x > 0, x, a)² + where(x > 1, b, x)³
        np.testing.assert_allclose(values["y"], [4 + b**3, a**2 - 1, 0.25 + 0.125])
        np.testing.assert_allclose([gradients["a"], gradients["b"][0]], [2 * a, 3 * b**2])


def test_derivatives_are_bound_without_the_point() -> None:
    graph = Graph("g")
    graph.node("y", choice(graph))
    model, wrt = Model(graph, outputs=["y"]), ["x", "a", "b"]
    for a, b in ((0.0, 0.0), (3.0, 2.0), (-1.0, 0.0)):
        at: dict[str, Any] = {"x": [2.0, -1.0, 0.5], "a": a, "b": [b]}
        x = np.array(at["x"])
        # by hand: the derivatives of the two terms where each branch is taken
        by_x = np.diag(np.where(x > 0, 2 * x, 0) + np.where(x > 1, 0, 3 * x**2))
        first = np.column_stack([by_x, np.where(x > 0, 0, 2 * a), np.where(x > 1, 3 * b**2, 0)])
        for mode in ("reverse", "forward"):
            np.testing.assert_allclose(model.jacobian(of="y", wrt=wrt, mode=mode, **at), first)
        tangents = {"x": np.ones(3), "a": 1.0, "b": [1.0]}
        np.testing.assert_allclose(model.jvp(of="y", wrt=wrt, tangents=tangents, **at), first.sum(axis=1))
        second = np.diag([*(np.where(x > 0, 2, 0) + np.where(x > 1, 0, 6 * x)), 2, 6 * b])
        np.testing.assert_allclose(model.hessian(of="y", wrt=wrt, **at), second)
        hvp = model.hvp(of="y", wrt=wrt, tangents=tangents, **at)
        np.testing.assert_allclose(np.concatenate([hvp["x"], [hvp["a"]], hvp["b"]]), second.sum(axis=1))


@pytest.mark.parametrize("backend_name", BACKENDS)
@pytest.mark.parametrize("options", [{}, {"memory_limit": "1MB"}, {"batch_size": 1}], ids=str)
def test_training_from_a_parameter_that_is_0(options: dict[str, Any], backend_name: str) -> None:
    graph = Graph("g")
    x, a = graph.input("x", ("n",)), graph.parameter("a", value=0.0)
    graph.node("loss", ops.sum((ops.where(x > 0, x, a) - 1) ** 2))
    model = Model(graph, [], loss="loss")
    trainer = dataflow.Trainer(model, {"x": [2.0, -1.0]}, learning_rate=0.125, backend=backend_name, **options)
    trainer.run(20 * (2 if options.get("batch_size") else 1))
    # a ← a − ⅛·2(a − 1), so that 1 − a is (3/4)^20
    np.testing.assert_allclose(float(model.parameters["a"]), 1 - 0.75**20, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ storage

READS: dict[str, Callable[[Any], object]] = {
    "item": lambda x: x.item(),
    "truth": bool,
    "float": lambda x: float(x[:1].reshape(())),
    "int": lambda x: int(x[:1].reshape(())),
    "an entry": lambda x: x[0],
    "entries chosen by numbers": lambda x: x[[0, 1]],
    "equal": lambda x: x == 0,
    "not equal": lambda x: x != 0,
    "less": lambda x: x < 0,
    "contains": lambda x: 0 in x,
    "iterated": list,
    "sorted": sorted,
    "asarray": np.asarray,
    "array": np.array,
    "a ufunc": np.exp,
    "a ufunc method": np.add.reduce,
    "a numpy function": np.sum,
    "allclose": lambda x: np.allclose(x, 0),
    "where": lambda x: np.where(x, 1, 0),
    "a method": lambda x: x.any(),
    "a copy": lambda x: x.copy(),
    "a copy by shape": lambda x: x.reshape(2, 3).T.reshape(-1),
    "bytes": lambda x: x.tobytes(),
    "memory": memoryview,
    "added": lambda x: x + 1,
    "added to an array": lambda x: np.ones(6) + x,
    "negated": lambda x: -x,
    "its base": lambda x: x.base,
}
WINDOWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda x: x[1:4],
    "all": lambda x: x[...],
    "new axis": lambda x: x[None],
    "reshape": lambda x: x.reshape(2, 3),
    "shape": lambda x: x.reshape((3, 2)),
    "transposed": lambda x: x.reshape(2, 3).T,
    "transpose": lambda x: x.reshape(2, 3).transpose(1, 0),
    "swapaxes": lambda x: x.reshape(2, 3).swapaxes(0, 1),
    "a row": lambda x: x.reshape(2, 3)[1],
    "bits": lambda x: x.view(np.int64),
    "moveaxis": lambda x: np.moveaxis(x.reshape(2, 3), 0, 1),
    "broadcast": lambda x: np.broadcast_to(x, (2, 6)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_no_entry_is_read_while_a_plan_is_bound(read: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, AttributeError)) as error:
        read(Storage(np.arange(6.0)))
    assert isinstance(error.value, TypeError) or "not known while a plan is bound" in str(error.value)


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_windows_are_known_while_a_plan_is_bound(window: Callable[[Any], Any]) -> None:
    array = np.arange(6.0)
    stored, plain = window(Storage(array)), window(array)
    assert isinstance(stored, Storage)
    for known in ("shape", "dtype", "strides", "ndim", "size", "itemsize", "nbytes"):
        assert getattr(stored, known) == getattr(plain, known)
    assert stored.flags.c_contiguous == plain.flags.c_contiguous
    assert len(stored) == len(plain)
    assert np.shares_memory(opened(stored), array)
    assert np.array_equal(opened(stored), plain)


def test_what_numpy_says_of_a_storage_reads_nothing() -> None:
    stored = Storage(np.zeros((2, 3), np.float32))
    assert (np.shape(stored), np.ndim(stored), np.size(stored)) == ((2, 3), 2, 6)
    assert np.may_share_memory(stored, stored.T)
    assert not np.may_share_memory(stored, Storage(np.zeros(3)))
    assert np.empty_like(stored).dtype == np.float32
    assert np.result_type(stored, 1.0) == np.float32
    assert np.expand_dims(stored, 0).shape == (1, 2, 3)
    assert len(LAYOUT_FUNCTIONS) == 11
    assert repr(stored) == "<storage of float32 (2, 3)>"


def declared(into: Callable[..., object]) -> Op:
    @primitive(operation="none")
    def odd(x):  # type: ignore[no-untyped-def]
        """x."""
        return np.array(x)

    odd.shape(lambda x: x.shape)
    odd.into(into)
    return odd


RULES: dict[str, tuple[Callable[..., object], str]] = {
    "reads": (lambda out, x: partial(np.copyto, out, 1 if x[0] > 0 else x), "not known while a plan is bound"),
    "asks": (
        lambda out, x: partial(np.copyto, out, x if x.any() else 0),
        r"not known while a plan is bound.*\('any'\)",
    ),
    "a closure": (lambda out, x: lambda: np.copyto(out, x), r"returns functools\.partial\(function, out, \.\.\.\)"),
    "nothing": (lambda out, x: None, r"returns functools\.partial\(function, out, \.\.\.\)"),
}


@pytest.mark.parametrize("backend_name", BACKENDS)
@pytest.mark.parametrize(("into", "message"), RULES.values(), ids=RULES)
def test_a_rule_that_reads_is_refused(into: Callable[..., object], message: str, backend_name: str) -> None:
    graph = Graph("g")
    graph.node("y", graph.apply(declared(into), [graph.input("x", (3,))]))
    f = Model(graph, ["y"]).compile(values=["y"], backend=backend_name)
    with pytest.raises(BackendError, match=rf"node 'y': the numpy backend cannot run op 'odd': .*{message}"):
        f(x=np.ones(3))


def test_a_rule_may_read_what_is_constant() -> None:
    kinds: list[type] = []

    @primitive(operation="none")
    def looked_at(x, c):  # type: ignore[no-untyped-def]
        """x times c."""
        return np.multiply(x, c)

    @looked_at.into
    def _(out, x, c):  # type: ignore[no-untyped-def]
        kinds.extend([type(out), type(x), type(c)])
        return partial(np.copyto, out, x) if (c == 1).all() else (partial(np.multiply, x, c, out),)

    looked_at.shape(lambda x, c: x.shape)
    for value in (1.0, 2.0):
        graph = Graph("g")
        x, c = graph.input("x", (3,)), graph.constant("c", np.full(3, value))
        graph.node("y", graph.apply(looked_at, [x, c]))
        plan = make_plan(graph, ["y"], {"x": TensorSpec((3,), np.dtype("float64"))})
        (y,) = backend("numpy").prepare(plan).run([np.arange(3.0)])
        assert y.tolist() == [0, value, 2 * value]
    assert kinds == 2 * [Storage, Storage, np.ndarray]


def test_calls_run_in_order() -> None:
    x, out = np.arange(3.0), np.empty(3)
    step = step_of((partial(np.copyto, Storage(out), 7.0), partial(np.add, Storage(out), Storage(x), out=Storage(out))))
    step()
    assert out.tolist() == [7, 8, 9]
