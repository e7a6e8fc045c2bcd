"""All modes of differentiation against an evaluation of 50 digits (mpmath), which uses no derivative rule."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from any_graph import OF_BITS
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dataflow
from dataflow.analysis.high_precision import DIGITS, Precise
from dataflow.errors import DataError
from dataflow.graph.graph import Graph
from dataflow.model.model import Model
from dataflow.ops import cos, exp, log, maximum, mean, sigmoid, sin, softmax, sqrt, tanh
from dataflow.registry import registry
from dataflow.testing.cases import Case, cases_of, every_op
from dataflow.testing.derivative_checks import touched

NEAR = {"rtol": 1e-10, "atol": 1e-10}


def points_of(name: str, points: int) -> list[Case]:
    """Cases with at least so many points: entries of an elementwise op, samples of any other."""
    op = registry.lookup(name)
    found: list[Case] = []
    count = seed = 0
    while count < points:
        for case in cases_of(op, seed):
            count += case.run().size if case.elementwise else 1
            found.append(case)
        seed += 1
    return found


EVERY_OP = {name: op for name, op in sorted(every_op().items()) if name not in OF_BITS}  # 50 digits have no bits
SMOOTH = [name for name, op in EVERY_OP.items() if any(c.run().dtype.kind == "f" and c.floats for c in cases_of(op, 0))]


HAS_RULES = [name for name in SMOOTH if (op := EVERY_OP[name]).is_primitive or op.vjp_rule is not None]
"""A composite without a rule of its own has those of the ops that it is made of."""


@pytest.mark.parametrize(
    ("name", "points"),
    [(name, 4) for name in HAS_RULES] + [pytest.param(name, 200, marks=pytest.mark.slow) for name in SMOOTH],
)
def test_every_op_at_many_points(name: str, points: int) -> None:
    models: dict[str, Model] = {}
    for case in points_of(name, points):
        if touched(case).any() or case.run().dtype.kind != "f":
            continue
        graph, known, y = case.graph()
        if graph.makes_sizes or (case.op.graph_attributes and case.op.is_primitive):
            continue  # shapes that depend on values; graphs of which 50 digits do not know which is run
        model = models.setdefault(case.label, Model(graph, [y.name]))  # a sample at another seed: other numbers
        wrt = [f"x{i}" for i in case.floats]
        rng = np.random.default_rng(1)
        directions = {n: rng.normal(size=known[n].shape) for n in wrt}
        precise = Precise(model.graph, y.name, known, {})
        ones = np.ones(case.run().shape)
        by_vjp = model.vjp(of=y.name, wrt=wrt, cotangent=ones, data=known)
        tangent = model.jvp(of=y.name, wrt=wrt, tangents=directions, data=known)
        expected = [float(precise.slope(n, directions[n])) for n in wrt]
        for n, value in zip(wrt, expected, strict=True):
            np.testing.assert_allclose(np.sum(by_vjp[n] * directions[n]), value, **NEAR)
        np.testing.assert_allclose(tangent.sum(), sum(expected), rtol=1e-10, atol=1e-9)


UNARY = [tanh, sin, cos, sigmoid, lambda x: exp(0.3 * x), lambda x: log(x * x + 1.5), lambda x: sqrt(x * x + 0.5)]
BINARY = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - b,
    lambda a, b: a / (b * b + 1),
    lambda a, b: maximum(a, b + 10),
    lambda a, b: softmax(a) * b,
    lambda a, b: a * mean(b),
]


@st.composite
def dags(draw: st.DrawFn) -> tuple[Model, dict[str, np.ndarray]]:
    graph = Graph("dag")
    values = [graph.input("x", (2,)), graph.input("y", (2,))]
    for i in range(draw(st.integers(1, 6))):
        a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        made = draw(st.sampled_from(UNARY))(a) if draw(st.booleans()) else draw(st.sampled_from(BINARY))(a, b)
        values.append(graph.node(f"n{i}", made))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = {"x": rng.uniform(-1, 1, 2), "y": rng.uniform(-1, 1, 2)}
    return Model(graph, [values[-1].name]), data


@given(dags())
@settings(max_examples=12)
def test_every_mode_on_random_graphs(case: tuple[Model, dict[str, np.ndarray]]) -> None:
    model, data = case
    (of,) = model.outputs
    wrt = ["x", "y"]
    values = model.run(data=data)
    assume(np.abs(values[of]).max() < 1e3)
    known, sizes = model.feed(data)
    precise = Precise(model.graph, of, known, sizes)
    jacobian = model.jacobian(of=of, wrt=wrt, data=data)
    np.testing.assert_allclose(model.jacobian(of=of, wrt=wrt, mode="forward", data=data), jacobian, **NEAR)
    np.testing.assert_allclose(model.jacobian(of=of, wrt=wrt, mode="reverse", data=data), jacobian, **NEAR)
    units = [(name, unit) for name in wrt for unit in np.eye(2)]
    with mpmath.workdps(DIGITS):
        slopes = np.array([float(precise.slope(name, unit)) for name, unit in units])
        scale = 1 + np.abs(jacobian).max()
        np.testing.assert_allclose(jacobian.sum(axis=0), slopes, rtol=1e-10, atol=1e-10 * scale)
        tangent = {"x": np.array([0.3, -0.7]), "y": np.array([1.1, 0.2])}
        flat = np.concatenate([tangent[name] for name in wrt])
        np.testing.assert_allclose(model.jvp(of=of, wrt=wrt, tangents=tangent, data=data), jacobian @ flat, **NEAR)
        cotangent = np.array([0.4, -1.3])
        back = model.vjp(of=of, wrt=wrt, cotangent=cotangent, data=data)
        np.testing.assert_allclose(np.concatenate([back[name] for name in wrt]), cotangent @ jacobian, **NEAR)
        # second derivatives: the difference of slopes at two points 1e-12 apart, in 50 digits
        hessian = model.hessian(of=of, wrt=wrt, data=data)
        step = mpmath.mpf("1e-12")
        moved = []
        for sign in (1, -1):
            there = Precise(model.graph, of, known, sizes)
            for name in set(wrt) & there._known.keys():
                there._known[name] = there._known[name] + sign * step * there._entries.entries(tangent[name])
            moved.append([there.slope(name, unit) for name, unit in units])
        expected = np.array([float((up - down) / (2 * step)) for up, down in zip(*moved, strict=True)])
    scale = 1 + np.abs(hessian).max()
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-10 * scale)
    np.testing.assert_allclose(hessian @ flat, expected, rtol=1e-9, atol=1e-9 * scale)
    hvp = model.hvp(of=of, wrt=wrt, tangents=tangent, data=data)
    np.testing.assert_allclose(
        np.concatenate([hvp[name] for name in wrt]), hessian @ flat, rtol=1e-9, atol=1e-10 * scale
    )


def test_wrong_directions() -> None:
    graph = Graph("g")
    graph.node("y", tanh(graph.input("x", (2,))))
    model = Model(graph, ["y"])
    with pytest.raises(DataError, match=r"tangent of 'x' has its shape, \(2,\), not \(3,\)"):
        model.jvp(of="y", wrt="x", tangents={"x": [1, 2, 3]}, x=[1, 2])
    with pytest.raises(DataError, match="which is not differentiated"):
        model.jvp(of="y", wrt="x", tangents={"z": [1, 2]}, x=[1, 2])
    with pytest.raises(DataError, match="'reverse' or 'forward'"):
        model.jacobian(of="y", wrt="x", mode="sideways", x=[1, 2])


def test_an_op_without_a_batch_rule_goes_row_by_row() -> None:
    @dataflow.primitive
    def doubled(x):
        """Twice a vector, without a batch rule."""
        return 2 * np.asarray(x)

    @doubled.shape
    def _(x):
        return x.shape

    @doubled.vjp
    def _(g, y, x):
        return doubled(g)

    graph = Graph("g")
    graph.node("y", doubled(graph.input("x", (3,))))
    model = Model(graph, ["y"])
    for mode in ("reverse", "forward"):
        np.testing.assert_array_equal(model.jacobian(of="y", wrt="x", mode=mode, x=[1, 2, 3]), 2 * np.eye(3))
